#pragma once

#include <string>
#include <vector>

#include "harness/head_measure.h"

namespace evictbench {

// `evictbench heads MODEL --ablate`: what the best heads of each score file are worth, against random heads.
struct HeadAblation : HeadInput {
  std::vector<std::string> scores;  // files, one for each kind
  std::vector<int> counts;          // K; empty: the usual ones
  int draws = 10;                   // of random heads

  // Writes ablation.json, .csv, .md and .html, and answers.jsonl as it goes: a run that was stopped goes on. Returns the
  // exit code.
  int run() const;
};

}  // namespace evictbench
