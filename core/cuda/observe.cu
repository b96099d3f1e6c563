// What is observed of attention, with the CPU's arithmetic: what mode f32 runs, and modes bf16 and f16 where
// core/cuda/observe_half.h does not take a head dim.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/cuda/launch.h"
#include "core/cuda/observe_half.h"
#include "core/cuda/ops.h"

namespace evictbench::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kAtOnce = 8;  // rows whose logits a thread makes together

// Attention of rows of queries, one behind the other, on one key, whose dimensions are kPanel apart. Rows beyond `rows`
// are not read, and get what the last one gets.
template <class T>
__device__ void attention(const T* queries, std::ptrdiff_t stride, int rows, const T* key, int dim,
                          float scale, float softcap, const float* log_sums, std::ptrdiff_t log_stride,
                          float (&p)[kAtOnce]) {
  float sums[kAtOnce] = {};
  for (int d = 0; d < dim; ++d) {
    const float k = widen(key[std::ptrdiff_t{d} * kPanel]);
    EVICTBENCH_UNROLL
    for (int r = 0; r < kAtOnce; ++r)
      sums[r] = numerics::fma(widen(queries[(r < rows ? r : rows - 1) * stride + d]), k, sums[r]);
  }
  EVICTBENCH_UNROLL
  for (int r = 0; r < kAtOnce; ++r) {
    float logit = sums[r] * scale;
    if (softcap > 0) logit = numerics::softcap(logit, softcap);
    p[r] = numerics::exp(logit - log_sums[(r < rows ? r : rows - 1) * log_stride]);
  }
}

// Block (128 keys, layer and query head). queries [L, H, kept, D] newest first, log_sums [L, H, kept], keys [L, G] lanes
template <class T>
__global__ void reduce_window(const T* queries, const float* log_sums, int kept, const T* keys,
                              std::ptrdiff_t lane, const AttentionForm* forms, int heads, int kv_heads,
                              int dim, int tokens, int window, float scale, Reduced reduced) {
  const int t = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (t >= tokens) return;
  const int row = static_cast<int>(blockIdx.y), layer = row / heads;
  const AttentionForm form = forms[layer];
  const T* key = keys + (layer * kv_heads + row % heads * kv_heads / heads) * lane + key_index(t, dim, 0);
  // Calls use(attention) of each query, the newest first.
  const auto each = [&](const auto& use) {
    for (int w = 0; w < window; w += kAtOnce) {
      const std::ptrdiff_t at = std::ptrdiff_t{row} * kept + w;
      const int rows = window - w < kAtOnce ? window - w : kAtOnce;
      float p[kAtOnce];
      attention(queries + at * dim, dim, rows, key, dim, scale, form.softcap, log_sums + at, 1, p);
      for (int r = 0; r < rows; ++r) {
        const int position = tokens - 1 - w - r;
        use(t <= position && (form.window == 0 || t > position - form.window) ? p[r] : 0.0f);
      }
    }
  };
  float sum = 0, most = 0, entropy = 0, squares = 0;
  each([&](float p) {
    sum += p;
    most = p > most ? p : most;
    entropy = numerics::fma(0.0f - p, numerics::log(p + 1e-10f), entropy);
  });
  for (int i = 0; i < reduced.count; ++i) {
    float value = reduced.how[i] == Reduction::kSum   ? sum
                  : reduced.how[i] == Reduction::kMax ? most
                                                      : entropy;
    if (reduced.how[i] == Reduction::kVariance) {
      const float mean = sum / static_cast<float>(window);
      squares = 0;
      each([&](float p) { squares = numerics::fma(p - mean, p - mean, squares); });
      value = squares / static_cast<float>(window > 1 ? window - 1 : 1);  // unbiased
    }
    reduced.out[i][std::ptrdiff_t{row} * tokens + t] = value;
  }
}

