// How repositories divide a budget where they differ from the paper and from each other.
#include <algorithm>
#include <cmath>

#include "policies/stages.h"

namespace evictbench {
namespace {

// Of every layer's lanes, as far as there are so many.
Shares of_layers(const Ranking& ranking, const std::vector<double>& layers) {
  const auto heads = static_cast<std::size_t>(ranking.heads());
  Shares shares;
  for (std::size_t i = 0; i < ranking.lengths.size(); ++i)
    shares.push_back(static_cast<std::int32_t>(
        std::clamp(layers[i / heads], 0.0, static_cast<double>(ranking.lengths[i]))));
  return shares;
}

}  // namespace

// policies_core 5.2.
Shares pyramid_frozen(const Ranking& ranking, const Budget& budget, double beta, int first_prompt) {
  const int window = ranking.protect.size(), layers = ranking.shape.layers,
            T = first_prompt > 0 ? first_prompt : ranking.shape.tokens;
  const double mean = std::floor(budget.entries) - window, past = std::max(0, T - window);
  if (mean <= 0 || layers == 1) return uniform(ranking, budget);
  double low = std::floor(mean / beta), high = 2 * mean - low;
  if (high >= past) high = past, low = 2 * mean - high;  // low may be the higher one now
  const double step = std::floor((high - low) / (layers - 1));
  std::vector<double> wanted;  // [L]
  for (int layer = 0; layer < layers; ++layer) wanted.push_back(window + high - layer * step);
  return of_layers(ranking, wanted);
}

// policies_core 5.3.
Shares pyramid_rounded(const Ranking& ranking, const Budget& budget, double beta) {
  const int layers = ranking.shape.layers, T = ranking.shape.tokens;
  const double mean = budget.entries, window = ranking.protect.size();
  double low = mean / beta, high = 2 * mean - low;
  if (high >= T - window) high = T - window, low = 2 * mean - high;
  if (!(T >= high && high >= low && low >= window))
    return of_layers(
        ranking, std::vector<double>(static_cast<std::size_t>(layers), std::max(1.0, std::nearbyint(mean))));
  const double step = layers > 1 ? (high - low) / (layers - 1) : 0;
  std::vector<double> wanted;  // [L]
  for (int layer = 0; layer < layers; ++layer) wanted.push_back(std::nearbyint(high - layer * step));
  return of_layers(ranking, wanted);
}

// policies_core 7.4.
Shares safeguarded(const Scores& scores, const Ranking& ranking, const Budget& budget, double alpha) {
  const int window = ranking.protect.size(), heads = ranking.heads();
  const auto mean = std::clamp(static_cast<std::int64_t>(budget.entries), std::int64_t{1},
                               std::int64_t{ranking.shape.tokens});
  if (mean <= window) return uniform(ranking, {static_cast<double>(mean), budget.rule});
  const int own = std::max(window, static_cast<int>(static_cast<double>(mean) * alpha));
  Ranking contested = rank(scores, ranking.protect);
  contested.protect.window = own;  // behind the window the best scores, which are safe too
  Device& device = scores.values.device();
  const auto won = device.ops().contest(
      device, scores, contested,
      std::vector<std::int64_t>(static_cast<std::size_t>(ranking.shape.layers), heads * (mean - own)));
  Shares shares;
  for (std::size_t i = 0; i < won.size(); ++i) shares.push_back(std::min(ranking.lengths[i], own + won[i]));
  return shares;
}

}  // namespace evictbench
