// How a budget is divided: between lanes (uniform), layers (pyramid) and heads of a layer (adaptive).
#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "policies/stages.h"

namespace evictbench {
namespace {

// Whole parts, as far as each lane has so many.
Shares floored(std::span<const double> wanted, std::span<const std::int32_t> caps) {
  Shares shares;
  for (std::size_t i = 0; i < wanted.size(); ++i)
    shares.push_back(
        static_cast<std::int32_t>(std::clamp(std::floor(wanted[i]), 0.0, static_cast<double>(caps[i]))));
  return shares;
}

// The mean number of entries of a lane of the ranking. The exact unit is a KV head's entry, also where every query
// head has a lane of its own.
double mean_entries(const Ranking& ranking, const Budget& budget) {
  if (budget.rule == Budget::Rule::kPublished) return std::floor(budget.entries);
  return budget.entries * ranking.shape.kv_heads / ranking.heads();
}

}  // namespace

namespace {

// Parts that are equal in exact arithmetic are equal here, whatever rounding their sums met: to a multiple of 2^-24.
std::vector<double> snapped(std::span<const double> wanted) {
  std::vector<double> out;
  for (const double x : wanted) out.push_back(std::nearbyint(x * 0x1p24) * 0x1p-24);
  return out;
}

}  // namespace

// Largest remainder: whole parts first, then one each by descending fraction, ties to the lower lane, round after
// round while a lane has room.
Shares apportion(std::span<const double> asked, std::span<const std::int32_t> caps, std::int64_t total) {
  const std::vector<double> wanted = snapped(asked);
  Shares shares = floored(wanted, caps);
  std::int64_t left = total - std::accumulate(shares.begin(), shares.end(), std::int64_t{0});
  require(left >= 0, "apportion: more wanted than there is");

  const auto given_by = [&](std::int64_t rounds) {  // what that many whole rounds give out
    std::int64_t given = 0;
    for (std::size_t i = 0; i < shares.size(); ++i)
      given += std::min<std::int64_t>(rounds, caps[i] - shares[i]);
    return given;
  };
  std::int64_t rounds = 0, most = caps.empty() ? 0 : std::ranges::max(caps);
  while (rounds < most) {  // the most rounds that can be paid for
    const std::int64_t middle = (rounds + most + 1) / 2;
    if (given_by(middle) <= left)
      rounds = middle;
    else
      most = middle - 1;
  }
  left -= given_by(rounds);
  for (std::size_t i = 0; i < shares.size(); ++i)
    shares[i] += static_cast<std::int32_t>(std::min<std::int64_t>(rounds, caps[i] - shares[i]));

  std::vector<std::size_t> order(wanted.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater{},
                           [&](std::size_t i) { return wanted[i] - std::floor(wanted[i]); });
  for (const std::size_t i : order)
    if (left > 0 && shares[i] < caps[i]) ++shares[i], --left;
  return shares;
}

Shares uniform(const Ranking& ranking, const Budget& budget) {
  const std::size_t lanes = ranking.lengths.size();
  if (budget.rule == Budget::Rule::kPublished)
    return floored(std::vector<double>(lanes, budget.entries), ranking.lengths);
  const std::int64_t total = budget.total(ranking.shape);
  const std::vector<double> wanted(lanes, static_cast<double>(total) / static_cast<double>(lanes));
  return apportion(wanted, ranking.lengths, total);
}

// policies_core 5.1: a line from the lowest layer to the highest; uniform where the prompt is short.
Shares pyramid(const Ranking& ranking, const Budget& budget, double beta) {
  const bool exact = budget.rule == Budget::Rule::kExact;
  const auto whole = [&](double x) { return exact ? x : std::floor(x); };
  const int forced = ranking.protect.size(), T = ranking.shape.tokens, layers = ranking.shape.layers;
  const double entries = mean_entries(ranking, budget);
  const double mean = entries - forced;  // B, the past tokens of an average lane
  if (mean <= 0 || T <= entries || T < 2 * mean || layers == 1) return uniform(ranking, budget);
  const double past = T - forced;
  double low = whole(mean / beta), high = 2 * mean - low;
  if (high >= past) high = past, low = 2 * mean - high;
  const double step = whole((high - low) / (layers - 1));
  std::vector<double> wanted;  // [L * heads]
  for (int layer = 0; layer < layers; ++layer)
    wanted.insert(wanted.end(), static_cast<std::size_t>(ranking.heads()), forced + high - layer * step);
  return exact ? apportion(wanted, ranking.lengths, budget.total(ranking.shape))
               : floored(wanted, ranking.lengths);
}

// policies_core 7.2: the heads of a layer compete for its entries; alpha blends what they win with an equal share.
Shares adaptive(const Scores& scores, const Ranking& ranking, const Shares& even, const Budget& budget,
                double alpha) {
  const bool exact = budget.rule == Budget::Rule::kExact;
  if (mean_entries(ranking, budget) > ranking.shape.tokens) return even;  // keeps everything
  const auto heads = static_cast<std::size_t>(ranking.heads()), layers = even.size() / heads;
  const std::int32_t forced = ranking.protect.size();
  std::vector<std::int64_t> contested(layers);  // [L] entries that the heads of a layer compete for
  for (std::size_t i = 0; i < even.size(); ++i) contested[i / heads] += std::max(0, even[i] - forced);
  Device& device = scores.values.device();
  const auto won = device.ops().contest(device, scores, ranking, contested);  // [L * heads]

  Shares shares;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const std::size_t first = layer * heads;
    const auto mine = std::span(even).subspan(first, heads);
    const auto caps = std::span(ranking.lengths).subspan(first, heads);
    const double mean =
        static_cast<double>(contested[layer]) / static_cast<double>(heads);  // B of this layer
    std::vector<double> wanted;                                              // [heads]
    for (std::size_t i = first; i < first + heads; ++i) {
      const double blend = exact ? (1 - alpha) * won[i] + alpha * mean
                                 : std::nearbyint((1 - alpha) * won[i] + std::trunc(alpha * mean));
      wanted.push_back(std::min(even[i], forced) + blend);
    }
    const auto total = std::accumulate(mine.begin(), mine.end(), std::int64_t{0});
    const Shares layer_shares = exact ? apportion(wanted, caps, total) : floored(wanted, caps);
    shares.insert(shares.end(), layer_shares.begin(), layer_shares.end());
  }
  return shares;
}

}  // namespace evictbench
