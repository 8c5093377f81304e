// The language of CUDA's kernels in C++ for one thread of a CPU: put in front of each kernel by compiler.cpp.
//
// The threads of a block run one after the other. Where a kernel has barriers they are fibers, which stop there until all are there.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>
#include <xmmintrin.h>

#define __device__
#define __global__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static  // one block runs at a time
#define __constant__ static

struct Size { unsigned x, y, z; };
static Size threadIdx, blockIdx, blockDim, gridDim;

// --- Fibers: each has a stack, and switches back to the block when it yields.

extern "C" void fake_switch(void** from, void* to) __attribute__((visibility("hidden")));
asm(R"(
.text
.globl fake_switch
.hidden fake_switch
.type fake_switch,@function
fake_switch:
 pushq %rbp
 pushq %rbx
 pushq %r12
 pushq %r13
 pushq %r14
 pushq %r15
 movq %rsp,(%rdi)
 movq %rsi,%rsp
 popq %r15
 popq %r14
 popq %r13
 popq %r12
 popq %rbx
 popq %rbp
 ret
.size fake_switch,.-fake_switch
)");

enum Wait { RUNS, AT_BLOCK, AT_WARP, DONE };
struct Fiber { void* top; char* stack; Wait state; char shuffled[16]; };
static std::vector<Fiber> fake_fibers;
static unsigned fake_count;            // threads of the block
static void* fake_block;               // the stack pointer of the block
static Fiber* fake_thread = nullptr;   // the fiber that runs
static const std::function<void()>* fake_kernel;

static inline void fake_wait(Wait state) {
  fake_thread->state = state;
  fake_switch(&fake_thread->top, fake_block);
}
static void fake_start() {
  (*fake_kernel)();
  fake_wait(DONE);
}
static inline void __syncthreads() { fake_wait(AT_BLOCK); }
static inline void __syncwarp(unsigned = 0) { fake_wait(AT_WARP); }
static inline void __threadfence() {}

// Let those go on who wait in `state` from first to last, if all others there are done.
static bool fake_release(Wait state, unsigned first, unsigned last) {
  bool some = false;
  for (unsigned i = first; i < last; ++i) {
    if (fake_fibers[i].state != state && fake_fibers[i].state != DONE) return false;
    some = some || fake_fibers[i].state == state;
  }
  for (unsigned i = first; i < last && some; ++i)
    if (fake_fibers[i].state == state) fake_fibers[i].state = RUNS;
  return some;
}

static void fake_run_fibers(const std::function<void()>& kernel, unsigned count) {
  const size_t stack = 32768;
  while (fake_fibers.size() < count) fake_fibers.push_back({nullptr, static_cast<char*>(aligned_alloc(64, stack)), DONE, {}});
  fake_kernel = &kernel, fake_count = count;
  for (unsigned i = 0; i < count; ++i) {
    auto slot = reinterpret_cast<void**>(fake_fibers[i].stack + stack - 64);
    *--slot = nullptr;  // the stack is aligned as after a call
    *--slot = reinterpret_cast<void*>(fake_start);
    for (int saved = 0; saved < 6; ++saved) *--slot = nullptr;
    fake_fibers[i].top = slot;
    fake_fibers[i].state = RUNS;
  }
  for (bool go_on = true; go_on;) {
    bool all_done = true;
    for (unsigned i = 0; i < count; ++i) {
      if (fake_fibers[i].state == RUNS) {
        fake_thread = &fake_fibers[i];
        threadIdx = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
        fake_switch(&fake_block, fake_fibers[i].top);
      }
      all_done = all_done && fake_fibers[i].state == DONE;
    }
    go_on = fake_release(AT_BLOCK, 0, count);
    for (unsigned i = 0; i < count; i += 32) go_on = fake_release(AT_WARP, i, i + 32 < count ? i + 32 : count) || go_on;
    if (!go_on && !all_done) {
      fprintf(stderr, "fake GPU: not all threads of a block reach the same barrier\n");
      abort();
    }
  }
}

// The value that another thread of the warp has; all threads of a warp take part.
template <class T> static inline T fake_shuffle(T value, int lane, bool own) {
  static_assert(sizeof(T) <= sizeof fake_thread->shuffled);
  unsigned warp = unsigned(fake_thread - fake_fibers.data()) / 32 * 32, from = warp + unsigned(lane);
  memcpy(fake_thread->shuffled, &value, sizeof value);
  __syncwarp();
  if (!own && from < fake_count) memcpy(&value, fake_fibers[from].shuffled, sizeof value);
  __syncwarp();  // before the next one overwrites it
  return value;
}
static inline int fake_lane() { return int(fake_thread - fake_fibers.data()) % 32; }
template <class T> static inline T __shfl_sync(unsigned, T v, int from, int width = 32) {
  int lane = fake_lane();
  return fake_shuffle(v, lane / width * width + from % width, false);
}
template <class T> static inline T __shfl_xor_sync(unsigned, T v, int mask, int width = 32) {
  int lane = fake_lane();
  return fake_shuffle(v, lane ^ mask, (lane ^ mask) / width != lane / width);
}
template <class T> static inline T __shfl_up_sync(unsigned, T v, unsigned delta, int width = 32) {
  int lane = fake_lane();
  return fake_shuffle(v, lane - int(delta), lane % width < int(delta));
}
template <class T> static inline T __shfl_down_sync(unsigned, T v, unsigned delta, int width = 32) {
  int lane = fake_lane();
  return fake_shuffle(v, lane + int(delta), lane % width + int(delta) >= width);
}

