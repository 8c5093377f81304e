// The part of CUDA's driver that CuPy calls: modules and launches.
//
// A module is a shared object that compiler.cpp made. Its function bind_NAME packs up one launch of the kernel NAME.
#include <cuda.h>
#include <dlfcn.h>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "queue.h"

namespace {
struct Size { unsigned x, y, z; };
using Bind = Work* (*)(void** arguments, Size grid, Size block);  // copies a kernel's arguments
struct Function { Bind bind; std::string name; int device; };
}  // namespace

extern "C" {
CUresult cuGetErrorName(CUresult e, const char** name) { *name = e == 400 ? "CUDA_ERROR_INVALID_HANDLE" : "CUDA_ERROR"; return CUDA_SUCCESS; }
CUresult cuGetErrorString(CUresult, const char** text) { *text = "of the fake GPU"; return CUDA_SUCCESS; }
CUresult cuCtxGetCurrent(CUcontext* c) { *c = reinterpret_cast<CUcontext>(size_t(device_now + 1)); return CUDA_SUCCESS; }
CUresult cuCtxSetCurrent(CUcontext) { return CUDA_SUCCESS; }
CUresult cuCtxGetDevice(CUdevice* d) { *d = device_now; return CUDA_SUCCESS; }
CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  auto header = static_cast<const Elf64_Ehdr*>(image);
  if (memcmp(header->e_ident, ELFMAG, SELFMAG)) return CUDA_ERROR_INVALID_IMAGE;
  size_t size = header->e_shoff + size_t(header->e_shnum) * header->e_shentsize;  // the section headers come last
  int file = memfd_create("kernel", 0);  // stays open: dlopen knows libraries by their name
  if (file < 0 || write(file, image, size) != ssize_t(size)) return CUDA_ERROR_OUT_OF_MEMORY;
  void* library = dlopen(("/proc/self/fd/" + std::to_string(file)).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) fprintf(stderr, "fake GPU: %s\n", dlerror());
  *module = reinterpret_cast<CUmodule>(library);
  return library ? CUDA_SUCCESS : CUDA_ERROR_INVALID_IMAGE;
}
CUresult cuModuleUnload(CUmodule) { return CUDA_SUCCESS; }
CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  auto bind = reinterpret_cast<Bind>(dlsym(module, (std::string("bind_") + name).c_str()));
  if (!bind) return CUDA_ERROR_NOT_FOUND;
  *function = reinterpret_cast<CUfunction>(new Function{bind, name, device_now});
  return CUDA_SUCCESS;
}
CUresult cuModuleGetGlobal_v2(CUdeviceptr*, size_t*, CUmodule, const char*) { return CUDA_ERROR_NOT_FOUND; }
CUresult cuLaunchKernel(CUfunction handle, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                        unsigned, CUstream stream, void** arguments, void**) {
  auto function = reinterpret_cast<Function*>(handle);
  if (!gx || !gy || !gz || gy > 65535 || gz > 65535 || !bx || !by || !bz || bx * by * bz > 1024) return CUDA_ERROR_INVALID_VALUE;
  if (function->device != device_now) return CUDA_ERROR_INVALID_HANDLE;
  std::unique_ptr<Work> work(function->bind(arguments, {gx, gy, gz}, {bx, by, bz}));
  return CUresult(enqueue(stream, "kernel " + function->name, *work));
}
CUresult cuFuncGetAttribute(int* v, CUfunction_attribute, CUfunction) { *v = 1024; return CUDA_SUCCESS; }
CUresult cuFuncSetAttribute(CUfunction, CUfunction_attribute, int) { return CUDA_SUCCESS; }
CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* n, CUfunction, int, size_t) { *n = 2; return CUDA_SUCCESS; }
CUresult cuOccupancyMaxPotentialBlockSize(int* grid, int* block, CUfunction, CUoccupancyB2DSize, size_t, int) {
  *grid = 4, *block = 128;
  return CUDA_SUCCESS;
}
}
