#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "core/cpu/kernels.h"

// Tests of kernels over every instruction path of this machine, to the bit.
namespace evictbench {

using Rng = std::mt19937;

inline std::size_t size(int n) { return static_cast<std::size_t>(n); }

inline std::vector<float> normals(int n, Rng& rng, float scale = 1) {
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> x(size(n));
  for (float& v : x) v = normal(rng);
  return x;
}

// Bit for bit, except that any NaN is a NaN.
inline bool same(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b) ||
         (std::isnan(a) && std::isnan(b));
}

inline void expect_same(const std::vector<float>& got, const std::vector<float>& want,
                        const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_TRUE(same(got[i], want[i])) << what << ", number " << i << ": " << got[i] << " for " << want[i];
}

class Path : public testing::TestWithParam<const cpu::Kernels*> {
 protected:
  const cpu::Kernels& kernels() const { return *GetParam(); }
};

}  // namespace evictbench
