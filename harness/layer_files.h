#pragma once

#include <string>
#include <vector>

#include "policies/calibration.h"

// Files of layer scores: how they are written, and several of them made into one.
namespace evictbench {

// {"DATASET": [a score of every layer], ..., "avg_score": [...]}, as CompressKV publishes it. At least one dataset.
std::string layer_scores_text(const DatasetScores& datasets);

// All datasets of the files, and their average, to `out`; what their sidecars say goes into one beside it, if all have
// one. Errors (exit 4): a dataset twice, other numbers of layers, sidecars of two models.
void average_layer_files(const std::vector<std::string>& files, const std::string& out);

}  // namespace evictbench
