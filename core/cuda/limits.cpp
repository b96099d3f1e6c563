// What a card can do at most, for figures to stand beside.
#include <span>
#include <vector>

#include "core/cuda/device.h"
#include "core/ops.h"

namespace evictbench {
namespace {

#ifdef EVICTBENCH_EMULATED  // has no speed
constexpr int kSize = 48, kTimes = 1;
#else
constexpr int kSize = 8192, kTimes = 10;
#endif

// Numbers in (-1, 1), bf16: what a card does with zeros says nothing, it draws less power on them.
std::vector<std::uint16_t> random_words() {
  std::vector<std::uint16_t> words(std::size_t{kSize} * kSize);
  std::uint32_t state = 1;
  for (std::uint16_t& word : words) {
    state = state * 1664525u + 1013904223u;
    word = f32_to_bf16(static_cast<float>(static_cast<std::int32_t>(state)) * 0x1p-31f);
  }
  return words;
}

// Of one of kTimes calls, after one that nobody times.
template <class Work>
double seconds_of_one(CudaDevice& device, const Work& work) {
  work();
  return device.runtime().seconds_of([&] {
    for (int i = 0; i < kTimes; ++i) work();
  }) / kTimes;
}

}  // namespace

// A product of two matrices of 8,192 by 8,192, by the way that a prefill takes.
double CudaDevice::matrix_flops() {
  enter(Phase::kPrefill);
  const std::vector<std::uint16_t> words = random_words();
  const WeightRows rows{DType::kBF16, kSize, words.data()};
  const PackedMatrix w = ops().pack(*this, std::span(&rows, 1), kSize);
  Tensor x(*this, working_, {kSize, kSize}), y(*this, working_, {kSize, kSize});
  std::vector<std::int32_t> ids(kSize);
  for (int i = 0; i < kSize; ++i) ids[static_cast<std::size_t>(i)] = kSize - 1 - i;
  ops().embed(*this, w, ids, x);  // rows of the same numbers
  const double n = kSize;
  return 2 * n * n * n / seconds_of_one(*this, [&] { ops().matmul(*this, x, w, y); });
}

// Read and written together.
double CudaDevice::copy_bytes() {
  const int numbers = kSize * kSize * 4;
  const Tensor from = Tensor::zeros(*this, DType::kF32, {numbers});
  Tensor to = Tensor::zeros(*this, DType::kF32, {numbers});
  return 2.0 * static_cast<double>(from.bytes()) /
         seconds_of_one(*this, [&] { copy(to.at(0), from.at(0), from.bytes()); });
}

}  // namespace evictbench
