#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/shape.h"
#include "policies/options.h"

// What was measured of a model once, read from files as the methods publish them. Heads are placed by their keys,
// whatever the order of the file; every refusal is exit 4 and names file, line and key.
namespace evictbench {

// How much each query head retrieves: {"LAYER-HEAD": [a score of every trial], ...}
struct HeadScores {
  std::string file;
  int layers = 0, heads = 0;  // L, H
  std::vector<double> means;  // [L * H] over the trials; their sum is positive

  // HeadKV's share of each lane: (mean / sum)^temperature, scaled to sum to 1 and added up over the heads that read it.
  std::vector<double> lane_weights(const KvShape& shape, double temperature) const;  // [L * G]
};

// The query heads of each layer, best first: {"LAYER": [head, ...], ...}
struct HeadOrder {
  std::string file;
  int layers = 0, heads = 0;
  std::vector<int> order;  // [L * H]

  std::vector<int> best(const KvShape& shape, int k) const;  // [L * k]
};

// How much the output of each layer suffers: {"avg_score": [a score of every layer], one list per dataset, ...}
struct LayerScores {
  std::string file;
  std::vector<double> scores;  // [L], which sum to 1

  const std::vector<double>& of(const KvShape& shape) const;
};

// The lists of a file of layer scores: of each dataset a score of every layer [L], which sum to 1.
using DatasetScores = std::vector<std::pair<std::string, std::vector<double>>>;

HeadScores read_head_scores(const Options::File& file);
bool holds_head_scores(const Options::File& file);  // as against an order of heads
// Also from head scores: by mean, the lower head on a tie.
HeadOrder read_head_order(const Options::File& file);
LayerScores read_layer_scores(const Options::File& file);
// All but the average. One JSON object, or one on each line with a dataset or more, as CompressKV collects them.
DatasetScores read_dataset_scores(const Options::File& file);
// Their mean, of one or more: every dataset counts the same, however long its answers.
std::vector<double> average_of(const DatasetScores& datasets);

}  // namespace evictbench
