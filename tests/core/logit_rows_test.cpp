#include "core/logit_rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "core/error.h"

namespace evictbench {
namespace {

using Row = std::vector<float>;

Row some_row(std::size_t n, unsigned seed, float spread) {
  std::mt19937 rng(seed);
  Row row(n);
  for (float& x : row) x = spread * (static_cast<float>(rng() % 65536) / 32768 - 1);
  return row;
}

long double log_sum(const Row& row) {
  long double sum = 0;
  const float top = *std::max_element(row.begin(), row.end());
  for (const float x : row) sum += std::exp(static_cast<long double>(x) - top);
  return top + std::log(sum);
}

long double kl_of(const Row& p, const Row& q) {
  const long double a = log_sum(p), b = log_sum(q);
  long double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i)
    sum += std::exp(p[i] - a) * ((p[i] - a) - (static_cast<long double>(q[i]) - b));
  return sum;
}

double ours(const Row& p, const Row& q) {
  std::vector<double> weights(p.size());
  const LogitRow full = survey(p, weights);
  return divergence(p, weights, full, q, survey(q));
}

TEST(LogitRows, AgreeWithLongDoubles) {
  for (const std::size_t n : {1u, 2u, 15u, 16u, 17u, 257u, 4099u})
    for (const float spread : {0.001f, 1.0f, 30.0f, 500.0f}) {
      const Row p = some_row(n, 1, spread), q = some_row(n, 2, spread);
      EXPECT_NEAR(survey(p).log_sum, static_cast<double>(log_sum(p)),
                  4e-15 * (1 + std::abs(survey(p).log_sum)));
      const auto expected = static_cast<double>(kl_of(p, q));
      EXPECT_NEAR(ours(p, q), expected, 1e-12 * expected + 4e-15) << n << " " << spread;
    }
}

TEST(LogitRows, ByHand) {
  const Row p{0, 0}, q{std::log(3.0f), 0};  // 1/2 1/2 and 3/4 1/4
  EXPECT_NEAR(survey(p).log_sum, std::log(2), 1e-15);
  EXPECT_NEAR(ours(p, q), std::log(2 / std::sqrt(3)), 1e-7);
  EXPECT_NEAR(ours(q, p), 0.75 * std::log(1.5) + 0.25 * std::log(0.5), 1e-7);
}

TEST(LogitRows, WeightsChangeNothingAndEqualRowsAreExactlyZeroApart) {
  const Row p = some_row(1003, 3, 20);
  std::vector<double> weights(p.size());
  const LogitRow with = survey(p, weights), without = survey(p);
  EXPECT_EQ(with.log_sum, without.log_sum);
  EXPECT_EQ(with.sum, without.sum);
  EXPECT_EQ(weights[static_cast<std::size_t>(with.best)], 1.0);
  EXPECT_EQ(divergence(p, weights, with, p, without), 0.0);
}

TEST(LogitRows, TheBestIsTheFirstOfTheGreatest) {
  EXPECT_EQ(survey(Row{1, 3, 3, 2}).best, 1);
  EXPECT_EQ(survey(Row{-5}).best, 0);
}

TEST(LogitRows, ExtremesStayNumbersAndWhatIsNoNumberIsTold) {
  const float most = std::numeric_limits<float>::max();
  const LogitRow row = survey(Row{most, -most, 0});
  EXPECT_EQ(row.best, 0);
  EXPECT_EQ(row.log_sum, double{most});
  EXPECT_TRUE(std::isfinite(ours({most, -most}, {-most, most})));
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()})
    EXPECT_EQ(survey(Row{1, bad, 2}).best, -1);
  EXPECT_THROW(survey({}), Error);
  EXPECT_THROW(ours({1, 2}, {1}), Error);
}

}  // namespace
}  // namespace evictbench
