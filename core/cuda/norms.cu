// RMS and layer norms. For f32 a row is summed by 16 threads, as the CPU's 16 accumulators are; for two-byte results
// by a block where it is long. How a row is summed depends on its length alone.
#include "core/cuda/ops.h"
#include "core/cuda/rows.h"

namespace evictbench::cuda {
namespace {

// Where row r of a norm lies, in x as in y: head first + r % heads of row r / heads.
struct HeadRows {
  std::ptrdiff_t rows;    // N heads
  std::ptrdiff_t stride;  // from one of the N to the next
  int columns, heads = 1, first = 0;
  __device__ std::ptrdiff_t offset(std::ptrdiff_t r) const {
    return r / heads * stride + (first + r % heads) * columns;
  }
};

constexpr int kFew = 16;     // threads to a row: numerics::kLanes
constexpr int kMany = 256;   // threads to a long row
constexpr int kBlock = 128;  // threads of a block, where a row takes few

// The sum over the threads of a row, for each of them; of 16, folded as numerics::fold does.
template <int kLanes>
__device__ float sum_over_lanes(float mine) {
  if constexpr (kLanes > kFew) mine += __shfl_xor_sync(0xffffffffu, mine, 16);
  for (int bits = 8; bits > 0; bits /= 2) mine += __shfl_xor_sync(0xffffffffu, mine, bits);
  if constexpr (kLanes > kFew) {
    __shared__ float of_warp[kLanes / 32];
    __syncthreads();  // an earlier sum has been read
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = mine;
    __syncthreads();
    mine = 0;
    for (int warp = 0; warp < kLanes / 32; ++warp) mine += of_warp[warp];
  }
  return mine;
}

// A thread's packs of its row. Threads beyond the last row come along, for the sums.
template <class X, int W, int kLanes>
struct Mine {
  __device__ explicit Mine(const HeadRows& how)
      : row((std::ptrdiff_t{blockIdx.x} * blockDim.x + threadIdx.x) / kLanes),
        columns(row < how.rows ? how.columns : 0),
        lane(static_cast<int>(threadIdx.x % kLanes)),
        offset(columns ? how.offset(row) : 0) {}
  // f(column, x[column .. + W]) in ascending order
  template <class F>
  __device__ void each(const X* x, const F& f) const {
    for (int column = lane * W; column < columns; column += kLanes * W) {
      float pack[W];
      load(x + offset + column, pack);
      f(column, pack);
    }
  }
  std::ptrdiff_t row;
  int columns, lane;
  std::ptrdiff_t offset;
};

template <class X, class Y, int W, int kLanes>
__global__ void rms_norm_rows(const X* x, const float* weight, float eps, HeadRows how, Y* y) {
  const Mine<X, W, kLanes> mine(how);
  float squares = 0;
  mine.each(x, [&](int, const float(&pack)[W]) {
    for (const float v : pack) squares = numerics::fma(v, v, squares);
  });
  const float mean = sum_over_lanes<kLanes>(squares) / static_cast<float>(how.columns),
              scale = 1.0f / numerics::sqrt(mean + eps);
  mine.each(x, [&](int column, float(&pack)[W]) {
    float w[W];
    load(weight + column, w);
    for (int i = 0; i < W; ++i) pack[i] = pack[i] * scale * w[i];
    store(y + mine.offset + column, pack);
  });
}

template <class X, class Y, int W, int kLanes>
__global__ void layer_norm_rows(const X* x, const float* weight, const float* bias, float eps, HeadRows how,
                                Y* y) {
  const Mine<X, W, kLanes> mine(how);
  const float n = static_cast<float>(how.columns);
  float sum = 0, squares = 0;
  mine.each(x, [&](int, const float(&pack)[W]) {
    for (const float v : pack) sum += v;
  });
  const float mean = sum_over_lanes<kLanes>(sum) / n;
  mine.each(x, [&](int, const float(&pack)[W]) {
    for (const float v : pack) squares = numerics::fma(v - mean, v - mean, squares);
  });
  const float scale = 1.0f / numerics::sqrt(sum_over_lanes<kLanes>(squares) / n + eps);
  mine.each(x, [&](int column, float(&pack)[W]) {
    float w[W], b[W];
    load(weight + column, w);
    load(bias + column, b);
    for (int i = 0; i < W; ++i) pack[i] = (pack[i] - mean) * scale * w[i] + b[i];
    store(y + mine.offset + column, pack);
  });
}

// Calls f<X, Y, W, kLanes>() for what these rows need. x is f32, or of y's type.
template <class F>
void with_rows(const Tensor& x, const Tensor& y, const HeadRows& how, const F& f) {
  with_type(x.dtype(), [&]<class X>(X) {
    with_type(y.dtype(), [&]<class Y>(Y) {
      if constexpr (!std::is_same_v<X, float> && !std::is_same_v<X, Y>)
        require(false, "cuda: a norm of two-byte rows keeps their type");
      else if constexpr (std::is_same_v<Y, float>)
        f.template operator()<X, Y, 1, kFew>();
      else if (!whole_packs(how.columns))
        f.template operator()<X, Y, 1, kFew>();
      else if (how.columns < kMany * kPack / 4)
        f.template operator()<X, Y, kPack, kFew>();
      else
        f.template operator()<X, Y, kPack, kMany>();
    });
  });
}

template <int kLanes>
Launch launch_of(const HeadRows& how) {
  constexpr int kThreads = std::max(kLanes, kBlock);
  return {static_cast<unsigned>(ceil_div(how.rows, kThreads / kLanes)), kThreads};
}

void rms_norm_of(Device& device, const Tensor& x, const Tensor& weight, float eps, const HeadRows& how,
                 Tensor& y) {
  if (how.rows == 0) return;
  with_rows(x, y, how, [&]<class X, class Y, int W, int kLanes>() {
    launch(device, rms_norm_rows<X, Y, W, kLanes>, launch_of<kLanes>(how), elements<X>(x),
           elements<float>(weight), eps, how, elements<Y>(y));
  });
}

}  // namespace

void rms_norm(Device& device, const Tensor& x, const Tensor& weight, float eps, Tensor& y) {
  rms_norm_of(device, x, weight, eps, {x.rows(), x.columns(), x.columns()}, y);
}

void norm_heads(Device& device, const Tensor& weight, float eps, int first_head, int heads, Tensor& rows) {
  rms_norm_of(device, rows, weight, eps,
              {rows.rows() * heads, rows.columns(), weight.columns(), heads, first_head}, rows);
}

void layer_norm(Device& device, const Tensor& x, const Tensor& weight, const Tensor& bias, float eps,
                Tensor& y) {
  const HeadRows how{x.rows(), x.columns(), x.columns()};
  if (how.rows == 0) return;
  with_rows(x, y, how, [&]<class X, class Y, int W, int kLanes>() {
    launch(device, layer_norm_rows<X, Y, W, kLanes>, launch_of<kLanes>(how), elements<X>(x),
           elements<float>(weight), elements<float>(bias), eps, how, elements<Y>(y));
  });
}

}  // namespace evictbench::cuda
