// The greatest of each row of logits.
#include "core/cuda/ops.h"
#include "core/cuda/rows.h"

namespace evictbench::cuda {
namespace {

constexpr int kThreads = 512;  // to a row

// The key of a number above its index, so that the least is the best and the first of these; 0 for what is not finite.
using Candidate = unsigned long long;

template <int W>
__global__ void best_of_rows(const float* logits, int columns, std::int32_t* best) {
  const float* row = logits + std::ptrdiff_t{blockIdx.x} * columns;
  float most = -__builtin_inff();
  int at = 0;
  bool finite = true;
  for (int column = static_cast<int>(threadIdx.x) * W; column < columns; column += kThreads * W) {
    float x[W];
    load(row + column, x);
    for (int i = 0; i < W; ++i) {
      finite &= x[i] * 0.0f == 0.0f;
      at = x[i] > most ? column + i : at;
      most = x[i] > most ? x[i] : most;
    }
  }
  Candidate mine = finite ? Candidate{numerics::rank_key(most)} << 32 | static_cast<unsigned>(at) : 0;
  for (int bits = 16; bits > 0; bits /= 2) {
    const Candidate other = __shfl_xor_sync(0xffffffffu, mine, bits);
    mine = other < mine ? other : mine;
  }
  __shared__ Candidate of_warp[kThreads / 32];
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = mine;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (const Candidate other : of_warp) mine = other < mine ? other : mine;
  best[blockIdx.x] = mine == 0 ? -1 : static_cast<std::int32_t>(mine & 0xffffffffu);
}

}  // namespace

std::vector<std::int32_t> best(Device& device, const Tensor& logits) {
  if (logits.empty()) return {};
  Tensor out(device, DType::kI32, {static_cast<int>(logits.rows())});
  const Launch how{static_cast<unsigned>(logits.rows()), kThreads};
  launch(device, whole_packs(logits.columns()) ? best_of_rows<kPack> : best_of_rows<1>, how,
         elements<float>(logits), logits.columns(), elements<std::int32_t>(out));
  return out.to_host<std::int32_t>();
}

}  // namespace evictbench::cuda
