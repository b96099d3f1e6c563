#pragma once

#include <string>
#include <vector>

#include "models/config.h"
#include "models/tensor_files.h"
#include "models/weights.h"

namespace evictbench {

// What sets one family of checkpoints apart: how its config reads and what its weights are called.
struct Family {
  std::string model_type;  // of config.json
  std::string summary;     // one line for `list families`
  DecoderConfig (*config)(const Json& config);
  WeightNames (*names)(const DecoderConfig&, const TensorFiles&);
};

const std::vector<Family>& all_families();    // sorted by model_type
const Family& family_of(const Json& config);  // of an unknown model_type: Error (exit 4)
int register_family(Family family);

}  // namespace evictbench
