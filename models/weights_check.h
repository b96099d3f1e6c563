#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/config.h"
#include "models/tensor_files.h"
#include "models/weights.h"

namespace evictbench {

// Every tensor of a decoder is there with the shape that the config asks for, and nothing else that would change
// what it computes. Looks at headers only, except that a head stored beside tied embeddings must equal them.
void check_tensors(const TensorFiles& files, const WeightNames& names, const DecoderConfig& config);

// A weight as a config has it; in the name {} stands for the layer, of which it then has one each.
struct WeightShape {
  std::string name;
  std::vector<std::int64_t> dims;
  bool is_per_layer = false;
};
// All that a decoder loads: without the head where it is the embedding table.
std::vector<WeightShape> weight_shapes(const WeightNames& names, const DecoderConfig& config);

}  // namespace evictbench
