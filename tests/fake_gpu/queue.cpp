// Streams over host memory: the queue, what a capture records and refuses, and the log.
//
// Work is done as late as CUDA allows: a stream's queue runs when somebody waits for it, so that work which forgot to wait finds
// old numbers. FAKE_GPU_EAGER=1 does it at once, to find the Python line of a kernel that crashes.
// What CUDA does outside a capture without a word is an error here.
#include "queue.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

std::recursive_mutex lock;
thread_local int device_now = 0;
std::vector<Stream*> streams;

namespace {
const bool EAGER = getenv("FAKE_GPU_EAGER") != nullptr;
const size_t LONGEST_QUEUE = 1000;  // a GPU's is about as long: then the launch waits
const unsigned NON_BLOCKING = 1;    // cudaStreamNonBlocking
const int RELAXED = 2;              // cudaStreamCaptureModeRelaxed
std::string log_text;
bool logging = false;

Stream* default_stream(int device) {
  static std::map<int, Stream*> made;
  if (!made[device]) {
    made[device] = new Stream;
    made[device]->device = device;
    streams.push_back(made[device]);
  }
  return made[device];
}
bool is_blocking(Stream* s) { return !(s->flags & NON_BLOCKING); }

// The default stream waits for all blocking streams of its GPU, and they wait for it.
void wait_for_default(Stream* s) {
  for (auto other : streams)
    if (other != s && other->device == s->device && is_blocking(other) && is_blocking(s) && (is_default(s) || is_default(other)))
      run_all(other);
}

// Waiting would wait for ever: captured work is not done.
int waiting(Stream* s, const char* what) {
  if (s->capture) return refuse(s, 900, what);
  if (is_default(s))
    for (auto other : streams)
      if (other->capture && is_blocking(other)) return refuse(other, 906, what);
  note("synchronise: %s, stream %d", what, s->number);
  wait_for_default(s);
  run_all(s);
  return 0;
}
}  // namespace

Stream* stream_of(void* handle) { return size_t(handle) < 3 ? default_stream(device_now) : static_cast<Stream*>(handle); }
bool is_default(Stream* s) { return s == default_stream(s->device); }

void run_until(Stream* s, unsigned long count) {
  while (s->done < count && !s->queue.empty()) {
    Work work = std::move(s->queue.front());
    s->queue.pop_front();
    work();
    ++s->done;
  }
}
void run_all(Stream* s) { run_until(s, s->put); }
void run_everything() { for (auto s : streams) run_all(s); }

int refuse(Stream* s, int code, const char* what) {
  s->invalid = true;
  note("refused: %s during a capture", what);
  return code;
}

int unsafe(const char* what) {
  LOCKED;
  for (auto s : streams)
    if (s->capture && s->mode != RELAXED) return refuse(s, 900, what);
  return 0;
}

void note(const char* format, ...) {
  if (!logging) return;
  char line[400];
  va_list values;
  va_start(values, format);
  vsnprintf(line, sizeof line, format, values);
  va_end(values);
  LOCKED;
  log_text += std::string(line) + "\n";
}

int enqueue(void* handle, const std::string& name, Work work) {
  LOCKED;
  Stream* s = stream_of(handle);
  if (s->device != device_now) {
    fprintf(stderr, "fake GPU: %s on a stream of GPU %d while GPU %d is current\n", name.c_str(), s->device, device_now);
    return 400;
  }
  if (s->capture) {
    if (s->invalid) return 901;
    s->capture->nodes.push_back(std::move(work));
    note("captured: %s", name.c_str());
    return 0;
  }
  for (auto other : streams)
    if (other->capture && (other->owner == std::this_thread::get_id() || (is_default(s) && is_blocking(other)))) {
      fprintf(stderr, "fake GPU: %s on stream %d escapes the capture on stream %d\n", name.c_str(), s->number, other->number);
      return refuse(other, is_default(s) && is_blocking(other) ? 906 : 900, (name + " on another stream").c_str());
    }
  note("stream %d: %s", s->number, name.c_str());
  wait_for_default(s);
  s->queue.push_back(std::move(work));
  ++s->put;
  if (EAGER) run_all(s);
  else if (s->queue.size() > LONGEST_QUEUE) run_until(s, s->put - LONGEST_QUEUE);
  return 0;
}

int finish(void* handle, const char* what) { LOCKED; return waiting(stream_of(handle), what); }

extern "C" {
// For log.py.
void fake_gpu_log_start() { LOCKED; log_text.clear(); logging = true; }
const char* fake_gpu_log_stop() { LOCKED; logging = false; return log_text.c_str(); }

}
