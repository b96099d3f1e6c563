// Rotary tables against the formulas in long double, written here a second time.
#include "models/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace evictbench {
namespace {

RopeConfig llama3(double theta, double factor) {
  RopeConfig rope;
  rope.theta = theta;
  rope.kind = RopeConfig::Kind::kLlama3;
  rope.factor = factor;
  rope.low_freq_factor = 1;
  rope.high_freq_factor = 4;
  rope.original_max_positions = 8192;
  return rope;
}

RopeConfig with_dim(RopeConfig rope, int dim) {
  rope.dim = dim;
  return rope;
}

long double plain(double theta, int i, int dim) {
  return std::pow(static_cast<long double>(theta), -2.0L * i / dim);
}

// The rescaling of Llama 3.1, by turns made within the original context rather than by wavelength.
long double stretched(long double frequency, const RopeConfig& rope) {
  const long double turns = rope.original_max_positions * frequency / (2 * std::numbers::pi_v<long double>);
  const long double low = rope.low_freq_factor, high = rope.high_freq_factor, factor = rope.factor;
  if (turns >= high) return frequency;
  if (turns <= low) return frequency / factor;
  const long double share = (turns - low) / (high - low);
  return frequency * (share + (1 - share) / factor);
}

void expect_near(float got, long double want, double relative, int i) {
  EXPECT_LE(std::abs(static_cast<double>((got - want) / want)), relative) << i;
}

TEST(InverseFrequencies, AreThePowersOfTheta) {
  for (const double theta : {10000.0, 100000.0, 500000.0, 1e6})
    for (const int dim : {8, 64, 128}) {
      RopeConfig rope;
      rope.theta = theta;
      const std::vector<float> got = inverse_frequencies(with_dim(rope, dim));
      ASSERT_EQ(got.size(), static_cast<std::size_t>(dim / 2));
      EXPECT_EQ(got[0], 1.0f);
      // i / dim is exact: the power and its inverse are rounded to f32 once each
      for (int i = 0; i < dim / 2; ++i)
        expect_near(got[static_cast<std::size_t>(i)], plain(theta, i, dim), 1.2e-7, i);
    }
  RopeConfig rope;
  rope.theta = 10000;
  const std::vector<float> got = inverse_frequencies(with_dim(rope, 80));  // 2i / 80 is rounded to f32 too
  for (int i = 0; i < 40; ++i)
    expect_near(got[static_cast<std::size_t>(i)], plain(10000, i, 80), 1.2e-7 + 3e-8 * 9.3, i);
}

TEST(InverseFrequencies, OfLlama3AreStretchedAtTheLongEnd) {
  for (const auto& [rope, dim] : {std::pair{llama3(500000, 8), 128}, std::pair{llama3(500000, 32), 64}}) {
    const std::vector<float> got = inverse_frequencies(with_dim(rope, dim));
    int kept = 0, divided = 0, blended = 0;
    for (int i = 0; i < dim / 2; ++i) {
      const long double before = plain(rope.theta, i, dim), want = stretched(before, rope);
      expect_near(got[static_cast<std::size_t>(i)], want, 1e-6, i);
      ++(want == before ? kept : want == before / static_cast<long double>(rope.factor) ? divided : blended);
    }
    EXPECT_GT(kept, 0);
    EXPECT_GT(divided, 0);
    EXPECT_GT(blended, 0);
  }
}

TEST(RotaryRows, AreCosineAndSineOfTheRoundedAngle) {
  RopeConfig rope;
  rope.theta = 500000;
  rope = with_dim(rope, 64);
  const std::vector<float> frequencies = inverse_frequencies(rope);
  std::vector<std::int32_t> positions{0, 1, 2, 127, 128, 4095, 99'999};
  for (std::int32_t p = 7; p < 131'072; p += 997) positions.push_back(p);
  const RotaryRows rows = Rope(rope).rows(positions, positions);
  ASSERT_EQ(rows.cosines.size(), positions.size() * frequencies.size());
  ASSERT_EQ(rows.sines.size(), rows.cosines.size());
  std::size_t at = 0;
  for (const std::int32_t position : positions)
    for (const float frequency : frequencies) {
      const auto angle = static_cast<long double>(static_cast<float>(position) * frequency);
      EXPECT_EQ(rows.cosines[at], static_cast<float>(std::cos(angle))) << position << " x " << frequency;
      EXPECT_EQ(rows.sines[at], static_cast<float>(std::sin(angle))) << position << " x " << frequency;
      ++at;
    }
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    EXPECT_EQ(rows.cosines[i], 1.0f);
    EXPECT_EQ(rows.sines[i], 0.0f);
  }
}

}  // namespace
}  // namespace evictbench