// Block (128 keys, query head). queries [N, H, D], log_sums [N, H], keys [G] lanes, sums [H, T]
template <class T>
__global__ void sum_columns(const T* queries, const float* log_sums, int rows, int first_position,
                            const T* keys, std::ptrdiff_t lane, AttentionForm form, int kv_heads, int dim,
                            int keys_seen, int tokens, float scale, float* sums) {
  const int t = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (t >= keys_seen) return;
  const int head = static_cast<int>(blockIdx.y), heads = static_cast<int>(gridDim.y);
  const T* key = keys + head * kv_heads / heads * lane + key_index(t, dim, 0);
  float& to = sums[std::ptrdiff_t{head} * tokens + t];
  float sum = to;
  const int first = t > first_position ? t - first_position : 0;
  const std::ptrdiff_t gone = form.window > 0 ? std::ptrdiff_t{t} + form.window - first_position : rows;
  const int last = gone < rows ? static_cast<int>(gone) : rows;
  for (int n = first; n < last; n += kAtOnce) {
    const std::ptrdiff_t at = std::ptrdiff_t{n} * heads + head;
    const int count = last - n < kAtOnce ? last - n : kAtOnce;
    float p[kAtOnce];
    attention(queries + at * dim, std::ptrdiff_t{heads} * dim, count, key, dim, scale, form.softcap,
              log_sums + at, heads, p);
    for (int r = 0; r < count; ++r) sum += p[r];
  }
  to = sum;
}

float scale_of(int dim) { return 1.0f / std::sqrt(static_cast<float>(dim)); }

}  // namespace

std::vector<Tensor> window_attention(Device& device, const Tensor& queries, const Tensor& log_sums,
                                     const DenseKv& cache, std::span<const AttentionForm> forms, int tokens,
                                     int window, std::span<const Reduction> how) {
  const int L = queries.dim(0), H = queries.dim(1), D = queries.dim(3);
  require(queries.dtype() == cache.dtype(), "window attention: queries and keys of two types");
  require(how.size() <= Reduced::kMost, "window attention: more reductions than there are");
  const std::vector<AttentionForm> plain(static_cast<std::size_t>(L));
  const Table<AttentionForm> form_table(device, forms.empty() ? plain : forms);
  std::vector<Tensor> tables;
  Reduced reduced{};
  for (const Reduction reduction : how) {
    tables.emplace_back(device, DType::kF32, std::vector<int>{L, H, tokens});
    reduced.how[reduced.count] = reduction;
    reduced.out[reduced.count++] = tables.back().data<float>();
  }
  if (tables.empty() || tables[0].empty()) return tables;
  const int rows = std::min(window, tokens);
  if (observes_half(queries.dtype(), D)) {
    reduce_window_half(device, queries, log_sums, cache, form_table.data(), tokens, rows, reduced);
    return tables;
  }
  with_type(queries.dtype(), [&]<class T>(T) {
    launch(device, reduce_window<T>,
           {{static_cast<unsigned>(ceil_div(tokens, kThreads)), static_cast<unsigned>(L * H)}, kThreads},
           static_cast<const T*>(queries.at(0)), log_sums.data<float>(), queries.dim(2),
           static_cast<const T*>(cache.lane_keys(0)), std::ptrdiff_t{cache.capacity()} * D, form_table.data(),
           H, cache.heads(), D, tokens, rows, scale_of(D), reduced);
  });
  return tables;
}

void add_column_sums(Device& device, const DenseKv& cache, int layer, AttentionForm form,
                     const Tensor& queries, const Tensor& log_sums, int first_position, Tensor& sums) {
  const int N = queries.dim(0), H = queries.dim(1), D = queries.dim(2), T = sums.dim(2);
  require(queries.dtype() == cache.dtype(), "column sums: queries and keys of two types");
  if (observes_half(queries.dtype(), D)) {
    add_column_sums_half(device, cache, layer, form, queries, log_sums, first_position, sums);
    return;
  }
  const int keys_seen = std::min(T, first_position + N);
  with_type(queries.dtype(), [&]<class E>(E) {
    launch(device, sum_columns<E>,
           {{static_cast<unsigned>(ceil_div(keys_seen, kThreads)), static_cast<unsigned>(H)}, kThreads},
           static_cast<const E*>(queries.at(0)), log_sums.data<float>(), N, first_position,
           static_cast<const E*>(cache.lane_keys(layer * cache.heads())),
           std::ptrdiff_t{cache.capacity()} * D, form, cache.heads(), D, keys_seen, T, scale_of(D),
           sums.data<float>() + std::ptrdiff_t{layer} * H * T);
  });
}

}  // namespace evictbench::cuda
