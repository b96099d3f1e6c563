// Narrow floating-point types against float64.
#include "core/dtype.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace evictbench {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

float of_bits(std::uint32_t bits) { return std::bit_cast<float>(bits); }

// The nearest f16 to x, ties to even, as a float64: a whole number of its steps.
double nearest_half(double x) {
  if (x == 0 || !std::isfinite(x)) return x;
  const int step = std::max(std::ilogb(x) - 10, -24);
  const double near = std::ldexp(std::nearbyint(std::ldexp(x, -step)), step);
  return std::abs(near) > 65504 ? std::copysign(std::numeric_limits<double>::infinity(), x) : near;
}

TEST(F16, OfEveryHalfIsThatHalf) {
  for (std::uint32_t half = 0; half < 0x10000; ++half) {
    const auto bits = static_cast<std::uint16_t>(half);
    const std::uint16_t back = f32_to_f16(f16_to_f32(bits));
    if (std::isnan(f16_to_f32(bits)))
      ASSERT_EQ(back, bits | 0x200u);  // quiet
    else
      ASSERT_EQ(back, bits);
  }
}

// Rounding is monotone, so what lies about the middle of two neighbours decides for all between them.
TEST(F16, RoundsAboutEveryMiddle) {
  for (std::uint32_t half = 0; half < 0x7bff; ++half)
    for (const float sign : {1.0f, -1.0f}) {
      const auto low = static_cast<std::uint16_t>(half | (sign < 0 ? 0x8000u : 0u)),
                 high = static_cast<std::uint16_t>(low + 1);
      const float middle = (f16_to_f32(low) + f16_to_f32(high)) / 2;  // exact
      ASSERT_EQ(f32_to_f16(std::nextafter(middle, 0.0f)), low);
      ASSERT_EQ(f32_to_f16(middle), half % 2 == 0 ? low : high);
      ASSERT_EQ(f32_to_f16(std::nextafter(middle, sign * kInfinity)), high);
    }
}

TEST(F16, IsTheNearestOfFloatsOfEverySize) {
  for (std::uint64_t bits = 0; bits <= 0xffffffffu; bits += 1009) {
    const float x = of_bits(static_cast<std::uint32_t>(bits)), back = f16_to_f32(f32_to_f16(x));
    if (std::isnan(x)) {
      ASSERT_TRUE(std::isnan(back)) << bits;
    } else {
      ASSERT_EQ(double{back}, nearest_half(double{x})) << bits;
      ASSERT_EQ(std::signbit(back), std::signbit(x)) << bits;
    }
  }
}

TEST(F16, AtTheEdges) {
  EXPECT_EQ(f32_to_f16(65504.0f), 0x7bff);
  EXPECT_EQ(f32_to_f16(std::nextafter(65520.0f, 0.0f)), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(-kInfinity), 0xfc00);
  EXPECT_EQ(f32_to_f16(0x1p-25f), 0);
  EXPECT_EQ(f32_to_f16(std::nextafter(0x1p-25f, 1.0f)), 1);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(f32_to_f16(-0.0f), 0x8000);
  EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(of_bits(0x7f800001u)))));  // not an infinity
}

}  // namespace
}  // namespace evictbench
