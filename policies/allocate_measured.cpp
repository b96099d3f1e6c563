// How a budget is divided by what was measured: of the model, head scores and layer errors; of the prompt, attention.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "policies/stages.h"

namespace evictbench {
namespace {

std::int64_t sum(std::span<const std::int32_t> values) {
  return std::accumulate(values.begin(), values.end(), std::int64_t{0});
}

// The mean number of entries of a lane of the ranking: of an exact budget what is spent, so that parts of it sum up.
double mean_entries(const Ranking& ranking, const Budget& budget) {
  if (budget.rule == Budget::Rule::kPublished) return std::floor(budget.entries);
  return static_cast<double>(budget.total(ranking.shape)) / static_cast<double>(ranking.lengths.size());
}

// A layer's entries for each of its lanes, as far as there are so many.
Shares spread(const Ranking& ranking, std::span<const std::int64_t> layers) {
  const auto heads = static_cast<std::size_t>(ranking.heads());
  Shares shares;
  for (std::size_t i = 0; i < ranking.lengths.size(); ++i)
    shares.push_back(
        static_cast<std::int32_t>(std::clamp<std::int64_t>(layers[i / heads], 0, ranking.lengths[i])));
  return shares;
}

// policies_core 9.3, published: whole numbers that sum to the total; what rounding left over or took too much goes to
// or comes from the layers in the order of their scores.
std::vector<std::int64_t> whole_layers(std::span<const double> scores, std::int64_t mean) {
  constexpr std::int64_t kLeast = 32;
  const auto L = static_cast<std::int64_t>(scores.size());
  const std::int64_t most = 3 * mean;
  std::vector<std::int64_t> layers(scores.size(), kLeast);
  if (mean <= kLeast) return layers;
  const auto rest = static_cast<double>((mean - kLeast) * L);
  for (std::size_t l = 0; l < layers.size(); ++l)
    layers[l] = std::min(most, kLeast + static_cast<std::int64_t>(std::nearbyint(scores[l] * rest)));
  std::int64_t left = mean * L - std::accumulate(layers.begin(), layers.end(), std::int64_t{0});
  const std::int64_t step = left > 0 ? 1 : -1;
  std::vector<std::size_t> order(layers.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    return step > 0 ? scores[a] > scores[b] : scores[a] < scores[b];
  });
  for (std::int64_t before = 0; left != 0 && left != before;) {
    before = left;
    for (const std::size_t l : order)
      if (left != 0 && (step > 0 ? layers[l] < most : layers[l] > kLeast)) layers[l] += step, left -= step;
  }
  return layers;
}

// policies_core 6.3: what layers get when those up to the last of `preference` are done. Whole numbers; what is above
// `most`, and what rounding lost, is spread evenly over the layers below it.
std::vector<std::int64_t> cake_stage(std::span<const double> preference, std::int64_t total,
                                     std::int64_t most) {
  const double all = std::accumulate(preference.begin(), preference.end(), 0.0);
  std::vector<std::int64_t> layers;
  for (const double p : preference)
    layers.push_back(static_cast<std::int64_t>(
        (all > 0 ? p / all : 1 / static_cast<double>(preference.size())) * static_cast<double>(total)));
  std::int64_t above = 0;
  for (std::int64_t& x : layers) above += std::max<std::int64_t>(0, x - most), x = std::min(x, most);
  const auto give = [&](std::int64_t amount) {
    std::vector<std::size_t> room;
    for (std::size_t i = 0; i < layers.size(); ++i)
      if (layers[i] < most) room.push_back(i);
    if (amount <= 0 || room.empty()) return;
    const auto n = static_cast<std::int64_t>(room.size());
    for (std::size_t r = 0; r < room.size(); ++r)
      layers[room[r]] += amount / n + (static_cast<std::int64_t>(r) < amount % n ? 1 : 0);
  };
  give(above);
  give(total - std::accumulate(layers.begin(), layers.end(), std::int64_t{0}));
  for (std::int64_t& x : layers) x = std::min(x, most);
  return layers;
}

// A layer is cut again whenever another one is done. Nested prefixes: the smallest of its budgets is what remains.
std::vector<std::int64_t> cake_cascade(std::span<const double> preference, std::int64_t total,
                                       std::int64_t most) {
  std::vector<std::int64_t> past(preference.size(), most);
  for (std::size_t done = 1; done <= past.size(); ++done) {
    const auto stage = cake_stage(preference.first(done), total, most);
    for (std::size_t l = 0; l < done; ++l) past[l] = std::min(past[l], stage[l]);
  }
  return past;
}

}  // namespace

