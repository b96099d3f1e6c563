// The scalar definitions of compute mode f32: how near they are to the truth, in which order they add, and a seal over
// their bits.
#include "core/numerics.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace evictbench {
namespace {

// A little above the largest errors seen on the sets below: 0.894 and 2.778; 1.34e-16, 4.06e-16 and 1.30e-16.
constexpr double kExpUlps = 0.95, kLogUlps = 1.1;                          // f32, units in the last place
constexpr double kExp64 = 1.5e-16, kLog64 = 4.5e-16, kSinCos64 = 1.5e-16;  // relative, relative, absolute
constexpr std::uint64_t kSeal = 1480923506957081500u;

float float_of(std::uint32_t bits) { return std::bit_cast<float>(bits); }

// Distance from the true value in units of the last place of an f32 of that size.
double f32_ulps(float got, double want) {
  const int exponent = std::max(std::ilogb(want), -126);
  return std::abs(static_cast<double>(got) - want) / std::ldexp(1.0, exponent - 23);
}

TEST(F32, ExpIsWithinOneUlpOfTheTruth) {
  double worst = 0;
  float at = 0;
  const auto look = [&](float x) {
    const double off = f32_ulps(numerics::exp(x), std::exp(static_cast<double>(x)));
    if (off > worst) worst = off, at = x;
  };
  for (std::uint32_t bits = 0; bits <= std::bit_cast<std::uint32_t>(88.0f); bits += 101) look(float_of(bits));
  for (std::uint32_t bits = 0x80000000u; bits <= std::bit_cast<std::uint32_t>(-87.0f); bits += 101)
    look(float_of(bits));
  RecordProperty("worst_ulps", std::to_string(worst));
  EXPECT_LT(worst, kExpUlps) << "at " << at;
}

TEST(F32, ExpKeepsItsCorners) {
  EXPECT_EQ(numerics::exp(0.0f), 1.0f);
  EXPECT_EQ(numerics::exp(-0.0f), 1.0f);
  EXPECT_GT(numerics::exp(-87.0f), 0x1p-126f);  // normal
  EXPECT_TRUE(std::isfinite(numerics::exp(88.0f)));
  for (const float x : {std::nextafter(-87.0f, -100.0f), -88.0f, -1e30f, -INFINITY})
    EXPECT_EQ(std::bit_cast<std::uint32_t>(numerics::exp(x)), 0u) << x;
  for (const float x : {std::nextafter(88.0f, 100.0f), 89.0f, 1e30f, INFINITY})
    EXPECT_EQ(numerics::exp(x), INFINITY) << x;
  EXPECT_TRUE(std::isnan(numerics::exp(NAN)));
}

TEST(F32, LogIsWithinOneUlpOfTheTruth) {
  double worst = 0;
  float at = 0;
  const auto look = [&](std::uint32_t bits) {
    const float x = float_of(bits);
    if (x == 1.0f) return;
    const double off = f32_ulps(numerics::log(x), std::log(static_cast<double>(x)));
    if (off > worst) worst = off, at = x;
  };
  for (std::uint32_t bits = 0x00800000u; bits < 0x7f800000u; bits += 101) look(bits);
  const std::uint32_t one = std::bit_cast<std::uint32_t>(1.0f);
  for (std::uint32_t bits = one - 100'000; bits < one + 100'000; ++bits) look(bits);
  RecordProperty("worst_ulps", std::to_string(worst));
  EXPECT_LT(worst, kLogUlps) << "at " << at;
  EXPECT_EQ(numerics::log(1.0f), 0.0f);
}

TEST(F64, ExpAndLogAreWithinAFewParts) {
  std::mt19937_64 rng(1);
  std::uniform_real_distribution<double> exponents(-699, 699), logarithms(-700, 700), near(0.5, 2);
  double worst_exp = 0, worst_log = 0;
  const auto look_log = [&](double x) {
    const long double want = std::log(static_cast<long double>(x));
    if (want == 0) return;
    worst_log = std::max(worst_log, static_cast<double>(std::abs((numerics::log(x) - want) / want)));
  };
  for (int i = 0; i < 400'000; ++i) {
    const double x = i % 2 ? exponents(rng) : exponents(rng) / 700;
    const long double want = std::exp(static_cast<long double>(x));
    worst_exp = std::max(worst_exp, static_cast<double>(std::abs((numerics::exp(x) - want) / want)));
    look_log(std::exp(logarithms(rng)));
    look_log(near(rng));
  }
  RecordProperty("worst_exp", std::to_string(worst_exp * 1e16) + "e-16");
  RecordProperty("worst_log", std::to_string(worst_log * 1e16) + "e-16");
  EXPECT_LT(worst_exp, kExp64) << "relative";
  EXPECT_LT(worst_log, kLog64) << "relative";
  EXPECT_EQ(numerics::exp(0.0), 1.0);
  EXPECT_EQ(numerics::log(1.0), 0.0);
}

TEST(F64, SineAndCosineAreNearTheTruth) {
  std::mt19937_64 rng(2);
  for (const double range : {1.0, 100.0, 1e5, 0x1p20}) {
    std::uniform_real_distribution<double> angles(-range, range);
    double worst = 0;
    for (int i = 0; i < 200'000; ++i) {
      // every other angle close to a quarter turn, where one of the two is small
      const double x = i % 2 ? angles(rng) : std::round(angles(rng) / M_PI_2) * M_PI_2;
      const numerics::SinCos got = numerics::sin_cos(x);
      const auto off = [&](double value, long double want) {
        worst = std::max(worst, static_cast<double>(std::abs(value - want)));
      };
      off(got.sine, std::sin(static_cast<long double>(x)));
      off(got.cosine, std::cos(static_cast<long double>(x)));
    }
    RecordProperty("worst_to_" + std::to_string(static_cast<int>(range)),
                   std::to_string(worst * 1e16) + "e-16");
    EXPECT_LT(worst, kSinCos64) << "absolute, angles to " << range;
  }
  EXPECT_EQ(numerics::sin_cos(0).sine, 0.0);
  EXPECT_EQ(numerics::sin_cos(0).cosine, 1.0);
}

// --- orders. 2^24 + 1 is not an f32: whether a small term survives tells with what it was added first ---------------

constexpr float kBig = 0x1p24f;

TEST(Order, DotIsOneAscendingFusedChain) {
  const float ones[] = {1, 1, 1, 1};
  const float lost[] = {kBig, 1, 1, -kBig};  // each 1 is rounded away on its own; paired they would be 2
  EXPECT_EQ(numerics::dot(lost, ones, 4), 0.0f);
  const float kept[] = {1, 1, kBig, -kBig};
  EXPECT_EQ(numerics::dot(kept, ones, 4), 2.0f);
  const float a[] = {1, 1 + 0x1p-12f},
              b[] = {-1 - 0x1p-11f, 1 + 0x1p-12f};  // the exact square has a bit at 2^-24
  EXPECT_EQ(numerics::dot(a, b, 2), 0x1p-24f);
  EXPECT_EQ(numerics::dot(a, b, 0), 0.0f);
}

TEST(Order, RowSumsHaveSixteenAccumulatorsFoldedInHalves) {
  std::vector<float> x(48, 0.0f);
  x[3] = kBig, x[19] = 1, x[35] = -kBig;  // one accumulator: 1 is lost
  EXPECT_EQ(numerics::row_sum(x.data(), 48), 0.0f);
  x[19] = 0, x[20] = 1;  // another accumulator, met after kBig - kBig
  EXPECT_EQ(numerics::row_sum(x.data(), 48), 1.0f);
  // folds: the partner at distance 8 first, then 4, 2, 1
  for (const int distance : {8, 4, 2}) {
    std::vector<float> y(16, 0.0f);
    y[0] = kBig, y[static_cast<std::size_t>(distance)] = -kBig, y[static_cast<std::size_t>(distance / 2)] = 1;
    EXPECT_EQ(numerics::row_sum(y.data(), 16), 1.0f) << distance;
    y[static_cast<std::size_t>(distance)] = 1, y[static_cast<std::size_t>(distance / 2)] = -kBig;
    EXPECT_EQ(numerics::row_sum(y.data(), 16), 0.0f) << distance;
  }
}

TEST(Order, SumsFollowTheWrittenDefinition) {
  std::mt19937 rng(3);
  std::normal_distribution<float> normal;
  for (int n = 1; n < 100; ++n) {
    std::vector<float> x(static_cast<std::size_t>(n));
    for (float& v : x) v = normal(rng);
    float sums[16] = {}, squares[16] = {};
    for (int i = 0; i < n; ++i) {
      const float v = x[static_cast<std::size_t>(i)];
      sums[i % 16] = sums[i % 16] + v;
      squares[i % 16] = std::fma(v, v, squares[i % 16]);
    }
    const auto folded = [](const float* s) {  // (((0+8)+(4+12)) + ((2+10)+(6+14))) + the same of the odd ones
      const auto four = [&](int i) { return (s[i] + s[i + 8]) + (s[i + 4] + s[i + 12]); };
      return (four(0) + four(2)) + (four(1) + four(3));
    };
    EXPECT_EQ(numerics::row_sum(x.data(), n), folded(sums)) << n;
    EXPECT_EQ(numerics::square_sum(x.data(), n), folded(squares)) << n;
  }
}

// Any change of these bits changes every result of compute mode f32: new goldens everywhere, or a mistake.
TEST(Seal, BitsAreThoseOfThisVersion) {
  std::vector<std::uint64_t> bits;
  const auto add32 = [&](float x) { bits.push_back(std::bit_cast<std::uint32_t>(x)); };
  const auto add64 = [&](double x) { bits.push_back(std::bit_cast<std::uint64_t>(x)); };
  std::vector<float> row;
  std::uint32_t state = 12345;
  for (int i = 0; i < 4096; ++i) {
    state = state * 1664525u + 1013904223u;
    const float unit = static_cast<float>(state >> 8) * 0x1p-24f;  // [0, 1)
    row.push_back(unit - 0.5f);
    add32(numerics::exp(unit * 176 - 88));
    add32(numerics::log(float_of(0x00800000u + state % 0x7f000000u)));
    add64(numerics::exp(static_cast<double>(unit) * 1000 - 500));
    add64(numerics::log(static_cast<double>(unit) * 1e6 + 1e-6));
    const numerics::SinCos turn = numerics::sin_cos(static_cast<double>(unit) * 2e5 - 1e5);
    add64(turn.sine);
    add64(turn.cosine);
  }
  for (const int n : {1, 15, 16, 17, 64, 1000}) {
    add32(numerics::dot(row.data(), row.data() + 1000, n));
    add32(numerics::row_sum(row.data(), n));
    add32(numerics::square_sum(row.data(), n));
  }
  EXPECT_EQ(XXH3_64bits(bits.data(), bits.size() * sizeof bits[0]), kSeal);
}

TEST(F32, RankKeysAscendAsNumbersDescend) {
  constexpr float kInf = std::numeric_limits<float>::infinity(), kMax = std::numeric_limits<float>::max();
  const float descending[] = {kInf, kMax, 2.5f, 1.0f, 1e-44f, 0.0f, -1e-44f, -1.0f, -kMax, -kInf};
  for (std::size_t i = 1; i < std::size(descending); ++i)
    EXPECT_LT(numerics::rank_key(descending[i - 1]), numerics::rank_key(descending[i])) << i;
  EXPECT_EQ(numerics::rank_key(0.0f), numerics::rank_key(-0.0f));
  EXPECT_GT(numerics::rank_key(kInf), 0u);
}

}  // namespace
}  // namespace evictbench
