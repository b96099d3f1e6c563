#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/config.h"

namespace evictbench {

// Inverse frequencies of the rotary embedding (Su et al. 2021, arXiv:2104.09864, eq. 15), [dim / 2], rounded to f32
// where transformers rounds. Schemes that extend the context:
//   linear    all frequencies by 1 / factor (Chen et al. 2023, arXiv:2306.15595)
//   dynamic   a base that grows with the length (NTK-aware scaling, recomputed)
//   llama3    long wavelengths by 1 / factor, a ramp in between (Dubey et al. 2024, arXiv:2407.21783)
//   yarn      the same with a ramp over dims, and sharper attention (Peng et al. 2023, arXiv:2309.00071)
//   longrope  a factor of its own for each pair, two lists: up to the original context, and beyond
//             (Ding et al. 2024, arXiv:2402.13753)
// dynamic and longrope follow from `length`: one more than the last position that is fed together with a token, as in
// one forward pass of transformers. Keys that are in a cache stay as they were turned.
std::vector<float> inverse_frequencies(const RopeConfig& rope, int length = 0);

// cos and sin of position x frequency (the product rounded to f32), times the scheme's attention factor, [N, dim / 2].
struct RotaryRows {
  std::vector<float> cosines, sines;
};

// A scheme ready for use.
class Rope {
 public:
  explicit Rope(RopeConfig config);

  int pairs() const { return config_.dim / 2; }
  // `lengths`: of each row, as above.
  RotaryRows rows(std::span<const std::int32_t> positions, std::span<const std::int32_t> lengths) const;

 private:
  RopeConfig config_;
  bool by_length_;
  std::vector<float> frequencies_;  // [dim / 2]
};

}  // namespace evictbench
