// Weights on the CUDA device: how they are packed, what rows of them and products with them give.
#include <atomic>
#include <cstring>

#include "core/cuda/ops.h"
#include "tests/support/cuda.h"
#include "tests/support/cuda_rows.h"
#include "tests/support/fixtures.h"

namespace evictbench {
namespace {

using Matmul = CudaTest;

constexpr DType kStored[] = {DType::kF32, DType::kBF16, DType::kF16};

std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

// A weight matrix as a checkpoint has it, of one or two parts: held in memory, or read when asked for.
struct Weights {
  Weights(std::mt19937& rng, DType dtype, int rows_, int depth_)
      : rows(rows_), depth(depth_), numbers(normal_numbers(rng, size(rows) * size(depth))) {
    for (float& x : numbers) x = rounded_to(dtype, x);
    stored.resize(numbers.size() * size_of(dtype));
    const Tensor t = tensor_of(host(), dtype, numbers, {rows, depth});
    std::memcpy(stored.data(), t.at(0), stored.size());
    const int first = rows / 3;
    const std::size_t row_bytes = size(depth) * size_of(dtype);
    if (first > 0) parts.push_back({dtype, first, stored.data()});
    parts.push_back(
        {dtype, rows - first, nullptr, [this, first, row_bytes](int row, std::span<std::byte> to) {
           ++reads;
           std::memcpy(to.data(), stored.data() + size(first + row) * row_bytes, to.size());
         }});
  }
  Weights(const Weights&) = delete;

