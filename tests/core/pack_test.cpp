// Packed weights stand where core/cpu/pack.h says, element by element, for every type and every kind of rest.
#include "core/cpu/pack.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "core/cpu/device.h"

namespace evictbench {
namespace {

constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16};

// Random parts, subnormals of f16 among them. Half of them are read by rows, as from a file.
class Parts {
 public:
  Parts(const std::vector<DType>& types, const std::vector<int>& rows, int depth, std::mt19937_64& rng)
      : depth_(depth) {
    std::normal_distribution<float> normal;
    for (std::size_t i = 0; i < types.size(); ++i) {
      std::vector<float> numbers(static_cast<std::size_t>(rows[i]) * static_cast<std::size_t>(depth));
      for (std::size_t k = 0; k < numbers.size(); ++k) numbers[k] = normal(rng) * (k % 5 == 0 ? 1e-6f : 1.0f);
      stored_.emplace_back(numbers.size() * size_of(types[i]));
      convert_rows(DType::kF32, numbers.data(), rows[i], depth, types[i], depth, stored_.back().data());
      convert_rows(types[i], stored_.back().data(), rows[i], depth, DType::kF32, depth, numbers.data());
      numbers_.push_back(std::move(numbers));  // as they are stored, widened
    }
    for (std::size_t i = 0; i < types.size(); ++i) {
      const std::size_t row_bytes = static_cast<std::size_t>(depth) * size_of(types[i]);
      all.push_back({types[i], rows[i], i % 2 == 0 ? stored_[i].data() : nullptr,
                     [from = stored_[i].data(), row_bytes](int first, std::span<std::byte> to) {
                       std::memcpy(to.data(), from + static_cast<std::size_t>(first) * row_bytes, to.size());
                     }});
    }
  }
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  float at(int output, int k) const {
    std::size_t part = 0;
    for (; output >= all[part].rows; ++part) output -= all[part].rows;
    return numbers_[part][static_cast<std::size_t>(output) * static_cast<std::size_t>(depth_) +
                          static_cast<std::size_t>(k)];
  }

  std::vector<WeightRows> all;

 private:
  int depth_;
  std::vector<std::vector<std::byte>> stored_;
  std::vector<std::vector<float>> numbers_;
};

// Every place of the panels: an element, or a zero where none belongs.
void check(CpuDevice& device, const Parts& parts, int depth, DType stored) {
  const PackedMatrix packed = device.ops().pack(device, parts.all, depth);
  ASSERT_EQ(packed.dtype, stored);
  const std::vector<float> numbers = packed.panels.to_floats();
  ASSERT_EQ(std::ssize(numbers),
            std::ptrdiff_t{cpu::panels_of(packed.outputs)} * cpu::kWeightPanel * cpu::stored_depth(packed));
  for (int o = 0; o < cpu::panels_of(packed.outputs) * cpu::kWeightPanel; ++o)
    for (int k = 0; k < cpu::stored_depth(packed); ++k) {
      float want = o < packed.outputs && k < depth ? parts.at(o, k) : 0.0f;
      if (packed.pairs) want = bf16_to_f32(f32_to_bf16(want));
      const float got = numbers[static_cast<std::size_t>(cpu::Place(packed, o).at(k))];
      ASSERT_EQ(std::bit_cast<std::uint32_t>(got), std::bit_cast<std::uint32_t>(want))
          << "output " << o << " of " << packed.outputs << ", element " << k << " of " << depth;
    }
}

void check_all(CpuDevice& device) {
  std::mt19937_64 rng(1);
  std::uniform_int_distribution<int> some(1, 90);
  const bool pairs = device.products() == CpuDevice::Products::kBf16Dot;
  for (const DType type : kTypes)
    for (const int depth : {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 4097}) {
      const Parts parts({type, type, type}, {some(rng), some(rng), some(rng)}, depth, rng);
      check(device, parts, depth, pairs ? DType::kBF16 : type);
      if (::testing::Test::HasFatalFailure()) return;
    }
  for (const DType type : {DType::kF16, DType::kBF16}) {  // of more than one type
    const Parts parts({type, DType::kF32}, {some(rng), some(rng)}, 77, rng);
    check(device, parts, 77, pairs ? DType::kBF16 : DType::kF32);
  }
}

TEST(Pack, KeepsWhatIsStoredWhereItBelongs) {
  for (const int threads : {1, 3}) {
    CpuDevice device(threads);
    check_all(device);
  }
}

TEST(Pack, RoundsToPairsForBf16Dot) {
  if (!cpu::kernels_named("").gemm_pairs) GTEST_SKIP() << "no bf16 dot products in this processor";
  CpuDevice device(2, {}, CpuDevice::Products::kBf16Dot);
  check_all(device);
}

}  // namespace
}  // namespace evictbench
