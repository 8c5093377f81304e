// CUDA's runtime over host memory: devices, memory, streams, events, graphs. Errors and refusals as CUDA's manual has them.
#include <cuda_runtime_api.h>

#include <chrono>
#include <cstdlib>
#include <cstring>

#include "queue.h"

namespace {
const int GPUS = getenv("FAKE_GPU_COUNT") ? atoi(getenv("FAKE_GPU_COUNT")) : 1;

struct Event {
  Stream* stream = nullptr;
  unsigned long after = 0;  // done when the stream has done so many
  bool captured = false;
  std::chrono::steady_clock::time_point time;
};

struct Block { size_t size; int device; };  // of memory; device -1: pinned host memory

std::map<size_t, Block> memory;

cudaError_t code(int e) { return cudaError_t(e); }

const Block* block_of(const void* address) {
  auto after = memory.upper_bound(size_t(address));
  if (after == memory.begin()) return nullptr;
  auto& [start, block] = *--after;
  return size_t(address) < start + std::max<size_t>(block.size, 1) ? &block : nullptr;
}
bool is_pageable(const void* address) { return block_of(address) == nullptr; }

}  // namespace

extern "C" {
const char* cudaGetErrorName(cudaError_t e) {
  static const std::map<int, const char*> names = {
      {1, "cudaErrorInvalidValue"}, {2, "cudaErrorMemoryAllocation"}, {100, "cudaErrorNoDevice"}, {101, "cudaErrorInvalidDevice"},
      {400, "cudaErrorInvalidResourceHandle"}, {801, "cudaErrorNotSupported"}, {900, "cudaErrorStreamCaptureUnsupported"},
      {901, "cudaErrorStreamCaptureInvalidated"}, {905, "cudaErrorStreamCaptureIsolation"},
      {906, "cudaErrorStreamCaptureImplicit"}, {907, "cudaErrorCapturedEvent"}};
  auto found = names.find(e);
  return found == names.end() ? "cudaErrorUnknown" : found->second;
}
const char* cudaGetErrorString(cudaError_t e) { return e == 100 ? "no CUDA-capable device is detected" : "of the fake GPU"; }
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* v) { *v = CUDART_VERSION; return cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* v) { *v = CUDART_VERSION; return cudaSuccess; }

// Devices
cudaError_t cudaGetDevice(int* d) { *d = device_now; return cudaSuccess; }
cudaError_t cudaSetDevice(int d) {
  if (d < 0 || d >= GPUS) return cudaErrorInvalidDevice;
  device_now = d;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* n) { *n = GPUS; return cudaSuccess; }
cudaError_t cudaDeviceGetAttribute(int* v, cudaDeviceAttr attribute, int) {
  static const std::map<int, int> values = {
      {cudaDevAttrComputeCapabilityMajor, 9}, {cudaDevAttrComputeCapabilityMinor, 0}, {cudaDevAttrMaxThreadsPerBlock, 1024},
      {cudaDevAttrWarpSize, 32}, {cudaDevAttrMultiProcessorCount, 2}, {cudaDevAttrMaxSharedMemoryPerBlock, 49152}};
  auto found = values.find(attribute);
  *v = found == values.end() ? 1 : found->second;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int d) {
  if (d < 0 || d >= GPUS) return cudaErrorInvalidDevice;
  memset(p, 0, sizeof *p);
  strcpy(p->name, "Fake GPU (host memory)");
  p->major = 9, p->totalGlobalMem = 1ull << 33, p->multiProcessorCount = 2, p->warpSize = 32, p->maxThreadsPerBlock = 1024;
  p->sharedMemPerBlock = 49152;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetLimit(size_t* v, cudaLimit) { *v = 1024; return cudaSuccess; }
cudaError_t cudaDeviceSynchronize() {
  LOCKED;
  for (auto s : streams)
    if (s->capture) return code(refuse(s, 900, "cudaDeviceSynchronize"));
  note("synchronise: device %d", device_now);
  run_everything();
  return cudaSuccess;
}
// Two GPUs without a bridge: a kernel cannot read the other's memory.
cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) { *can = 0; return cudaSuccess; }

