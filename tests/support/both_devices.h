#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "core/cuda/device.h"
#include "core/ops.h"
#include "tests/support/cuda_rows.h"
#include "tests/support/fixtures.h"

// The same numbers on the host device, in f32, and on a CUDA device, in its own type.
namespace evictbench {

inline std::vector<float> rounded(std::vector<float> x, DType to) {
  for (float& v : x) v = rounded_to(to, v);
  return x;
}

struct Both {
  Tensor on_host, on_card;
  Both() = default;
  Both(Device& card, DType dtype, const std::vector<float>& x, const std::vector<int>& dims)
      : on_host(tensor_of(host(), DType::kF32, x, dims)), on_card(tensor_of(card, dtype, x, dims)) {}
};

inline std::size_t elements(const std::vector<int>& dims) {
  std::size_t n = 1;
  for (const int d : dims) n *= static_cast<std::size_t>(d);
  return n;
}

inline Both random_both(Device& card, DType dtype, const std::vector<int>& dims, std::mt19937& rng,
                        float deviation = 1) {
  return {card, dtype, rounded(normal_numbers(rng, elements(dims), deviation), dtype), dims};
}

struct BothKv {
  DenseKv on_host, on_card;
};

// The caches of a prompt; rows behind its tokens are 0.
inline BothKv random_caches(Device& card, DType dtype, const KvShape& s, std::mt19937& rng) {
  BothKv kv{random_kv(s, rng), DenseKv(card, s.layers, s.kv_heads, s.tokens, s.head_dim, dtype)};
  for (auto part : {&DenseKv::keys, &DenseKv::values}) {
    const std::vector<float> x = rounded((kv.on_host.*part).to_floats(), dtype);
    kv.on_host.*part = tensor_of(host(), DType::kF32, x, (kv.on_host.*part).dims());
    kv.on_card.*part = tensor_of(card, dtype, x, (kv.on_card.*part).dims());
  }
  return kv;
}

// Bit by bit, so that a -0 is no 0; says where they part.
inline void expect_same_bits(std::span<const float> got, std::span<const float> want,
                             const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_EQ(std::bit_cast<std::uint32_t>(got[i]), std::bit_cast<std::uint32_t>(want[i]))
        << what << ": element " << i << ", " << got[i] << " and not " << want[i];
}
inline void expect_same_bits(const Tensor& got, const Tensor& want, const std::string& what) {
  expect_same_bits(got.to_floats(), want.to_floats(), what);
}

constexpr DType kWorkingTypes[] = {DType::kF32, DType::kBF16, DType::kF16};

}  // namespace evictbench
