// The products of cuBLAS that CuPy and minidrop call, over host memory. Matrices are column-major, sums are kept in double.
// Rounds the operands to TensorFloat-32 where cuBLAS may, so that a setting that did not arrive is seen.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <vector>

#include "queue.h"

namespace {
enum Status { SUCCESS = 0, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum Type { R_32F = 0, R_64F = 1, R_16F = 2 };                        // cudaDataType
enum { COMPUTE_32F = 68, COMPUTE_32F_FAST_TF32 = 77, MATH_TF32 = 3 };  // cublasComputeType_t, cublasMath_t
enum { HOST = 0, DEVICE = 1 };                                         // cublasPointerMode_t

struct Handle { void* stream = nullptr; int math = 0, pointers = HOST; };
struct Shape { int ta, tb, m, n, k; long lda, ldb, ldc; bool tf32; };

template <class T> double rounded(T value, bool tf32) {
  if (std::is_same<T, float>::value && tf32) {  // to 10 bits, the nearest
    float number = float(value);
    uint32_t bits;
    memcpy(&bits, &number, 4);
    bits = (bits + 0x1000) & ~0x1FFFu;
    memcpy(&number, &bits, 4);
    return number;
  }
  return double(value);
}

// (m, k) from op(a), column by column
template <class T> std::vector<double> gathered(const T* a, int transposed, int m, int k, long ld, bool tf32) {
  std::vector<double> out(size_t(m) * k);
  for (int l = 0; l < k; ++l)
    for (int i = 0; i < m; ++i) out[size_t(l) * m + i] = rounded(transposed ? a[l + i * ld] : a[i + l * ld], tf32);
  return out;
}

// c = alpha op(a) op(b) + beta c
template <class T> void gemm(const Shape& s, double alpha, const T* a, const T* b, double beta, T* c) {
  auto left = gathered(a, s.ta, s.m, s.k, s.lda, s.tf32), right = gathered(b, s.tb, s.k, s.n, s.ldb, s.tf32);
  std::vector<double> column(s.m);
  for (int j = 0; j < s.n; ++j) {
    std::fill(column.begin(), column.end(), 0.0);
    for (int l = 0; l < s.k; ++l) {
      double factor = right[size_t(j) * s.k + l];
      const double* from = &left[size_t(l) * s.m];
      for (int i = 0; i < s.m; ++i) column[i] += from[i] * factor;
    }
    for (int i = 0; i < s.m; ++i) {  // cuBLAS does not read c where beta is 0
      double old = beta == 0 ? 0 : beta * double(c[i + j * s.ldc]);
      c[i + j * s.ldc] = T(alpha * column[i] + old);
    }
  }
}

Status checked(const Shape& s, int count) {
  auto least = [](int rows) { return rows > 1 ? rows : 1; };
  bool bad = s.m < 0 || s.n < 0 || s.k < 0 || count < 0 || s.lda < least(s.ta ? s.k : s.m) || s.ldb < least(s.tb ? s.n : s.k);
  return bad || s.ldc < least(s.m) ? INVALID_VALUE : SUCCESS;
}

template <class T, class S>  // S: the type of the scalars
Status batched(Handle* h, Shape s, const S* alpha, const T* a, long long step_a, const T* b, long long step_b, const S* beta,
               T* c, long long step_c, int count) {
  if (auto bad = checked(s, count)) return bad;
  s.tf32 = s.tf32 || h->math == MATH_TF32;
  note("cuBLAS: gemm %d x %d x %d, %d times, math mode %d%s", s.m, s.n, s.k, count, h->math, s.tf32 ? ", TF32" : "");
  bool later = h->pointers == DEVICE;
  double now_alpha = later ? 0 : double(*alpha), now_beta = later ? 0 : double(*beta);
  return enqueue(h->stream, "cuBLAS gemm", [=] {
    double x = later ? double(*alpha) : now_alpha, y = later ? double(*beta) : now_beta;
    for (int z = 0; z < count; ++z) gemm(s, x, a + z * step_a, b + z * step_b, y, c + z * step_c);
  }) ? EXECUTION_FAILED : SUCCESS;
}

template <class T> Status dot(Handle* h, int n, const T* x, int step_x, const T* y, int step_y, T* result) {
  int status = enqueue(h->stream, "cuBLAS dot", [=] {
    double sum = 0;
    for (long i = 0; i < n; ++i) sum += double(x[i * step_x]) * double(y[i * step_y]);
    *result = T(sum);
  });
  if (!status && h->pointers == HOST) status = finish(h->stream, "cuBLAS dot");
  return status ? EXECUTION_FAILED : SUCCESS;
}

template <class T>
Status gemv(Handle* h, int t, int m, int n, const T* alpha, const T* a, int lda, const T* x, int step_x, const T* beta, T* y, int step_y) {
  if (lda < (m > 1 ? m : 1)) return INVALID_VALUE;
  if (h->pointers == DEVICE) return NOT_SUPPORTED;
  double scale = double(*alpha), keep = double(*beta);
  return enqueue(h->stream, "cuBLAS gemv", [=] {
    for (long i = 0; i < (t ? n : m); ++i) {
      double sum = 0;
      for (long j = 0; j < (t ? m : n); ++j) sum += double(t ? a[j + i * lda] : a[i + j * long(lda)]) * double(x[j * step_x]);
      y[i * step_y] = T(scale * sum + (keep == 0 ? 0 : keep * double(y[i * step_y])));
    }
  }) ? EXECUTION_FAILED : SUCCESS;
}
}  // namespace

extern "C" {
int cublasCreate_v2(Handle** h) { *h = new Handle; return SUCCESS; }
int cublasDestroy_v2(Handle*) { return SUCCESS; }
int cublasSetStream_v2(Handle* h, void* stream) { h->stream = stream; return SUCCESS; }
int cublasGetStream_v2(Handle* h, void** stream) { *stream = h->stream; return SUCCESS; }
int cublasSetWorkspace_v2(Handle*, void*, size_t size) { note("cuBLAS: workspace of %zu bytes", size); return SUCCESS; }
int cublasSetMathMode(Handle* h, int mode) { h->math = mode; note("cuBLAS: math mode %d", mode); return SUCCESS; }
int cublasGetMathMode(Handle* h, int* mode) { *mode = h->math; return SUCCESS; }
int cublasSetPointerMode_v2(Handle* h, int mode) { h->pointers = mode; return SUCCESS; }
int cublasGetPointerMode_v2(Handle* h, int* mode) { *mode = h->pointers; return SUCCESS; }
int cublasGetVersion_v2(Handle*, int* version) { *version = 130000; return SUCCESS; }

#define OF_TYPE(X, T)                                                                                                          \
  int cublas##X##gemm_v2(Handle* h, int ta, int tb, int m, int n, int k, const T* al, const T* a, int lda, const T* b,         \
                         int ldb, const T* be, T* c, int ldc) {                                                                \
    return batched(h, {ta, tb, m, n, k, lda, ldb, ldc, false}, al, a, 0, b, 0, be, c, 0, 1);                                   \
  }                                                                                                                            \
  int cublas##X##gemmStridedBatched(Handle* h, int ta, int tb, int m, int n, int k, const T* al, const T* a, int lda,          \
                                    long long sa, const T* b, int ldb, long long sb, const T* be, T* c, int ldc, long long sc, \
                                    int count) {                                                                               \
    return batched(h, {ta, tb, m, n, k, lda, ldb, ldc, false}, al, a, sa, b, sb, be, c, sc, count);                            \
  }                                                                                                                            \
  int cublas##X##gemmBatched(Handle* h, int ta, int tb, int m, int n, int k, const T* al, const T* const* a, int lda,          \
                             const T* const* b, int ldb, const T* be, T* const* c, int ldc, int count) {                       \
    Shape s{ta, tb, m, n, k, lda, ldb, ldc, h->math == MATH_TF32};                                                             \
    if (auto bad = checked(s, count)) return bad;                                                                              \
    if (h->pointers == DEVICE) return NOT_SUPPORTED;                                                                           \
    double x = double(*al), y = double(*be);                                                                                   \
    return enqueue(h->stream, "cuBLAS gemm", [=] {                                                                             \
      for (int z = 0; z < count; ++z) gemm(s, x, a[z], b[z], y, c[z]);                                                         \
    }) ? EXECUTION_FAILED : SUCCESS;                                                                                           \
  }                                                                                                                            \
  int cublas##X##dot_v2(Handle* h, int n, const T* x, int sx, const T* y, int sy, T* r) { return dot(h, n, x, sx, y, sy, r); } \
  int cublas##X##gemv_v2(Handle* h, int t, int m, int n, const T* al, const T* a, int lda, const T* x, int sx, const T* be,    \
                         T* y, int sy) {                                                                                       \
    return gemv(h, t, m, n, al, a, lda, x, sx, be, y, sy);                                                                     \
  }