  int rows, depth;
  std::vector<float> numbers;  // [rows, depth]
  std::vector<std::byte> stored;
  std::vector<WeightRows> parts;
  std::atomic<int> reads{0};
};

TEST_F(Matmul, F32GivesTheBitsOfTheCpu) {
  CudaDevice card(DType::kF32);
  struct Shape {
    int rows, depth, outputs;
  };
  in_every_order([&] {
    std::mt19937 rng(1);
    for (const DType dtype : kStored)
      for (const auto& [N, depth, outputs] : {Shape{1, 77, 67}, Shape{5, 32, 64}, Shape{70, 45, 130},
                                              Shape{3, 1, 1}, Shape{4, 64, 3}, Shape{17, 33, 2}}) {
        const Weights weights(rng, dtype, outputs, depth);
        const std::vector<float> numbers = normal_numbers(rng, size(N * depth));
        const PackedMatrix of_cpu = host().ops().pack(host(), weights.parts, depth),
                           of_card = cuda::pack(card, weights.parts, depth);
        EXPECT_EQ(of_card.dtype, of_cpu.dtype);
        Tensor wanted(host(), DType::kF32, {N, outputs}), got(card, DType::kF32, {N, outputs});
        host().ops().matmul(host(), tensor_of(host(), DType::kF32, numbers, {N, depth}), of_cpu, wanted);
        cuda::matmul(card, tensor_of(card, DType::kF32, numbers, {N, depth}), of_card, got);
        EXPECT_EQ(bits_of(got), bits_of(wanted))
            << name_of(dtype) << " " << N << " " << depth << " " << outputs;
      }
  });
}

TEST_F(Matmul, RowsOfTheTableAreThoseOfTheCpu) {
  CudaDevice card(DType::kF32);
  std::mt19937 rng(2);
  const std::vector<std::int32_t> ids{40, 0, 7, 7, 21};
  in_every_order([&] {
    for (const DType dtype : kStored)
      for (const int depth : {1, 30, 64}) {
        const Weights weights(rng, dtype, 41, depth);
        Tensor wanted(host(), DType::kF32, {5, depth}), got(card, DType::kF32, {5, depth});
        host().ops().embed(host(), host().ops().pack(host(), weights.parts, depth), ids, wanted);
        cuda::embed(card, cuda::pack(card, weights.parts, depth), ids, got);
        EXPECT_EQ(bits_of(got), bits_of(wanted));
      }
  });
}

TEST_F(Matmul, TwoByteWeightsAreRoundedAndPadded) {
  std::mt19937 rng(3);
  for (const DType mode : {DType::kBF16, DType::kF16}) {
    CudaDevice card(mode);
    for (const DType dtype : kStored)
      for (const int depth : {1, 30, 64}) {
        const Weights weights(rng, dtype, 19, depth);
        const PackedMatrix packed = cuda::pack(card, weights.parts, depth);
        const int stride = (depth + 7) / 8 * 8;
        EXPECT_EQ(packed.dtype, mode);
        EXPECT_EQ(packed.panels.dtype(), mode);
        ASSERT_EQ(packed.panels.dims(), (std::vector<int>{19, stride}));
        const std::vector<float> got = packed.panels.to_floats();
        for (int r = 0; r < 19; ++r)
          for (int k = 0; k < stride; ++k)
            ASSERT_EQ(got[size(r * stride + k)],
                      k < depth ? rounded_to(mode, weights.numbers[size(r * depth + k)]) : 0.0f);

        const std::vector<std::int32_t> ids{18, 3};
        for (const DType to : {DType::kF32, mode}) {  // the residual stream, and learned positions
          Tensor rows(card, to, {2, depth});
          cuda::embed(card, packed, ids, rows);
          const std::vector<float> values = rows.to_floats();
          for (int i = 0; i < 2 * depth; ++i)
            ASSERT_EQ(values[size(i)], got[size(ids[size(i / depth)] * stride + i % depth)]);
        }
      }
  }
}

TEST_F(Matmul, TwoBytesMultiplyToOneRounding) {
  for (const DType mode : {DType::kBF16, DType::kF16}) {
    CudaDevice card(mode);
    std::mt19937 rng(4);
    const int N = 5, depth = 40, outputs = 24;
    const Weights weights(rng, mode, outputs, depth);
    std::vector<float> x = normal_numbers(rng, size(N * depth));
    for (float& v : x) v = rounded_to(mode, v);
    std::vector<double> exact(size(N * outputs));
    for (int n = 0; n < N; ++n)
      for (int o = 0; o < outputs; ++o)
        for (int k = 0; k < depth; ++k)
          exact[size(n * outputs + o)] +=
              double{x[size(n * depth + k)]} * double{weights.numbers[size(o * depth + k)]};
    const PackedMatrix w = cuda::pack(card, weights.parts, depth);
    for (const DType to : {DType::kF32, mode}) {
      Tensor y(card, to, {N, outputs});
      cuda::matmul(card, tensor_of(card, mode, x, {N, depth}), w, y);
      expect_rounded(y, exact, 1e-4);  // sums of 40 products in f32
    }
  }
}

TEST_F(Matmul, LargeWeightsComeInPieces) {
  CudaDevice card(DType::kBF16);
  std::mt19937 rng(5);
  const int rows = 9000, depth = 1000;  // 18 MB
  std::vector<std::uint16_t> stored(size(rows) * depth);
  for (std::uint16_t& x : stored) x = static_cast<std::uint16_t>(rng() & 0x3fffu);
  std::atomic<int> reads{0};
  const auto read = [&](int first, std::span<std::byte> to) {
    ++reads;
    std::memcpy(to.data(), stored.data() + size(first) * depth, to.size());
  };
  const WeightRows part{DType::kBF16, rows, nullptr, read};
  const PackedMatrix packed = cuda::pack(card, std::span(&part, 1), depth);
  EXPECT_GT(reads, 1);
  EXPECT_TRUE(packed.panels.to_host<std::uint16_t>() == stored);
}

TEST_F(Matmul, AFailureToReadIsPassedOn) {
  CudaDevice card(DType::kF32);
  const auto read = [](int first, std::span<std::byte> to) {
    if (first > 2000) throw Error(Exit::kInput, "the disk is gone");
    std::ranges::fill(to, std::byte{0});
  };
  const WeightRows part{DType::kF32, 9000, nullptr, read};
  EXPECT_THROW(cuda::pack(card, std::span(&part, 1), 2000), Error);
}

TEST_F(Matmul, ShapesMustFit) {
  CudaDevice card(DType::kF32);
  std::mt19937 rng(6);
  const Weights weights(rng, DType::kF32, 6, 4);
  const PackedMatrix w = cuda::pack(card, weights.parts, 4);
  const Tensor x = tensor_of(card, DType::kF32, normal_numbers(rng, 10), {2, 5});
  Tensor y(card, DType::kF32, {2, 6});
  EXPECT_THROW(cuda::matmul(card, x, w, y), Error);
  const Tensor none(card, DType::kF32, {0, 4});
  Tensor nothing(card, DType::kF32, {0, 6});
  cuda::matmul(card, none, w, nothing);
}

}  // namespace
}  // namespace evictbench
