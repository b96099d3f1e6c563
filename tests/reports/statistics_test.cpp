// Rank correlation and tests of differences against values worked by hand.
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

TEST(SignFlip, OfOneSizeIsTheSignTest) {
  EXPECT_EQ(sign_flip_p(Values{}, 1), 1);
  EXPECT_EQ(sign_flip_p(Values{0, 0}, 1), 1);
  EXPECT_EQ(sign_flip_p(Values{1, 1, -1}, 1), 1);
  EXPECT_DOUBLE_EQ(sign_flip_p(Values{-1, -1, 0, -1, -1, -1}, 1), 2.0 / 32);
  Values of20(20, 0.5);
  for (int i = 0; i < 5; ++i) of20[static_cast<std::size_t>(i)] = -0.5;
  EXPECT_NEAR(sign_flip_p(of20, 1), 2 * 21700.0 / 1048576, 1e-12);  // 15 or more heads in 20 throws
  EXPECT_NEAR(sign_flip_p(Values(2000, 1), 1), 0, 1e-300);
}

TEST(SignFlip, OfFewDifferencesIsExact) {
  EXPECT_DOUBLE_EQ(sign_flip_p(Values{3, 1, 1}, 1), 2.0 / 8);   // only 3 + 1 + 1 is as large
  EXPECT_DOUBLE_EQ(sign_flip_p(Values{3, 1, -1}, 1), 6.0 / 8);  // 5, 3 and 3
  EXPECT_DOUBLE_EQ(sign_flip_p(Values{.1, .2, .3}, 1), 2.0 / 8);
}

TEST(SignFlip, OfUpToThirtyIsWhatAllSignsGive) {
  Values differences;
  for (int i = 1; i <= 18; ++i) differences.push_back(i % 3 == 0 ? -i : i);
  const double sum = 45;  // 171 - 2 (3 + 6 + .. + 18)
  std::size_t extreme = 0;
  for (std::size_t signs = 0; signs < std::size_t{1} << 18; ++signs) {
    double other = 0;
    for (std::size_t i = 0; i < 18; ++i) other += (signs >> i & 1) != 0 ? -differences[i] : differences[i];
    extreme += std::abs(other) >= sum;
  }
  EXPECT_DOUBLE_EQ(sign_flip_p(differences, 1), static_cast<double>(extreme) / (1 << 18));
  differences.clear();
  for (int i = 1; i <= 30; ++i) differences.push_back(i);
  EXPECT_DOUBLE_EQ(sign_flip_p(differences, 1), 2 * std::exp2(-30));
}

// More are drawn: near the normal distribution of their sum, and below Hoeffding's bound where draws find nothing.
TEST(SignFlip, OfMoreDifferencesIsDrawnOrBounded) {
  Values differences;
  double sum = 0, squares = 0;
  for (int i = 1; i <= 60; ++i) {
    differences.push_back(i % 3 == 0 ? -i : i);
    sum += differences.back();
    squares += i * i;
  }
  const double normal = std::erfc(sum / std::sqrt(2 * squares));
  EXPECT_NEAR(sign_flip_p(differences, 1), normal, 0.01);
  EXPECT_EQ(sign_flip_p(differences, 1), sign_flip_p(differences, 1));
  EXPECT_NE(sign_flip_p(differences, 1), sign_flip_p(differences, 2));
  for (double& d : differences) d = std::abs(d);
  EXPECT_DOUBLE_EQ(sign_flip_p(differences, 1), 2 * std::exp(-1830.0 * 1830 / (2 * squares)));
}

TEST(Holm, ByHand) {
  EXPECT_EQ(holm(Values{}), Values{});
  const Values corrected = holm(Values{0.01, 0.04, 0.03, 0.5});
  EXPECT_DOUBLE_EQ(corrected[0], 0.04);
  EXPECT_DOUBLE_EQ(corrected[2], 0.09);
  EXPECT_DOUBLE_EQ(corrected[1], 0.09);  // 0.08, but never below one that was smaller
  EXPECT_DOUBLE_EQ(corrected[3], 0.5);
}

}  // namespace
}  // namespace evictbench
