// The loops of core/cpu/kernels.h, written once and compiled for each instruction path by kernels_<path>.cpp.
// Nothing here may call an inline function of a shared header that is not forced inline, nor anything of the standard
// library: the linker would be free to take this path's copy for every path.
#include <immintrin.h>

#include <bit>
#include <cstdint>
#include <type_traits>

#include "core/cpu/kernels.h"
#include "core/dtype.h"
#include "core/numerics.h"

#define EVICTBENCH_STRING_(x) #x
#define EVICTBENCH_STRING(x) EVICTBENCH_STRING_(x)

namespace evictbench::cpu {
namespace {
namespace EVICTBENCH_PATH {

#include "core/cpu/simd.h"

#include "core/cpu/gemm_impl.h"

#include "core/cpu/attend_impl.h"

int best(const float* x, int n) {
  V16 most = set1(-__builtin_inff()), zero = set1(0.0f);  // x * 0 is NaN unless x is finite
  int i = 0;
  for (; i + 16 <= n; i += 16) {
    const V16 v = load(x + i);
    most = max(most, v);
    zero = fma(v, set1(0.0f), zero);
  }
  float top = max_of(most), check = fold(zero);
  for (; i < n; ++i) {
    top = x[i] > top ? x[i] : top;
    check = __builtin_fmaf(x[i], 0.0f, check);
  }
  if (check != 0.0f) return -1;
  for (i = 0; i < n && x[i] != top; ++i) {
  }
  return i;
}

EVICTBENCH_INLINE float square_sum(const float* x, int n) {
  V16 squares = set1(0.0f);
  int i = 0;
  for (; i + 16 <= n; i += 16) squares = fma(load(x + i), load(x + i), squares);
  if (i < n) squares = fma(load_n(x + i, n - i), load_n(x + i, n - i), squares);
  return fold(squares);
}

void rms_norm(const float* x, const float* weight, int n, float eps, float* y) {
  const V16 scale = set1(1.0f / __builtin_sqrtf(square_sum(x, n) / static_cast<float>(n) + eps));
  int i = 0;
  for (; i + 16 <= n; i += 16) store(y + i, mul(mul(load(x + i), scale), load(weight + i)));
  if (i < n) store_n(y + i, mul(mul(load_n(x + i, n - i), scale), load_n(weight + i, n - i)), n - i);
}

EVICTBENCH_INLINE float sum_of(const float* x, int n) {
  V16 sum = set1(0.0f);
  int i = 0;
  for (; i + 16 <= n; i += 16) sum = add(sum, load(x + i));
  if (i < n) sum = add(sum, load_n(x + i, n - i));
  return fold(sum);
}

void layer_norm(const float* x, const float* weight, const float* bias, int n, float eps, float* y) {
  const V16 mean = set1(sum_of(x, n) / static_cast<float>(n));
  V16 squares = set1(0.0f);
  int i = 0;
  for (; i + 16 <= n; i += 16) {
    const V16 off = sub(load(x + i), mean);
    store(y + i, off);
    squares = fma(off, off, squares);
  }
  if (i < n) {
    store_n(y + i, sub(load_n(x + i, n - i), mean), n - i);
    squares = fma(load_n(y + i, n - i), load_n(y + i, n - i), squares);
  }
  const V16 scale = set1(1.0f / __builtin_sqrtf(fold(squares) / static_cast<float>(n) + eps));
  for (i = 0; i + 16 <= n; i += 16)
    store(y + i, add(mul(mul(load(y + i), scale), load(weight + i)), load(bias + i)));
  if (i < n)
    store_n(y + i,
            add(mul(mul(load_n(y + i, n - i), scale), load_n(weight + i, n - i)), load_n(bias + i, n - i)),
            n - i);
}

void add(const float* x, float* sum, std::ptrdiff_t n) {
  for (std::ptrdiff_t i = 0; i < n; ++i) sum[i] += x[i];
}

void scale(float factor, float* x, std::ptrdiff_t n) {
  for (std::ptrdiff_t i = 0; i < n; ++i) x[i] *= factor;
}

void softcap(float cap, float* x, std::ptrdiff_t n) {
  std::ptrdiff_t i = 0;
  for (; i + 16 <= n; i += 16) store(x + i, capped(load(x + i), cap));
  if (const int rest = static_cast<int>(n - i); rest > 0)
    store_n(x + i, capped(load_n(x + i, rest), cap), rest);
}

// silu(x) = x / (1 + e^-x); gelu(x) = x / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3)
template <Activation kind>
EVICTBENCH_INLINE V16 activated(V16 x) {
  V16 slope = x;
  if constexpr (kind == Activation::kGelu) {
    const V16 cubic = fma(mul(set1(0.044715f), mul(x, x)), x, x);
    slope = mul(set1(2 * 0.7978845608f), cubic);
  }
  return div(x, add(set1(1.0f), exp(sub(set1(0.0f), slope))));
}

template <Activation kind>
EVICTBENCH_INLINE void activate_as(const float* gate, const float* up, float* y, int n) {
  int i = 0;
  for (; i + 16 <= n; i += 16) {
    const V16 x = activated<kind>(load(gate + i));
    store(y + i, up ? mul(x, load(up + i)) : x);
  }
  if (const int rest = n - i; rest > 0) {
    const V16 x = activated<kind>(load_n(gate + i, rest));
    store_n(y + i, up ? mul(x, load_n(up + i, rest)) : x, rest);
  }
}

void activate(Activation kind, const float* gate, const float* up, float* y, int n) {
  if (kind == Activation::kSilu)
    activate_as<Activation::kSilu>(gate, up, y, n);
  else
    activate_as<Activation::kGelu>(gate, up, y, n);
}

// Halves are turned against each other: (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin).
void rotate(const float* x, const float* cosines, const float* sines, int dim, int pairs, float* y) {
  for (int i = 0; i < pairs; ++i) {
    const float a = x[i], b = x[i + pairs];
    y[i] = __builtin_fmaf(-b, sines[i], a * cosines[i]);
    y[i + pairs] = __builtin_fmaf(a, sines[i], b * cosines[i]);
  }
  for (int i = 2 * pairs; i < dim; ++i) y[i] = x[i];
}

// Rows come newest first and are added in that order, so that a small window is a prefix of a large one.
V16 reduce(const float* column, std::ptrdiff_t stride, int window, Reduction how) {
  V16 sum = set1(0.0f), most = set1(0.0f), entropy = set1(0.0f), squares = set1(0.0f);
  for (int w = 0; w < window; ++w) {
    const V16 p = load(column + w * stride);
    sum = add(sum, p);
    most = max(most, p);
    if (how == Reduction::kEntropy) entropy = fma(sub(set1(0.0f), p), log(add(p, set1(1e-10f))), entropy);
  }
  if (how == Reduction::kSum) return sum;
  if (how == Reduction::kMax) return most;
  if (how == Reduction::kEntropy) return entropy;
  const V16 mean = div(sum, set1(static_cast<float>(window)));
  for (int w = 0; w < window; ++w) {
    const V16 off = sub(load(column + w * stride), mean);
    squares = fma(off, off, squares);
  }
  return div(squares, set1(static_cast<float>(window > 1 ? window - 1 : 1)));  // unbiased
}

// Logits of 16 keys to attention; of the keys, `visible` are seen, the first `gone` of these no more.
EVICTBENCH_INLINE void attend_panel(float* row, float log_sum, int visible, int gone, float softcap) {
  if (softcap > 0) store(row, capped(load(row), softcap));
  store(row, exp(sub(load(row), set1(log_sum))));
  for (int i = visible < 0 ? 0 : visible; i < 16; ++i) row[i] = 0;
  for (int i = 0; i < gone && i < 16; ++i) row[i] = 0;
}

void window_row(const float* queries, const float* log_sums, int window, const float* keys, int tokens,
                int dim, AttentionForm form, const Reduction* how, int count, float* const* out,
                float* scratch) {
  constexpr int kAtOnce = 2, kStride = 16 * kAtOnce;
  float *columns = scratch, *strips_of_q = scratch + std::ptrdiff_t{window} * kStride;  // [W, 32], [W, D]
  const V16 scale = set1(1.0f / __builtin_sqrtf(static_cast<float>(dim)));
  pack_rows(queries, dim, window, dim, strips_of_q);
  for (int first = 0; first < tokens; first += kStride) {
    const int panels = tokens - first > 16 ? kAtOnce : 1;
    score_panels<F32Weights>(strips_of_q, window, dim, keys + std::ptrdiff_t{first} * dim, nullptr, panels,
                             scale, columns, kStride);
    for (int panel = 0; panel < panels; ++panel) {
      float* column = columns + 16 * panel;
      const int key = first + 16 * panel;
      for (int w = 0; w < window; ++w) {
        const int visible = tokens - w - key;  // keys of this panel up to query w
        attend_panel(column + w * kStride, log_sums[w], visible, form.window > 0 ? visible - form.window : 0,
                     form.softcap);
      }
      for (int i = 0; i < count; ++i)
        store_n(out[i] + key, reduce(column, kStride, window, how[i]), tokens - key < 16 ? tokens - key : 16);
    }
  }
}

void column_sums(const float* packed, const float* log_sums, std::ptrdiff_t stride, int rows,
                 int first_position, const float* keys, int first, int panels, int dim, AttentionForm form,
                 float* sums, float* scratch) {
  const V16 scale = set1(1.0f / __builtin_sqrtf(static_cast<float>(dim)));
  score_panels<F32Weights>(packed, rows, dim, keys, nullptr, panels, scale, scratch,
                           std::ptrdiff_t{16} * panels);
  for (int panel = 0; panel < panels; ++panel) {
    V16 acc = load(sums + 16 * panel);
    for (int r = 0; r < rows; ++r) {
      const int visible = first_position + r + 1 - (first + 16 * panel),
                gone = form.window > 0 ? visible - form.window : 0;
      if (visible <= 0 || gone >= 16) continue;
      float* row = scratch + 16 * (r * panels + panel);
      attend_panel(row, log_sums[r * stride], visible, gone, form.softcap);
      acc = add(acc, load(row));
    }
    store(sums + 16 * panel, acc);
  }
}

void key_norms(const float* key_panel, int dim, float* norms) {
  V16 squares[16];
  for (V16& sum : squares) sum = set1(0.0f);
  for (int d = 0; d < dim; ++d) {
    const V16 key = load(key_panel + std::ptrdiff_t{d} * 16);
    squares[d % 16] = fma(key, key, squares[d % 16]);
  }
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) squares[i] = add(squares[i], squares[i + half]);
  store(norms, squares[0]);
  for (int i = 0; i < 16; ++i) norms[i] = __builtin_sqrtf(norms[i]);
}

float norm(const float* x, int n) { return __builtin_sqrtf(square_sum(x, n)); }

void exp_row(float* x, int n) {
  int i = 0;
  for (; i + 16 <= n; i += 16) store(x + i, exp(load(x + i)));
  if (i < n) store_n(x + i, exp(load_n(x + i, n - i)), n - i);
}

}  // namespace EVICTBENCH_PATH
}  // namespace

