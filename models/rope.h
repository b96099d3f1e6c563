#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/config.h"

namespace evictbench {

// Inverse frequencies of the rotary embedding (Su et al. 2021, arXiv:2104.09864, eq. 15), [D / 2], rounded to f32 where
// transformers rounds, and rescaled for Llama 3.1 where the config says so.
std::vector<float> inverse_frequencies(const RopeConfig& rope, int head_dim);

// cos and sin of position x frequency (the product rounded to f32), [N, D / 2] each.
struct RotaryRows {
  std::vector<float> cosines, sines;
};
RotaryRows rotary_rows(std::span<const float> frequencies, std::span<const std::int32_t> positions);

}  // namespace evictbench
