// NVRTC's functions over g++: CuPy's kernels become shared objects, which modules.cpp loads.
//
// Each source is kept beside the libraries, under sources/, for nvrtc.py, which gives it to NVIDIA's own compiler.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

namespace {
enum Result { SUCCESS = 0, COMPILATION = 6, NAME_NOT_VALID = 9 };
struct Program {
  std::string source, log, binary;
  std::vector<std::pair<std::string, std::string>> names;  // instances of templates, `f<int>`, and what we call them
  bool flushes = false;  // -ftz=true: numbers too small for all their digits count as 0
};

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}
void write(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }
std::string folder() {  // of this library
  Dl_info info;
  dladdr(reinterpret_cast<void*>(folder), &info);
  std::string path = info.dli_fname;
  return path.substr(0, path.rfind('/'));
}

// The kernel and, for each of its functions, bind_NAME (modules.cpp).
std::string host_source(const Program& p) {
  const std::string& source = p.source;
  auto has = [&](const char* word) { return source.find(word) != std::string::npos; };
  const char* kind = has("__sync") || has("__shfl") ? "FIBERS" : has("CUPY_FOR") ? "LOOP" : "THREADS";
  static const std::regex kernel(R"RE(extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\()RE");
  // memory of a block whose size the launch says: all that a block may have
  static const std::regex sized_later(R"RE(extern\s+__shared__\s+([\w ]+?)\s+(\w+)\s*\[\s*\])RE");
  std::string text = std::regex_replace(source, sized_later, "static $1 $2[49152 / sizeof($1)]") + "\n";
  const char* flushes = p.flushes && !has("double") ? "true" : "false";  // CUDA flushes float32 only
  auto bind = [&](const std::string& name, const std::string& kernel) {
    text += "extern \"C\" void* bind_" + name + "(void** arguments, Size grid, Size block) { return fake_bind(" + kernel +
            ", arguments, grid, block, " + kind + ", " + flushes + "); }\n";
  };
  for (std::sregex_iterator found(source.begin(), source.end(), kernel), end; found != end; ++found) bind((*found)[1], (*found)[1]);
  for (auto& [instance, name] : p.names) bind(name, instance);
  return text;
}

Result compile(Program& p, int count, const char* const* options) {
  if (p.source.empty()) {  // CuPy asks in this way which compiler it is
    p.binary = "// fake GPU\n";
    return SUCCESS;
  }
  std::string home = folder(), given;
  char place[] = "/tmp/fake_gpu_XXXXXX";
  if (!mkdtemp(place)) return COMPILATION;
  for (int i = 0; i < count; ++i) given += std::string(options[i]) + "\n";
  for (auto& [instance, name] : p.names) given += "instance " + instance + "\n";
  std::string kept = home + "/sources/" + std::to_string(std::hash<std::string>()(p.source + given));
  write(kept + ".cu", p.source);
  write(kept + ".options", given);
  std::string at = place, command = read(home + "/compile_command");
  for (int i = 0; i < count; ++i)
    if (!strncmp(options[i], "-D", 2)) command += " '" + std::string(options[i]) + "'";
    else if (!strcmp(options[i], "-ftz=true")) p.flushes = true;
  write(at + "/kernel.cpp", host_source(p));
  command += " -o " + at + "/kernel.so " + at + "/kernel.cpp > " + at + "/log 2>&1";
  int status = system(command.c_str());
  p.log = read(at + "/log");
  if (status != 0) write(kept + ".refused", p.log);
  p.binary = read(at + "/kernel.so");
  for (auto name : {"/kernel.cpp", "/kernel.so", "/log"}) unlink((at + name).c_str());
  rmdir(place);
  return status == 0 ? SUCCESS : COMPILATION;
}
}  // namespace

extern "C" {
const char* nvrtcGetErrorString(int e) { return e == COMPILATION ? "NVRTC_ERROR_COMPILATION (fake GPU: g++)" : "NVRTC_ERROR"; }
int nvrtcVersion(int* major, int* minor) { *major = CUDA_MAJOR, *minor = 0; return SUCCESS; }
int nvrtcGetNumSupportedArchs(int* n) { *n = 1; return SUCCESS; }
int nvrtcGetSupportedArchs(int* archs) { *archs = 90; return SUCCESS; }
int nvrtcCreateProgram(Program** p, const char* source, const char*, int, const char* const*, const char* const*) {
  *p = new Program{source, "", "", {}, false};
  return SUCCESS;
}
int nvrtcDestroyProgram(Program** p) { delete *p; *p = nullptr; return SUCCESS; }
int nvrtcCompileProgram(Program* p, int count, const char* const* options) { return compile(*p, count, options); }
// With a 0 at the end, as NVRTC has it for text: CuPy takes one byte off.
int nvrtcGetCUBINSize(Program* p, size_t* n) { *n = p->binary.size() + 1; return SUCCESS; }
int nvrtcGetCUBIN(Program* p, char* to) { memcpy(to, p->binary.c_str(), p->binary.size() + 1); return SUCCESS; }
int nvrtcGetPTXSize(Program* p, size_t* n) { return nvrtcGetCUBINSize(p, n); }
int nvrtcGetPTX(Program* p, char* to) { return nvrtcGetCUBIN(p, to); }
int nvrtcGetProgramLogSize(Program* p, size_t* n) { *n = p->log.size() + 1; return SUCCESS; }
int nvrtcGetProgramLog(Program* p, char* to) { memcpy(to, p->log.c_str(), p->log.size() + 1); return SUCCESS; }
int nvrtcAddNameExpression(Program* p, const char* instance) {
  p->names.push_back({instance, "instance_" + std::to_string(p->names.size())});
  return SUCCESS;
}
int nvrtcGetLoweredName(Program* p, const char* instance, const char** name) {
  for (auto& [wanted, own] : p->names)
    if (wanted == instance) { *name = own.c_str(); return SUCCESS; }
  return NAME_NOT_VALID;
}
int nvrtcGetLTOIRSize(Program*, size_t*) { return NAME_NOT_VALID; }
int nvrtcGetLTOIR(Program*, char*) { return NAME_NOT_VALID; }
}