// --- Launches.

enum Kind { LOOP, THREADS, FIBERS };  // LOOP: a loop over all elements, for any number of threads: one does

// Within its life, operands and results below the smallest normal number count as 0.
struct Flush {
  unsigned before = _mm_getcsr();
  explicit Flush(bool on) { if (on) _mm_setcsr(before | 0x8040); }
  ~Flush() { _mm_setcsr(before); }
};

static void fake_run(const std::function<void()>& kernel, Size grid, Size block, Kind kind, bool flushes) {
  Flush flush(flushes);
  if (kind == LOOP) grid = block = {1, 1, 1};
  gridDim = grid, blockDim = block;
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        blockIdx = {x, y, z};
        if (kind == FIBERS) fake_run_fibers(kernel, block.x * block.y * block.z);
        else
          for (unsigned c = 0; c < block.z; ++c)
            for (unsigned b = 0; b < block.y; ++b)
              for (unsigned a = 0; a < block.x; ++a) threadIdx = {a, b, c}, kernel();
      }
}

template <class... A, size_t... I>
static std::tuple<A...> fake_arguments(void** from, std::index_sequence<I...>) {
  return std::tuple<A...>(*static_cast<A*>(from[I])...);
}
template <class... A>
static std::function<void()>* fake_bind(void (*kernel)(A...), void** from, Size grid, Size block, Kind kind, bool flushes) {
  static_assert((sizeof(A) + ... + 0) <= 4096, "the arguments of a kernel have to fit into 4 KB");
  auto arguments = std::make_shared<std::tuple<A...>>(fake_arguments<A...>(from, std::index_sequence_for<A...>{}));
  return new std::function<void()>([=] { fake_run([=] { std::apply(kernel, *arguments); }, grid, block, kind, flushes); });
}

// --- Functions that device code has and host code lacks.

using std::abs, std::ceil, std::copysign, std::exp, std::expm1, std::floor, std::fmod, std::isfinite, std::isinf, std::isnan;
using std::log1p, std::nextafter, std::pow, std::rint, std::signbit, std::sqrt, std::tanh, std::trunc;
static inline float log(float x) { return std::log(x + 0.0f); }  // a number that is flushed: the C library looks at its bits
static inline float rsqrt(float x) { return 1 / std::sqrt(x); }
static inline double rsqrt(double x) { return 1 / std::sqrt(x); }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
static inline int __ffs(int x) { return __builtin_ffs(x); }

template <class A, class B> static inline std::common_type_t<A, B> min(A a, B b) {
  std::common_type_t<A, B> x = a, y = b;
  if constexpr (std::is_floating_point_v<decltype(x)>) return std::fmin(x, y);
  else return y < x ? y : x;
}
template <class A, class B> static inline std::common_type_t<A, B> max(A a, B b) {
  std::common_type_t<A, B> x = a, y = b;
  if constexpr (std::is_floating_point_v<decltype(x)>) return std::fmax(x, y);
  else return x < y ? y : x;
}

// No other thread runs meanwhile, so these are atomic. They return the old value.
template <class T, class F> static inline T fake_atomic(T* at, F change) { T old = *at; *at = change(old); return old; }
#define FAKE_ATOMIC(NAME, VALUE)                                                              \
  template <class T, class V> static inline T NAME(T* at, V given) {                          \
    T v = T(given);                                                                           \
    return fake_atomic(at, [v](T old) { (void)old; return T(VALUE); });                       \
  }
FAKE_ATOMIC(atomicAdd, old + v)
FAKE_ATOMIC(atomicSub, old - v)
FAKE_ATOMIC(atomicMax, old > v ? old : v)
FAKE_ATOMIC(atomicMin, old < v ? old : v)
FAKE_ATOMIC(atomicExch, v)
FAKE_ATOMIC(atomicAnd, old & v)
FAKE_ATOMIC(atomicOr, old | v)
FAKE_ATOMIC(atomicXor, old ^ v)
template <class T> static inline T atomicCAS(T* at, std::common_type_t<T> expected, std::common_type_t<T> v) {
  return fake_atomic(at, [=](T old) { return old == expected ? v : old; });
}

template <class To, class From> static inline To fake_bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}
static inline int __float_as_int(float f) { return fake_bits<int>(f); }
static inline float __int_as_float(int i) { return fake_bits<float>(i); }
static inline unsigned __float_as_uint(float f) { return fake_bits<unsigned>(f); }
static inline float __uint_as_float(unsigned i) { return fake_bits<float>(i); }
static inline long long __double_as_longlong(double d) { return fake_bits<long long>(d); }
static inline double __longlong_as_double(long long i) { return fake_bits<double>(i); }
static inline int __double2hiint(double d) { return int(fake_bits<long long>(d) >> 32); }
static inline int __double2loint(double d) { return int(fake_bits<long long>(d)); }
static inline double __hiloint2double(int high, int low) {
  return fake_bits<double>((long long)(((unsigned long long)(unsigned)high << 32) | (unsigned)low));
}

// float16 as CuPy's float16.cuh holds it, which defines `half` itself
struct half;
static inline unsigned short __float2half_rn(float f) { return fake_bits<unsigned short>((_Float16)f); }
static inline float __half2float(unsigned short h) { return (float)fake_bits<_Float16>(h); }
template <class H> static inline unsigned short __half_as_ushort(H h) { return fake_bits<unsigned short>(h); }
template <class H = half> static inline H __ushort_as_half(unsigned short bits) { return fake_bits<H>(bits); }
