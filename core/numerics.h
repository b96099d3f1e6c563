#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

// The arithmetic of compute mode f32: the same bits on every machine and at every vector width. Every sum has
// one order, written here; a faster kernel may change where numbers lie, never the order in which they meet.
// Compile with -ffp-contract=off and without fast-math. No call here leaves the IEEE basic operations and fma.
// Everything is forced inline: these functions are compiled for several instruction paths (core/cpu/kernels_impl.h).
//
// Attention, as core/cpu does it: logits are chains over ascending d; the keys of a row are met in blocks of 128
// absolute positions; a block's partial (maximum, sum, output) depends on its present keys alone: the sum uses 16
// accumulators by position mod 16, the output is one chain over ascending position, an absent key is skipped; partials
// merge in ascending order, the first one as it is, empty blocks not at all.
namespace evictbench::numerics {

// Compiled for a card too, where core/cuda/ uses it: the same operations, the same bits.
#if defined(__CUDACC__)
#define EVICTBENCH_NUMERICS __device__ __forceinline__
#define EVICTBENCH_TABLE __device__ constexpr
#else
#define EVICTBENCH_NUMERICS [[gnu::always_inline]] inline
#define EVICTBENCH_TABLE constexpr
#endif

constexpr int kBlock = 128;  // attention meets its keys in blocks of this many absolute positions
constexpr int kLanes = 16;   // accumulators of a row sum: element i goes to accumulator i mod 16

EVICTBENCH_NUMERICS float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
EVICTBENCH_NUMERICS float sqrt(float x) { return __builtin_sqrtf(x); }

// One chain of fused multiply-adds over ascending k. Vectors run across outputs, never along this sum.
EVICTBENCH_NUMERICS float dot(const float* a, const float* b, int n) {
  float sum = 0;
  for (int k = 0; k < n; ++k) sum = fma(a[k], b[k], sum);
  return sum;
}

// One step of mode bf16dot, as vdpbf16ps takes it: two elements of depth, each multiplied and added in f32 with one
// rounding to nearest even, the odd one first; subnormals count as 0 and become 0.
EVICTBENCH_NUMERICS float flushed(float x) {
  return (std::bit_cast<std::uint32_t>(x) & 0x7f800000u) ? x : __builtin_copysignf(0.0f, x);
}
EVICTBENCH_NUMERICS float dot_bf16(float sum, float x_even, float x_odd, float w_even, float w_odd) {
  sum = flushed(fma(flushed(x_odd), flushed(w_odd), flushed(sum)));
  return flushed(fma(flushed(x_even), flushed(w_even), sum));
}

EVICTBENCH_NUMERICS float fold(float (&acc)[kLanes]) {
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) acc[i] += acc[i + half];
  return acc[0];
}

EVICTBENCH_NUMERICS float row_sum(const float* x, int n) {
  float acc[kLanes] = {};
  for (int i = 0; i < n; ++i) acc[i % kLanes] += x[i];
  return fold(acc);
}

EVICTBENCH_NUMERICS float square_sum(const float* x, int n) {
  float acc[kLanes] = {};
  for (int i = 0; i < n; ++i) acc[i % kLanes] = fma(x[i], x[i], acc[i % kLanes]);
  return fold(acc);
}

// Ascending keys are descending numbers; -0 and +0 have one key. No number has key 0.
EVICTBENCH_NUMERICS std::uint32_t rank_key(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x + 0.0f);
  return bits & 0x80000000u ? bits : bits ^ 0x7fffffffu;
}

constexpr float kLog2e = 0x1.715476p+0f, kLn2High = 0x1.62e400p-1f, kLn2Low = 0x1.7f7d1cp-20f;
constexpr float kRounder = 0x1.8p23f;  // x + kRounder holds round(x), half to even, in its low mantissa bits
constexpr float kExpLow = -87.0f, kExpHigh = 88.0f;  // below: 0, above: infinity; never a subnormal
EVICTBENCH_TABLE float kExpTaylor[] = {1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24,
                                       1.0f / 6,    0.5f,       1.0f,       1.0f};

// e^x to about one unit in the last place; exp(0) = 1 exactly, exp(-inf) = 0.
EVICTBENCH_NUMERICS float exp(float x) {
  if (x < kExpLow) return 0;
  if (x > kExpHigh) return __builtin_inff();
  const float shifted = fma(x, kLog2e, kRounder);
  const float n = shifted - kRounder;
  const float r = fma(n, -kLn2Low, fma(n, -kLn2High, x));  // x - n ln 2, |r| <= ln 2 / 2
  float p = kExpTaylor[0];
  for (int i = 1; i < 8; ++i) p = fma(p, r, kExpTaylor[i]);
  return p * std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted) + 127) << 23);  // times 2^n, exact
}