// Memory. New memory holds NaN, not zeros.
cudaError_t cudaMalloc(void** p, size_t n) {
  if (int e = unsafe("cudaMalloc")) return code(e);
  LOCKED;
  note("allocate %zu bytes", n);
  if (posix_memalign(p, 512, n ? n : 1)) return cudaErrorMemoryAllocation;
  memset(*p, 0xFF, n);
  memory[size_t(*p)] = {n, device_now};
  return cudaSuccess;
}
cudaError_t cudaFree(void* p) {
  if (int e = unsafe("cudaFree")) return code(e);
  LOCKED;
  run_everything();  // it waits for the GPU
  if (p && !memory.erase(size_t(p))) return cudaErrorInvalidValue;
  free(p);
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** p, size_t n, unsigned) {
  if (int e = unsafe("cudaHostAlloc")) return code(e);
  LOCKED;
  if (posix_memalign(p, 512, n ? n : 1)) return cudaErrorMemoryAllocation;
  memory[size_t(*p)] = {n, -1};
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* p) { LOCKED; run_everything(); memory.erase(size_t(p)); free(p); return cudaSuccess; }
cudaError_t cudaMemGetInfo(size_t* available, size_t* total) { *available = *total = 1ull << 33; return cudaSuccess; }
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* a, const void* p) {
  LOCKED;
  memset(a, 0, sizeof *a);
  auto block = block_of(p);
  a->type = !block ? cudaMemoryTypeUnregistered : block->device < 0 ? cudaMemoryTypeHost : cudaMemoryTypeDevice;
  a->device = block && block->device >= 0 ? block->device : 0;
  a->devicePointer = block ? const_cast<void*>(p) : nullptr;
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t n, cudaMemcpyKind, cudaStream_t s) {
  LOCKED;
  bool to_host = is_pageable(to), from_host = is_pageable(from);
  if (stream_of(s)->capture && (to_host || from_host)) return code(refuse(stream_of(s), 900, "a copy of pageable host memory"));
  std::string name = std::string("copy ") + (from_host ? "host" : "device") + " to " + (to_host ? "host" : "device") + ", ";
  name += std::to_string(n) + " bytes";
  Work work = [=] { memmove(to, from, n); };
  auto source = block_of(from), target = block_of(to);
  bool across = source && target && source->device >= 0 && target->device >= 0 && source->device != target->device;
  // Programming guide: between two GPUs, on the default stream, it comes after all work of both, and before all that follows.
  if (across && is_default(stream_of(s))) {
    run_everything();
    int e = enqueue(s, name + " of another GPU", work);
    run_everything();
    return code(e);
  }
  if (from_host) {  // CUDA reads pageable memory before it returns; pinned memory later
    auto copy = std::make_shared<std::string>(static_cast<const char*>(from), n);
    work = [=] { memcpy(to, copy->data(), n); };
  }
  if (int e = enqueue(s, name, work)) return code(e);
  return to_host ? code(finish(s, "copy to pageable host memory")) : cudaSuccess;
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t n, cudaMemcpyKind kind) {
  if (int e = unsafe("cudaMemcpy")) return code(e);
  if (auto e = cudaMemcpyAsync(to, from, n, kind, nullptr)) return e;
  return code(finish(nullptr, "cudaMemcpy"));
}
cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t n, cudaStream_t s) {
  return cudaMemcpyAsync(to, from, n, cudaMemcpyDefault, s);
}
cudaError_t cudaMemcpyPeer(void* to, int a, const void* from, int b, size_t n) {
  if (auto e = cudaMemcpyPeerAsync(to, a, from, b, n, nullptr)) return e;
  return code(finish(nullptr, "cudaMemcpyPeer"));
}
cudaError_t cudaMemsetAsync(void* p, int v, size_t n, cudaStream_t s) {
  return code(enqueue(s, "memset of " + std::to_string(n) + " bytes", [=] { memset(p, v, n); }));
}
cudaError_t cudaMemset(void* p, int v, size_t n) { return cudaMemsetAsync(p, v, n, nullptr); }

