#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "policies/calibration.h"

// Head scores and head orders as files and as sets that compare.
namespace evictbench {

// Heads from the best mean down, the lower one first on a tie: layer * H + head.
std::vector<int> ranking(std::span<const double> means);

// {"LAYER-HEAD": [a score of every trial], ...}, and {"LAYER": [head, ...], ...} with the best first: one line each, as
// published. `trials` [trials][L * H].
std::string scores_text(int layers, int heads, std::span<const std::vector<double>* const> trials);
std::string order_text(const HeadOrder& order);

// A file of either form; of an order only, there are no means.
struct HeadSet {
  HeadOrder order;
  std::vector<double> means;  // [L * H], or empty
};
HeadSet read_head_set(const std::string& path);

// What two sets have in common. Shapes that differ are an Error (exit 8).
struct HeadComparison {
  int layers = 0, heads = 0;
  int k = 0;                                 // best heads of a layer
  std::vector<int> shared;                   // [L] of these
  double mean_shared = 0, by_chance = 0;     // of a layer
  std::vector<double> layer_correlations;    // [L] Spearman's, over the heads of a layer
  std::vector<std::pair<int, int>> overall;  // best K of the model, shared; empty where one is an order
  std::optional<double> correlation;         // Spearman's, over all heads; nothing where one is an order
};
HeadComparison compare_heads(const HeadSet& a, const HeadSet& b, int k);

}  // namespace evictbench