// cap tanh(x / cap) to about 2e-7 cap: tanh u = (1 - e^-2|u|) / (1 + e^-2|u|), with the sign of u.
EVICTBENCH_NUMERICS float softcap(float x, float cap) {
  const float u = x / cap, t = exp(-2.0f * (u < 0 ? -u : u)), tanh = (1.0f - t) / (1.0f + t);
  return cap * (u < 0 ? 0.0f - tanh : tanh);
}

// x = mantissa 2^exponent for normal x > 0, the mantissa in [sqrt(1/2), sqrt(2)).
constexpr std::int32_t kSqrtHalfBits = 0x3f3504f3;
EVICTBENCH_NUMERICS std::int32_t exponent_of(float x) {
  return (std::bit_cast<std::int32_t>(x) - kSqrtHalfBits) >> 23;
}
EVICTBENCH_NUMERICS float mantissa_of(float x) {
  return std::bit_cast<float>(std::bit_cast<std::int32_t>(x) - exponent_of(x) * (1 << 23));
}

EVICTBENCH_TABLE float kAtanh[] = {2.0f / 9, 2.0f / 7, 2.0f / 5, 2.0f / 3};

// ln x for normal x > 0, to about one unit in the last place: ln(1 + f) = f - (f^2/2 - s (f^2/2 + R(s^2))) with
// s = f / (2 + f), whose large term f is exact.
EVICTBENCH_NUMERICS float log(float x) {
  const float f = mantissa_of(x) - 1;
  const float s = f / (2 + f), z = s * s, e = static_cast<float>(exponent_of(x)), half_square = 0.5f * f * f;
  float p = kAtanh[0];
  for (int i = 1; i < 4; ++i) p = fma(p, z, kAtanh[i]);
  const float rest = fma(s, fma(p, z, half_square), e * kLn2Low) - half_square;
  return fma(e, kLn2High, f + rest);  // e kLn2High is exact
}

// Double precision, for tables that are made once and rounded to f32: within a few 1e-16, the same bits everywhere.
EVICTBENCH_NUMERICS double log(double x) {  // normal x > 0
  const auto bits = std::bit_cast<std::int64_t>(x) - std::bit_cast<std::int64_t>(0x1.6a09e667f3bcdp-1);
  const std::int64_t exponent = bits >> 52;
  const double m = std::bit_cast<double>(std::bit_cast<std::int64_t>(x) - exponent * (std::int64_t{1} << 52));
  const double s = (m - 1) / (m + 1), z = s * s;
  double p = 0;
  for (int i = 23; i >= 3; i -= 2) p = __builtin_fma(p, z, 2.0 / i);
  const double e = static_cast<double>(exponent);
  constexpr double kHigh = 0x1.62e42fee00000p-1, kLow = 0x1.a39ef35793c76p-33;  // ln 2
  return __builtin_fma(e, kHigh, __builtin_fma(s, __builtin_fma(p, z, 2.0), e * kLow));
}

EVICTBENCH_NUMERICS double exp(double x) {  // |x| < 700
  constexpr double kHigh = 0x1.62e42fee00000p-1, kLow = 0x1.a39ef35793c76p-33;
  constexpr double kShift = 0x1.8p52;
  const double shifted = __builtin_fma(x, 0x1.71547652b82fep+0, kShift), n = shifted - kShift;
  const double r = __builtin_fma(n, -kLow, __builtin_fma(n, -kHigh, x));
  double p = 1;
  for (int i = 18; i >= 1; --i) p = __builtin_fma(p, r / i, 1.0);
  return p * std::bit_cast<double>((std::bit_cast<std::uint64_t>(shifted) + 1023) << 52);
}

struct SinCos {
  double sine, cosine;
};

// Of any |x| < 2^20: a quarter turn is taken off in three parts, the rest is a Taylor series.
EVICTBENCH_NUMERICS SinCos sin_cos(double x) {
  constexpr double kShift = 0x1.8p52;
  constexpr double kA = 0x1.921fb50000000p+0, kB = 0x1.110b460000000p-26,
                   kC = 0x1.1a62633145c07p-54;  // pi / 2
  const double shifted = __builtin_fma(x, 0x1.45f306dc9c883p-1, kShift), n = shifted - kShift;
  const double r = __builtin_fma(n, -kC, __builtin_fma(n, -kB, __builtin_fma(n, -kA, x))), z = r * r;
  double sine = 0, cosine = 0;
  for (int i = 17; i >= 3; i -= 2) sine = __builtin_fma(sine, z, 1.0) * (-1.0 / (i * (i - 1)));
  sine = __builtin_fma(sine * z, r, r);
  for (int i = 18; i >= 2; i -= 2) cosine = __builtin_fma(cosine, z, 1.0) * (-1.0 / (i * (i - 1)));
  cosine = __builtin_fma(cosine, z, 1.0);
  switch (std::bit_cast<std::uint64_t>(shifted) & 3u) {
    case 0:
      return {sine, cosine};
    case 1:
      return {cosine, -sine};
    case 2:
      return {-sine, -cosine};
    default:
      return {-cosine, sine};
  }
}

}  // namespace evictbench::numerics
