#pragma once

#include <string>
#include <vector>

#include "harness/commands.h"
#include "harness/sweep.h"

namespace evictbench {

// `evictbench layers MODEL`: what it is told.
struct LayerMeasurement {
  SweepModel model;
  Where where;
  std::string tasks;  // a file; empty: tasks that the program brings along
  std::vector<std::string> overrides;
  std::string head_scores;  // of this model
  int heads = 4;            // of each layer that choose
  std::string out, dump;    // score file; trials as token ids, or empty
  bool json = false;

  // Measures every example that `out`.part.jsonl does not hold yet, writes scores and sidecar. -> exit code
  int run() const;
};

extern const char* const kLayerTasks;  // calibration/layers.yaml

}  // namespace evictbench
