// The language of CUDA's kernels in C++ for one thread of a CPU: put in front of each kernel by compiler.cpp.
//
// The threads of a block run one after the other. Where a kernel calls __syncthreads they are fibers, which yield there.
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

struct Fiber { void* top; char* stack; bool done; };
static void* fake_block;               // the stack pointer of the block
static Fiber* fake_thread = nullptr;   // the fiber that runs
static const std::function<void()>* fake_kernel;

static void fake_start() {
  (*fake_kernel)();
  fake_thread->done = true;
  fake_switch(&fake_thread->top, fake_block);
}
static inline void __syncthreads() { fake_switch(&fake_thread->top, fake_block); }
static inline void __syncwarp(unsigned = 0) { __syncthreads(); }
static inline void __threadfence() {}

static void fake_run_fibers(const std::function<void()>& kernel, unsigned count) {
  static std::vector<Fiber> fibers;
  const size_t stack = 32768;
  while (fibers.size() < count) fibers.push_back({nullptr, static_cast<char*>(aligned_alloc(64, stack)), false});
  fake_kernel = &kernel;
  for (unsigned i = 0; i < count; ++i) {
    auto slot = reinterpret_cast<void**>(fibers[i].stack + stack - 64);
    *--slot = nullptr;  // the stack is aligned as after a call
    *--slot = reinterpret_cast<void*>(fake_start);
    for (int saved = 0; saved < 6; ++saved) *--slot = nullptr;
    fibers[i].top = slot;
    fibers[i].done = false;
  }
  for (unsigned left = count; left;)
    for (unsigned i = 0; i < count; ++i) {
      if (fibers[i].done) continue;
      fake_thread = &fibers[i];
      threadIdx = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
      fake_switch(&fake_block, fibers[i].top);
      left -= fibers[i].done;
    }
}

// --- Launches.

enum Kind { LOOP, THREADS, FIBERS };  // LOOP: a loop over all elements, for any number of threads: one does

static void fake_run(const std::function<void()>& kernel, Size grid, Size block, Kind kind) {
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
static std::function<void()>* fake_bind(void (*kernel)(A...), void** from, Size grid, Size block, Kind kind) {
  static_assert((sizeof(A) + ... + 0) <= 4096, "the arguments of a kernel have to fit into 4 KB");
  auto arguments = std::make_shared<std::tuple<A...>>(fake_arguments<A...>(from, std::index_sequence_for<A...>{}));
  return new std::function<void()>([=] { fake_run([=] { std::apply(kernel, *arguments); }, grid, block, kind); });
}

// --- Functions that device code has and host code lacks.

using std::abs, std::ceil, std::copysign, std::exp, std::expm1, std::floor, std::fmod, std::isfinite, std::isinf, std::isnan;
using std::log, std::log1p, std::nextafter, std::pow, std::rint, std::signbit, std::sqrt, std::tanh, std::trunc;
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
