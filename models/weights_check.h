#pragma once

#include "models/config.h"
#include "models/tensor_files.h"
#include "models/weights.h"

namespace evictbench {

// Every tensor of a decoder is there with the shape that the config asks for, and nothing else that would change
// what it computes. Looks at headers only, except that a head stored beside tied embeddings must equal them.
void check_tensors(const TensorFiles& files, const WeightNames& names, const DecoderConfig& config);

}  // namespace evictbench