const Kernels EVICTBENCH_PATH_TABLE {
  .name = EVICTBENCH_STRING(EVICTBENCH_PATH), .pack_rows = EVICTBENCH_PATH::pack_rows,
  .gemm = EVICTBENCH_PATH::gemm,
#if defined(__AVX512BF16__)
  .pack_pairs = EVICTBENCH_PATH::pack_pairs, .gemm_pairs = EVICTBENCH_PATH::gemm_pairs,
  .pair_keys = EVICTBENCH_PATH::pair_keys, .pair_values = EVICTBENCH_PATH::pair_values,
  .attend_pairs = EVICTBENCH_PATH::attend_pairs,
#else
  .pack_pairs = nullptr, .gemm_pairs = nullptr, .pair_keys = nullptr, .pair_values = nullptr,
  .attend_pairs = nullptr,
#endif
  .best = EVICTBENCH_PATH::best, .rms_norm = EVICTBENCH_PATH::rms_norm,
  .layer_norm = EVICTBENCH_PATH::layer_norm, .add = EVICTBENCH_PATH::add, .scale = EVICTBENCH_PATH::scale,
  .softcap = EVICTBENCH_PATH::softcap, .activate = EVICTBENCH_PATH::activate,
  .rotate = EVICTBENCH_PATH::rotate, .attend = EVICTBENCH_PATH::attend,
  .window_row = EVICTBENCH_PATH::window_row, .column_sums = EVICTBENCH_PATH::column_sums,
  .key_norms = EVICTBENCH_PATH::key_norms, .norm = EVICTBENCH_PATH::norm, .exp_row = EVICTBENCH_PATH::exp_row,
};

}  // namespace evictbench::cpu
