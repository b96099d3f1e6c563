#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/tensor.h"
#include "models/config.h"
#include "models/rope.h"

namespace evictbench {

// Moves keys that a cache holds to other positions: turns them by the way between, R(to - from) k (Su et al. 2021,
// arXiv:2104.09864, eq. 16).
class KeyMover {
 public:
  // Error (exit 2) for learned positions, which are in the hidden states, and for the schemes dynamic and longrope, which
  // turned every key by the length of its own pass.
  explicit KeyMover(const DecoderConfig& config);

  // Rows of one layer, [n, D], in place; `from` and `to` [n].
  void operator()(int layer, std::span<const std::int32_t> from, std::span<const std::int32_t> to,
                  Tensor& keys) const;

 private:
  std::vector<Rope> ropes_;
  std::vector<int> rope_of_;  // [L]
};

}  // namespace evictbench
