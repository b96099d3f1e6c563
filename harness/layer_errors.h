#pragma once

#include <functional>
#include <span>
#include <vector>

#include "harness/evaluate.h"

// Layer error scores: how much the output of each layer suffers when its cache is cut to what CompressKV keeps of 32
// entries a lane. Lin et al. 2025, arXiv:2508.02401; error of a layer at one decode step, behind the output projection:
//   |O_kept - O_full| / (|O_full| + 1e-5)
namespace evictbench {

constexpr int kErrorBudget = 32;  // entries a lane

// Of one row [C], in float64.
double output_error(std::span<const float> kept, std::span<const float> full);

struct LayerErrors {
  std::vector<double> sums;  // [L] over the steps
  int steps = 0;             // tokens that were fed after the prompt
  Tokens answer;             // greedy, without its end
};

// Answers `prompt` from the full cache; at every step each layer attends with the same query to what `policy` keeps of
// the prompt, and all new tokens, too. No error of a layer reaches another. A prompt of kErrorBudget tokens or fewer is
// kept whole. Of the limits count those that say where an answer ends.
LayerErrors layer_errors(Device& device, const Model& model, std::span<const std::int32_t> prompt,
                         const Policy& policy, const DecodeLimits& limits,
                         const std::function<void()>& checkpoint = {});

}  // namespace evictbench
