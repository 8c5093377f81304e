// A stream is a queue of work; this is what the three libraries and their files share.
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using Work = std::function<void()>;

struct Graph { std::vector<Work> nodes; };

struct Stream {
  int device = 0, number = 0;
  unsigned flags = 0;
  std::deque<Work> queue;
  unsigned long put = 0, done = 0;  // how many pieces of work were put in, and how many are done
  std::unique_ptr<Graph> capture;
  int mode = 0;
  bool invalid = false;
  std::thread::id owner;  // who began the capture
};

extern std::recursive_mutex lock;
#define LOCKED std::lock_guard<std::recursive_mutex> locked(lock)
extern thread_local int device_now;
extern std::vector<Stream*> streams;

Stream* stream_of(void* handle);
bool is_default(Stream* s);
void run_until(Stream* s, unsigned long count);
void run_all(Stream* s);
void run_everything();

// These return 0 or the number of a CUDA error.
int enqueue(void* stream, const std::string& name, Work work);
int finish(void* stream, const char* what);              // waits for the stream
int unsafe(const char* what);                            // a call that only a capture in mode "relaxed" allows
int refuse(Stream* capturing, int code, const char* what);  // makes the capture invalid
void note(const char* format, ...);                      // a line of the log
