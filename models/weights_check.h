#pragma once

#include "models/config.h"
#include "models/safetensors.h"

namespace evictbench {

// Every tensor of a Llama decoder is there with the shape that the config asks for, and nothing else that would
// change what it computes. Looks at headers only, except that a head stored beside tied embeddings must equal them.
void check_llama_weights(const SafetensorsFolder& weights, const DecoderConfig& config);

// Reads every weight: the first NaN or infinity is an Error (exit 4) that names tensor, index and how many there are.
void check_finite(const SafetensorsFolder& weights);

}  // namespace evictbench