// policies_core 8.1.
Shares by_heads(const Ranking& ranking, const Budget& budget, std::span<const double> weights, double beta) {
  const bool exact = budget.rule == Budget::Rule::kExact;
  const double forced = ranking.protect.size(), past = mean_entries(ranking, budget) - forced;  // B
  if (past <= 0) return uniform(ranking, budget);
  if (!exact && past > ranking.shape.tokens - forced) return ranking.lengths;
  // Floor of the exact quotient of the two doubles, which a rounded quotient may miss.
  const double share = exact ? past / beta : std::nearbyint((past - std::fmod(past, beta)) / beta);
  const double shared = share * static_cast<double>(weights.size());
  std::vector<double> wanted;  // [L * heads]
  for (const double weight : weights) {
    const double own = weight * shared + (past - share);
    wanted.push_back(forced + (exact ? own : std::nearbyint(own)));
  }
  if (exact) return apportion(wanted, ranking.lengths, budget.total(ranking.shape));
  Shares shares;
  for (std::size_t i = 0; i < wanted.size(); ++i)
    shares.push_back(static_cast<std::int32_t>(std::min<double>(wanted[i], ranking.lengths[i])));
  return shares;
}

// policies_core 9.3.
Shares by_layers(const Ranking& ranking, const Budget& budget, std::span<const double> scores) {
  const double mean = mean_entries(ranking, budget);
  if (budget.rule == Budget::Rule::kPublished)
    return spread(ranking, whole_layers(scores, static_cast<std::int64_t>(mean)));
  const double least = std::min(32.0, mean), most = 3 * mean,
               rest = (mean - least) * static_cast<double>(scores.size());
  std::vector<double> wanted;  // [L * heads]
  for (const double score : scores)
    wanted.insert(wanted.end(), static_cast<std::size_t>(ranking.heads()),
                  std::min(most, least + score * rest));
  std::vector<std::int32_t> caps = ranking.lengths;
  for (std::int32_t& cap : caps) cap = static_cast<std::int32_t>(std::min<double>(cap, std::ceil(most)));
  const std::int64_t total = budget.total(ranking.shape);
  const Shares shares = apportion(wanted, caps, total);
  if (sum(shares) == std::min(total, sum(ranking.lengths))) return shares;
  wanted.assign(shares.begin(), shares.end());  // short lanes in the way: the limit gives way
  return apportion(wanted, ranking.lengths, total);
}

// policies_core 6.3.
Shares by_preference(const Ranking& ranking, const Budget& budget, std::span<const double> preference) {
  const int forced = ranking.protect.size(), T = ranking.shape.tokens;
  const double mean = mean_entries(ranking, budget), past = mean - forced;
  const auto layers = std::ssize(preference);
  const bool exact = budget.rule == Budget::Rule::kExact;
  if (!exact && T <= mean + forced) return ranking.lengths;  // so short a prompt is left whole
  if (past <= 0) return uniform(ranking, budget);
  if (!exact) {
    auto kept = cake_cascade(preference, static_cast<std::int64_t>(past) * layers, T - forced);
    for (std::int64_t& entries : kept) entries += forced;
    return spread(ranking, kept);
  }
  const double all = std::accumulate(preference.begin(), preference.end(), 0.0);
  if (!(all > 0)) return uniform(ranking, budget);
  std::vector<double> wanted;  // [L * heads]
  for (const double p : preference)
    wanted.insert(wanted.end(), static_cast<std::size_t>(ranking.heads()),
                  forced + p / all * past * static_cast<double>(layers));
  return apportion(wanted, ranking.lengths, budget.total(ranking.shape));
}

}  // namespace evictbench
