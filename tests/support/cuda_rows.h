#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "core/tensor.h"

// Tensors of any type for tests of the CUDA device, and what they are held against.
namespace evictbench {

inline std::vector<float> normal_numbers(std::mt19937& rng, std::size_t n, float scale = 1) {
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> numbers(n);
  std::ranges::generate(numbers, [&] { return normal(rng); });
  return numbers;
}

inline float rounded_to(DType dtype, float x) {
  if (dtype == DType::kBF16) return bf16_to_f32(f32_to_bf16(x));
  return dtype == DType::kF16 ? f16_to_f32(f32_to_f16(x)) : x;
}

// Numbers on a device, rounded to a type.
inline Tensor tensor_of(Device& device, DType dtype, const std::vector<float>& numbers,
                        std::vector<int> dims) {
  if (dtype == DType::kF32) return Tensor::from_host<float>(device, numbers, std::move(dims));
  std::vector<std::uint16_t> halves(numbers.size());
  std::ranges::transform(numbers, halves.begin(),
                         [&](float x) { return dtype == DType::kF16 ? f32_to_f16(x) : f32_to_bf16(x); });
  return Tensor::from_host<std::uint16_t>(device, halves, std::move(dims), dtype);
}

inline std::vector<std::uint32_t> bits_of(const Tensor& t) {
  std::vector<std::uint32_t> bits;
  for (const float x : t.to_floats()) bits.push_back(std::bit_cast<std::uint32_t>(x));
  return bits;
}

// Is each number the exact one, rounded once to its type? `slack` is what f32 arithmetic on the way may be off by.
inline void expect_rounded(const Tensor& got, const std::vector<double>& exact, double slack) {
  const double half_a_place = got.dtype() == DType::kBF16  ? 0x1p-8
                              : got.dtype() == DType::kF16 ? 0x1p-11
                                                           : 0x1p-24;
  const std::vector<float> numbers = got.to_floats();
  ASSERT_EQ(numbers.size(), exact.size());
  for (std::size_t i = 0; i < exact.size(); ++i)
    ASSERT_NEAR(numbers[i], exact[i], half_a_place * (std::abs(exact[i]) + slack) + slack + 0x1p-25)
        << "element " << i;
}

}  // namespace evictbench
