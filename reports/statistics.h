#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Means with 95 % intervals. Pure functions: the draws of a bootstrap depend on its key and its values alone.
namespace evictbench {

struct Interval {
  double low = 0, high = 0;
};

struct Estimate {
  std::size_t count = 0;
  double mean = 0;  // meaningless where count is 0
  std::optional<Interval> interval;
  std::string method;  // "wilson", "bootstrap", or "" where there is no interval
};

// Seed of a bootstrap, from names.
std::uint64_t key_of(std::initializer_list<std::string_view> names);

// Scores in [0, 1]. Where all are 0 or 1 the interval is Wilson's, which stays honest at 0 and 100 %, where a
// bootstrap has no width; otherwise it is a percentile bootstrap. Below two values there is none.
Estimate estimate_score(std::span<const double> scores, std::uint64_t key);

// Differences of pairs; percentile bootstrap over pairs.
Estimate estimate_difference(std::span<const double> differences, std::uint64_t key);

// The mean of the means of several groups, each counting the same; percentile bootstrap within every group. No interval
// where a group has one value, nothing where one has none.
Estimate estimate_mean_of_means(std::span<const std::vector<double>> groups, std::uint64_t key);

// Two-sided p of the mean of paired differences, were their signs chance (Fisher's test by sign flips). Exact where at most
// 30 are not 0 and where those that are not have one size (then it is the sign test); else of 20,000 draws or, where that is
// less, Hoeffding's bound 2 exp(-(sum d)^2 / (2 sum d^2)).
double sign_flip_p(std::span<const double> differences, std::uint64_t key);

// Holm's correction of several p values: below a level by chance in any one of them as seldom as in one alone.
std::vector<double> holm(std::span<const double> p);

// Spearman's rank correlation of two lists of one length; equal values share the mean of their ranks. 0 where all values
// of one list are equal.
double spearman(std::span<const double> a, std::span<const double> b);

}  // namespace evictbench
