// Products with packed weights. Mode f32: every output is one chain of fused multiply-adds over ascending depth.
#include "core/cuda/ops.h"
#include "core/cuda/products.h"
#include "core/cuda/rows.h"

namespace evictbench::cuda {
namespace {

constexpr int kDepth = 32;    // of a step: what of x and w is in shared memory at a time
constexpr int kAcross = 16;   // threads of a block that share a row
constexpr int kColumns = 64;  // of a block's tile of y

// y [rows, outputs] = x [rows, depth] wᵀ, w [outputs, stride]. A block gives a tile [kDown R, 64]; its threads, [kDown, 16],
// each R rows and 4 columns of it, kDown and 16 apart.
template <class Weight, int kDown, int R>
__global__ void multiply_rows(const float* x, const Weight* w, int rows, int depth, int stride, int outputs,
                              float* y) {
  constexpr int kRows = kDown * R, kThreads = kDown * kAcross, C = kColumns / kAcross;
  __shared__ float x_tile[kDepth][kRows + 1], w_tile[kDepth][kColumns + 1];
  const int thread = static_cast<int>(threadIdx.x), across = thread % kAcross, down = thread / kAcross;
  const int first_column = static_cast<int>(blockIdx.x) * kColumns;
  const std::ptrdiff_t first_row = std::ptrdiff_t{blockIdx.y} * kRows;
  float sums[R][C] = {};
  for (int begin = 0; begin < depth; begin += kDepth) {
    for (int i = thread; i < kRows * kDepth; i += kThreads) {
      const int r = i / kDepth, k = i % kDepth;
      x_tile[k][r] =
          first_row + r < rows && begin + k < depth ? x[(first_row + r) * depth + begin + k] : 0.0f;
    }
    for (int i = thread; i < kColumns * kDepth; i += kThreads) {
      const int c = i / kDepth, k = i % kDepth;
      w_tile[k][c] = first_column + c < outputs && begin + k < depth
                         ? widen(w[std::ptrdiff_t{first_column + c} * stride + begin + k])
                         : 0.0f;
    }
    __syncthreads();
    const int steps = depth - begin < kDepth ? depth - begin : kDepth;
    for (int k = 0; k < steps; ++k)
      for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c)
          sums[r][c] =
              numerics::fma(x_tile[k][down + r * kDown], w_tile[k][across + c * kAcross], sums[r][c]);
    __syncthreads();
  }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) {
      const std::ptrdiff_t row = first_row + down + r * kDown;
      const int column = first_column + across + c * kAcross;
      if (row < rows && column < outputs) y[row * outputs + column] = sums[r][c];
    }
}

template <class Weight, int kDown, int R>
void multiply_by(Device& device, const Tensor& x, const PackedMatrix& w, int rows, Tensor& y) {
  launch(device, multiply_rows<Weight, kDown, R>,
         {{static_cast<unsigned>(ceil_div(w.outputs, kColumns)),
           static_cast<unsigned>(ceil_div(rows, kDown * R))},
          static_cast<unsigned>(kDown * kAcross)},
         elements<float>(x), elements<Weight>(w.panels), rows, w.depth, w.panels.columns(), w.outputs,
         elements<float>(y));
}

// The size of the tile changes no bit.
template <class Weight>
void multiply_f32(Device& device, const Tensor& x, const PackedMatrix& w, int rows, Tensor& y) {
  if (rows <= 4)
    multiply_by<Weight, 4, 1>(device, x, w, rows, y);
  else if (rows <= 16)
    multiply_by<Weight, 16, 1>(device, x, w, rows, y);
  else
    multiply_by<Weight, 16, 4>(device, x, w, rows, y);
}

}  // namespace

// Rows are whatever of x's shape stands before `depth` numbers ([N, H, D] for [N, H D]).
void matmul(Device& device, const Tensor& x, const PackedMatrix& w, Tensor& y) {
  const auto depth = static_cast<std::size_t>(w.depth), outputs = static_cast<std::size_t>(w.outputs);
  const std::size_t rows = x.size() / std::max<std::size_t>(1, depth);
  require(x.size() == rows * depth && y.size() == rows * outputs, "matmul: shapes do not fit");
  if (y.empty()) return;
  if (device.working() != DType::kF32) return multiply_half(device, x, w, y);
  require(x.dtype() == DType::kF32 && y.dtype() == DType::kF32, "matmul: mode f32 takes and gives f32");
  with_type(w.dtype, [&]<class Weight>(Weight) {
    multiply_f32<Weight>(device, x, w, static_cast<int>(rows), y);
  });
}

}  // namespace evictbench::cuda
