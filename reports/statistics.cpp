#include "reports/statistics.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/error.h"

namespace evictbench {
namespace {

constexpr int kResamples = 1000;
constexpr int kLowRank = 25, kHighRank = 975;  // 2.5 % of the resamples lie outside on each side
constexpr double kZ = 1.959963984540054;       // 97.5 % quantile of the normal distribution

// The splitmix64 finaliser: draw number `counter` of the stream `key`.
std::uint64_t draw(std::uint64_t key, std::uint64_t counter) {
  std::uint64_t x = key + (counter + 1) * 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// From 0 to n - 1, n < 2^32.
std::size_t below(std::size_t n, std::uint64_t random) { return ((random >> 32) * n) >> 32; }

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Of the mean of the groups' means.
Interval bootstrap(std::span<const std::span<const double>> groups, std::uint64_t key) {
  std::array<double, kResamples> means;
  std::uint64_t counter = 0;
  for (double& resampled : means) {
    resampled = 0;
    for (const std::span<const double> values : groups) {
      double sum = 0;
      for (std::size_t i = 0; i < values.size(); ++i)
        sum += values[below(values.size(), draw(key, counter++))];
      resampled += sum / static_cast<double>(values.size());
    }
    resampled /= static_cast<double>(groups.size());
  }
  std::sort(means.begin(), means.end());
  return {means[kLowRank - 1], means[kHighRank]};
}

Interval wilson(double share, double count) {
  const double spread = kZ * kZ / count;
  const double centre = (share + spread / 2) / (1 + spread);
  const double half = kZ / (1 + spread) * std::sqrt((share * (1 - share) + spread / 4) / count);
  return {std::clamp(centre - half, 0.0, share), std::clamp(centre + half, share, 1.0)};
}

std::vector<double> ranks(std::span<const double> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, {}, [&](std::size_t i) { return values[i]; });
  std::vector<double> out(values.size());
  for (std::size_t first = 0, last = 0; first < order.size(); first = last) {
    while (last < order.size() && values[order[last]] == values[order[first]]) ++last;
    for (std::size_t i = first; i < last; ++i) out[order[i]] = static_cast<double>(first + last - 1) / 2;
  }
  return out;
}

// Of at least `most` heads, or at least as many tails, in n throws of a coin, 2 most >= n: a sum of n over k / 2^n, from the
// middle one outward.
double both_tails(std::size_t n, std::size_t most) {
  const std::size_t half = n / 2;
  double share = 1;  // of `half` heads in 2 half throws, then in n
  for (std::size_t i = 1; i <= half; ++i)
    share *= static_cast<double>(2 * i - 1) / static_cast<double>(2 * i);
  if (n % 2 != 0) share *= static_cast<double>(n) / static_cast<double>(n + 1);
  double tail = 0;
  for (std::size_t heads = n - half, last = n + 1; heads < last; ++heads) {
    if (heads >= most) tail += share;
    share *= static_cast<double>(n - heads) / static_cast<double>(heads + 1);
  }
  return std::min(1.0, 2 * tail);
}

// The sums of all choices of signs, ascending.
std::vector<double> signed_sums(std::span<const double> sizes) {
  std::vector<double> sums(std::size_t{1} << sizes.size());
  for (std::size_t signs = 0; signs < sums.size(); ++signs)
    for (std::size_t i = 0; i < sizes.size(); ++i)
      sums[signs] += (signs >> i & 1) != 0 ? -sizes[i] : sizes[i];
  std::ranges::sort(sums);
  return sums;
}

// The share of all choices of signs whose sum is `least` or more: sums of one half meet those of the other in order.
double share_from(std::span<const double> sizes, double least) {
  const std::size_t half = sizes.size() / 2;
  const std::vector<double> a = signed_sums(sizes.first(half)), b = signed_sums(sizes.subspan(half));
  std::size_t count = 0, first = b.size();  // of b from which on it suffices
  for (const double sum : a) {
    while (first > 0 && sum + b[first - 1] >= least) --first;
    count += b.size() - first;
  }
  return static_cast<double>(count) / std::exp2(sizes.size());
}

}  // namespace

std::uint64_t key_of(std::initializer_list<std::string_view> names) {
  std::string text;
  for (const std::string_view name : names) (text += name) += '\0';
  return XXH3_64bits(text.data(), text.size());
}

Estimate estimate_score(std::span<const double> scores, std::uint64_t key) {
  if (scores.empty()) return {};
  const auto is_binary = [](double score) { return score == 0 || score == 1; };
  if (scores.size() < 2 || !std::all_of(scores.begin(), scores.end(), is_binary))
    return estimate_difference(scores, key);
  const double share = mean(scores);
  return {scores.size(), share, wilson(share, static_cast<double>(scores.size())), "wilson"};
}

Estimate estimate_difference(std::span<const double> differences, std::uint64_t key) {
  if (differences.empty()) return {};
  Estimate estimate{differences.size(), mean(differences), std::nullopt, ""};
  if (differences.size() >= 2) {
    estimate.interval = bootstrap(std::span(&differences, 1), key);
    estimate.method = "bootstrap";
  }
  return estimate;
}

Estimate estimate_mean_of_means(std::span<const std::vector<double>> groups, std::uint64_t key) {
  Estimate estimate{0, 0, std::nullopt, ""};
  std::vector<std::span<const double>> values;
  bool spread = !groups.empty();
  for (const std::vector<double>& group : groups) {
    if (group.empty()) return {};
    estimate.count += group.size();
    estimate.mean += mean(group) / static_cast<double>(groups.size());
    values.emplace_back(group);
    spread &= group.size() >= 2;
  }
  if (spread) {
    estimate.interval = bootstrap(values, key);
    estimate.method = "bootstrap";
  }
  return estimate;
}

double sign_flip_p(std::span<const double> differences, std::uint64_t key) {
  constexpr std::size_t kExact = 30, kDraws = 20000;
  std::vector<double> sizes;
  double observed = 0, all = 0, squares = 0;
  std::size_t above = 0;
  for (const double d : differences) {
    if (d == 0) continue;
    sizes.push_back(std::abs(d));
    observed += d;
    all += std::abs(d);
    squares += d * d;
    above += d > 0;
  }
  const std::size_t n = sizes.size();
  if (n == 0) return 1;
  if (std::ranges::all_of(sizes, [&](double size) { return size == sizes.front(); }))
    return both_tails(n, std::max(above, n - above));
  const double least =
      std::abs(observed) - 1e-12 * all;  // sums of the same numbers in another order count as equal
  if (least <= 0) return 1;
  if (n <= kExact) return std::min(1.0, 2 * share_from(sizes, least));
  std::size_t extreme = 0;
  for (std::size_t i = 0; i < kDraws; ++i) {
    std::uint64_t bits = 0;
    double sum = 0;
    for (std::size_t k = 0; k < n; ++k) {
      if (k % 64 == 0) bits = draw(key, i * ((n + 63) / 64) + k / 64);
      sum += (bits >> k % 64 & 1) != 0 ? -sizes[k] : sizes[k];
    }
    extreme += std::abs(sum) >= least;
  }
  return std::min(static_cast<double>(extreme + 1) / static_cast<double>(kDraws + 1),
                  2 * std::exp(-observed * observed / (2 * squares)));
}

std::vector<double> holm(std::span<const double> p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, {}, [&](std::size_t i) { return p[i]; });
  std::vector<double> out(p.size());
  double most = 0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    most = std::max(most, std::min(1.0, static_cast<double>(order.size() - rank) * p[order[rank]]));
    out[order[rank]] = most;
  }
  return out;
}

double spearman(std::span<const double> a, std::span<const double> b) {
  require(a.size() == b.size() && !a.empty(), "a correlation of lists of unequal lengths");
  const std::vector<double> x = ranks(a), y = ranks(b);
  const double middle = static_cast<double>(x.size() - 1) / 2;  // the mean of the ranks of either
  double xy = 0, xx = 0, yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - middle) * (y[i] - middle);
    xx += (x[i] - middle) * (x[i] - middle);
    yy += (y[i] - middle) * (y[i] - middle);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

}  // namespace evictbench