// Streams
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* made, unsigned flags) {
  LOCKED;
  auto s = new Stream;  // never deleted: its work may not be done, and its number stays its own
  s->flags = flags, s->device = device_now, s->number = streams.size() + 1;
  streams.push_back(s);
  *made = reinterpret_cast<cudaStream_t>(s);
  return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t* s) { return cudaStreamCreateWithFlags(s, 0); }
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* s, unsigned flags, int) { return cudaStreamCreateWithFlags(s, flags); }
cudaError_t cudaStreamGetFlags(cudaStream_t s, unsigned* flags) { *flags = stream_of(s)->flags; return cudaSuccess; }
cudaError_t cudaStreamGetPriority(cudaStream_t, int* priority) { *priority = 0; return cudaSuccess; }
cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t s) { return code(finish(s, "cudaStreamSynchronize")); }
cudaError_t cudaStreamQuery(cudaStream_t handle) {
  LOCKED;
  auto s = stream_of(handle);
  if (s->capture) return code(refuse(s, 900, "cudaStreamQuery"));
  return s->done < s->put ? cudaErrorNotReady : cudaSuccess;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t s, cudaHostFn_t f, void* data) {
  return code(enqueue(s, "host function", [=] { f(data); }));
}

// Events
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) { *e = reinterpret_cast<cudaEvent_t>(new Event); return cudaSuccess; }
cudaError_t cudaEventCreate(cudaEvent_t* e) { return cudaEventCreateWithFlags(e, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t) { return cudaSuccess; }  // a queue may still name it
cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t on) {
  LOCKED;
  auto e = reinterpret_cast<Event*>(handle);
  auto s = stream_of(on);
  e->stream = s, e->captured = s->capture != nullptr;
  if (e->captured) return cudaSuccess;
  int status = enqueue(on, "event", [e] { e->time = std::chrono::steady_clock::now(); });
  e->after = s->put;
  return code(status);
}
cudaError_t cudaStreamWaitEvent(cudaStream_t waits, cudaEvent_t handle, unsigned) {
  LOCKED;
  auto e = reinterpret_cast<Event*>(handle);
  auto s = stream_of(waits);
  if (!e->stream) return cudaSuccess;
  if (s->capture && !e->captured) return code(refuse(s, 905, "waiting for an event from outside"));
  if (e->captured) return s == e->stream && s->capture ? cudaSuccess : cudaErrorCapturedEvent;  // joining is not written here
  Stream* other = e->stream;
  auto count = e->after;
  return code(enqueue(waits, "wait for stream " + std::to_string(other->number), [=] { run_until(other, count); }));
}
cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  LOCKED;
  auto e = reinterpret_cast<Event*>(handle);
  if (e->captured) return cudaErrorCapturedEvent;
  note("synchronise: event");
  if (e->stream) run_until(e->stream, e->after);
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t handle) {
  LOCKED;
  auto e = reinterpret_cast<Event*>(handle);
  if (e->captured) return cudaErrorCapturedEvent;
  return e->stream && e->stream->done < e->after ? cudaErrorNotReady : cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t from, cudaEvent_t to) {  // the host's: it says nothing of a GPU
  auto time = [](cudaEvent_t e) { return reinterpret_cast<Event*>(e)->time; };
  *ms = std::chrono::duration<float, std::milli>(time(to) - time(from)).count();
  return cudaSuccess;
}

// Capture and graphs
cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  LOCKED;
  auto s = stream_of(handle);
  if (is_default(s) || s->capture) return cudaErrorStreamCaptureUnsupported;
  s->capture = std::make_unique<Graph>();
  s->mode = mode, s->invalid = false, s->owner = std::this_thread::get_id();
  note("capture begins on stream %d", s->number);
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  LOCKED;
  auto s = stream_of(handle);
  if (!s->capture) return cudaErrorInvalidValue;
  note("capture ends: %s, %zu nodes", s->invalid ? "invalid" : "valid", s->capture->nodes.size());
  *graph = s->invalid ? nullptr : reinterpret_cast<cudaGraph_t>(s->capture.release());
  s->capture.reset();
  return s->invalid ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  LOCKED;
  auto s = stream_of(handle);
  *status = !s->capture ? cudaStreamCaptureStatusNone
            : s->invalid ? cudaStreamCaptureStatusInvalidated : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* ready, cudaGraph_t graph, unsigned long long) {
  *ready = reinterpret_cast<cudaGraphExec_t>(graph);
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t ready, cudaStream_t s) {
  auto graph = reinterpret_cast<Graph*>(ready);
  return code(enqueue(s, "graph of " + std::to_string(graph->nodes.size()) + " nodes", [=] {
    for (auto& node : graph->nodes) node();
  }));
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaGraphDestroy(cudaGraph_t) { return cudaSuccess; }  // the queue and the executable graph may hold it
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t) { return cudaSuccess; }
cudaError_t cudaProfilerStart() { return cudaSuccess; }
cudaError_t cudaProfilerStop() { return cudaSuccess; }

}
