// Rank correlation against values worked by hand.
#include "reports/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/error.h"

namespace evictbench {
namespace {

using Values = std::vector<double>;

TEST(Spearman, IsOneForTheSameOrderAndMinusOneForTheReverse) {
  EXPECT_NEAR(spearman(Values{1, 2, 3, 4}, Values{.1, 20, 300, 300.5}), 1, 1e-15);
  EXPECT_NEAR(spearman(Values{1, 2, 3, 4}, Values{4, 3, 2, 1}), -1, 1e-15);
}

TEST(Spearman, ByHand) {
  // Ranks 0 1 2 3 4 and 1 0 3 2 4: 1 - 6 * 4 / (5 * 24).
  EXPECT_NEAR(spearman(Values{10, 20, 30, 40, 50}, Values{2, 1, 4, 3, 5}), .8, 1e-15);
}

TEST(Spearman, EqualValuesShareTheMeanOfTheirRanks) {
  // Ranks 0.5 0.5 2 3 and 0 1 2 3, about 1.5: products 1.5 + .5 + .25 + 2.25 over sqrt(4.5 * 5).
  EXPECT_NEAR(spearman(Values{0, 0, 1, 2}, Values{1, 2, 3, 4}), 4.5 / std::sqrt(4.5 * 5), 1e-15);
}

TEST(Spearman, IsNoughtWhereAllValuesOfAListAreEqual) {
  EXPECT_EQ(spearman(Values{1, 1, 1}, Values{1, 2, 3}), 0);
  EXPECT_EQ(spearman(Values{5}, Values{7}), 0);
}

TEST(Spearman, ListsOfUnequalLengthsAreABug) {
  EXPECT_THROW(spearman(Values{1, 2}, Values{1}), Error);
  EXPECT_THROW(spearman(Values{}, Values{}), Error);
}

}  // namespace
}  // namespace evictbench
