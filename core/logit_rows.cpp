#include "core/logit_rows.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "core/error.h"
#include "core/numerics.h"

namespace evictbench {
namespace {

constexpr std::size_t kLanes = numerics::kLanes;

// e^x for x <= 0, to about 2e-16; below -700 it is e^-700. numerics::exp(double) makes tables and takes its time; here
// every logit passes through, so no fma, which without the instruction is a call.
inline double exp_below(double x) {
  constexpr double kHigh = 0x1.62e42fee00000p-1, kLow = 0x1.a39ef35793c76p-33;  // ln 2
  constexpr double kShift = 0x1.8p52;
  constexpr std::array kTaylor{
      1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
      1.0 / 120,       1.0 / 24,       1.0 / 6,       1.0 / 2,      1.0,         1.0};
  x = x < -700.0 ? -700.0 : x;
  const double shifted = x * 0x1.71547652b82fep+0 + kShift, n = shifted - kShift;
  const double r = (x - n * kHigh) - n * kLow;  // n kHigh is exact; |r| <= ln 2 / 2
  double p = kTaylor[0];
  for (std::size_t i = 1; i < kTaylor.size(); ++i) p = p * r + kTaylor[i];
  return p * std::bit_cast<double>((std::bit_cast<std::uint64_t>(shifted) + 1023) << 52);  // times 2^n
}

double fold(std::array<double, kLanes>& sums) {
  for (std::size_t half = kLanes / 2; half > 0; half /= 2)
    for (std::size_t i = 0; i < half; ++i) sums[i] += sums[i + half];
  return sums[0];
}

// The sum of term(i) for i in [0, n): whole groups of 16 first, so that vectors may run across them.
template <class Term>
double sum_of(std::size_t n, const Term& term) {
  std::array<double, kLanes> sums{};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += term(i + lane);
  for (std::size_t lane = 0; i < n; ++i, ++lane) sums[lane] += term(i);
  return fold(sums);
}

}  // namespace

LogitRow survey(std::span<const float> logits, std::span<double> weights) {
  require(!logits.empty() && (weights.empty() || weights.size() == logits.size()),
          "survey: a row of logits and as many weights");
  if (!std::ranges::all_of(logits, [](float x) { return std::isfinite(x); })) return {};
  const auto greatest = std::ranges::max_element(logits);
  const double top = double{*greatest};
  const float* x = logits.data();
  double* to = weights.data();
  LogitRow row{static_cast<std::int32_t>(greatest - logits.begin()), 0, 0};
  row.sum = weights.empty()
                ? sum_of(logits.size(), [=](std::size_t i) { return exp_below(double{x[i]} - top); })
                : sum_of(logits.size(), [=](std::size_t i) { return to[i] = exp_below(double{x[i]} - top); });
  row.log_sum = top + numerics::log(row.sum);
  return row;
}

double divergence(std::span<const float> p_logits, std::span<const double> weights, const LogitRow& p,
                  std::span<const float> q_logits, const LogitRow& q) {
  require(p_logits.size() == weights.size() && p_logits.size() == q_logits.size(),
          "divergence: rows of one length");
  const float *x = p_logits.data(), *y = q_logits.data();
  const double* w = weights.data();
  const double apart = p.log_sum - q.log_sum;
  const double sum =
      sum_of(weights.size(), [=](std::size_t i) { return w[i] * ((double{x[i]} - double{y[i]}) - apart); });
  return sum / p.sum;
}

}  // namespace evictbench
