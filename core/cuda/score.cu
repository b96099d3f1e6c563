// Scores of slots: negated, reduced over heads, pooled.
#include "core/cuda/nan_check.h"
#include "core/cuda/ops.h"
#include "core/cuda/rows.h"

namespace evictbench::cuda {
namespace {

struct Negate {
  const float* in;
  float* out;
  int columns;
  template <int W>
  __device__ void run(std::ptrdiff_t row, int column) const {
    float x[W];
    load(in + row * columns + column, x);
    for (float& v : x) v = -v;
    store(out + row * columns + column, x);
  }
};

template <HeadReduce how>
struct ReduceHeads {
  const float* in;       // [L, H, T]
  float* out;            // [L, G, T]
  int heads, groups;     // H, G
  int first_step, step;  // of the query heads of a group: head g first_step + member step
  int columns;           // T
  template <int W>
  __device__ void run(std::ptrdiff_t row, int column) const {
    const int members = heads / groups;
    const std::ptrdiff_t head = row / groups * heads + row % groups * first_step;
    float to[W], x[W];
    load(in + head * columns + column, to);
    for (int member = 1; member < members; ++member) {  // ascending: the order of the sum
      load(in + (head + member * step) * columns + column, x);
      for (int i = 0; i < W; ++i)
        if constexpr (how == HeadReduce::kMean)
          to[i] += x[i];
        else
          to[i] = to[i] >= x[i] || to[i] != to[i] ? to[i] : x[i];  // NaN stays
    }
    for (float& v : to)
      if constexpr (how == HeadReduce::kMean) v /= static_cast<float>(members);
    store(out + row * columns + column, to);
  }
};

// Of slots before the window; 0 from there on.
template <Pool how>
struct Pooled {
  const float* in;  // [rows, T]
  float* out;
  const std::int32_t* lengths;  // [rows]
  FirstNan nan;
  int columns, kernel, window;
  template <int W>
  __device__ void run(std::ptrdiff_t row, int t) const {
    const float* from = in + row * columns;
    const int past = lengths[row] - window;
    out[row * columns + t] = t < past ? around(from, t, past) : 0.0f;
    if (t < past) nan.check(from[t], row, t);
  }
  // As far as there are neighbours; the mean is over `kernel` all the same.
  __device__ float around(const float* from, int t, int past) const {
    const int reach = kernel / 2, first = t > reach ? t - reach : 0,
              last = past - 1 - t > reach ? t + reach : past - 1;
    float pooled = how == Pool::kMax ? -__builtin_inff() : 0.0f;
    for (int i = first; i <= last; ++i)
      if constexpr (how == Pool::kMax)
        pooled = pooled < from[i] ? from[i] : pooled;
      else
        pooled += from[i];
    return how == Pool::kMax ? pooled : pooled / static_cast<float>(kernel);
  }
};

}  // namespace

Tensor negate(Device& device, const Tensor& scores) {
  Tensor out(device, DType::kF32, scores.dims());
  each_pack(device, Negate{elements<float>(scores), elements<float>(out), scores.columns()}, scores.rows(),
            scores.columns(), whole_packs(scores.columns()));
  return out;
}

Tensor reduce_heads(Device& device, const Tensor& scores, int kv_heads, HeadReduce how, Grouping grouping) {
  const int L = scores.dim(0), H = scores.dim(1), T = scores.dim(2), members = H / kv_heads;
  require(members * kv_heads == H, "reduce_heads: query heads do not divide into groups");
  Tensor out(device, DType::kF32, {L, kv_heads, T});
  const bool contiguous = grouping == Grouping::kContiguous;
  const auto reduce = [&]<HeadReduce which>() {
    each_pack(device,
              ReduceHeads<which>{elements<float>(scores), elements<float>(out), H, kv_heads,
                                 contiguous ? members : 1, contiguous ? 1 : kv_heads, T},
              out.rows(), T, whole_packs(T));
  };
  if (how == HeadReduce::kMean)
    reduce.template operator()<HeadReduce::kMean>();
  else
    reduce.template operator()<HeadReduce::kMax>();
  return out;
}

Tensor pool(Device& device, const Scores& scores, Pool how, int kernel, int window) {
  const Tensor& values = scores.values;
  Tensor out(device, DType::kF32, values.dims());
  const Table<std::int32_t> lengths(device, scores.lengths);
  NanCheck nan(device, scores.heads());
  const auto pool_by = [&]<Pool which>() {
    each_element(device,
                 Pooled<which>{elements<float>(values), elements<float>(out), lengths.data(), nan.first(),
                               values.columns(), kernel, window},
                 values.rows(), values.columns());
  };
  if (how == Pool::kMax)
    pool_by.template operator()<Pool::kMax>();
  else
    pool_by.template operator()<Pool::kMean>();
  nan.reject();
  return out;
}

}  // namespace evictbench::cuda
