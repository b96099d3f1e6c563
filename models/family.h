#pragma once

#include <string>
#include <vector>

#include "models/config.h"
#include "models/safetensors.h"
#include "models/weights.h"

namespace evictbench {

// What sets one family of checkpoints apart: how its config reads, what its weights are called, what must be there.
struct Family {
  std::string model_type;  // of config.json
  std::string summary;     // one line for `list families`
  DecoderConfig (*config)(const std::string& folder);
  WeightNames names;
  void (*check)(const SafetensorsFolder&,
                const DecoderConfig&);  // throws Error unless the files fit the config
};

const std::vector<Family>& all_families();                                          // sorted by model_type
const Family& family_of(const std::string& model_type, const std::string& folder);  // unknown: Error (exit 4)
int register_family(Family family);

}  // namespace evictbench