OF_TYPE(S, float)
OF_TYPE(D, double)

int cublasGemmStridedBatchedEx(Handle* h, int ta, int tb, int m, int n, int k, const void* al, const void* a, int at, int lda,
                               long long sa, const void* b, int bt, int ldb, long long sb, const void* be, void* c, int ct,
                               int ldc, long long sc, int count, int compute, int) {
  Shape s{ta, tb, m, n, k, lda, ldb, ldc, compute == COMPUTE_32F_FAST_TF32};
  auto run = [&](auto element, auto scalar) -> int {
    using T = decltype(element);
    using S = decltype(scalar);
    return batched(h, s, static_cast<const S*>(al), static_cast<const T*>(a), sa, static_cast<const T*>(b), sb,
                   static_cast<const S*>(be), static_cast<T*>(c), sc, count);
  };
  if (at == R_32F && bt == R_32F && ct == R_32F) return run(float(), float());
  if (at == R_64F && bt == R_64F && ct == R_64F) return run(double(), double());
  if (at == R_16F && bt == R_16F && ct == R_16F && (compute == COMPUTE_32F || compute == COMPUTE_32F_FAST_TF32)) return run(_Float16(), float());
  note("cuBLAS: types %d, %d, %d with compute type %d are not written", at, bt, ct, compute);
  return NOT_SUPPORTED;
}
int cublasGemmEx(Handle* h, int ta, int tb, int m, int n, int k, const void* al, const void* a, int at, int lda, const void* b,
                 int bt, int ldb, const void* be, void* c, int ct, int ldc, int compute, int algorithm) {
  return cublasGemmStridedBatchedEx(h, ta, tb, m, n, k, al, a, at, lda, 0, b, bt, ldb, 0, be, c, ct, ldc, 0, 1, compute, algorithm);
}
int cublasSgemmEx(Handle* h, int ta, int tb, int m, int n, int k, const float* al, const void* a, int at, int lda,
                  const void* b, int bt, int ldb, const float* be, void* c, int ct, int ldc) {
  return cublasGemmEx(h, ta, tb, m, n, k, al, a, at, lda, b, bt, ldb, be, c, ct, ldc, COMPUTE_32F, -1);
}
}
