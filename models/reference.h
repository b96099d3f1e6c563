#pragma once

#include <memory>
#include <vector>

#include "models/config.h"
#include "models/model.h"
#include "models/weights.h"

namespace evictbench {

// The decoder again, in float64 on Eigen, straight from the formulas and slow: what every other path is measured
// against (`--device reference`). Keys and values are rounded to f32 where a cache stores them; a prefill's own attention
// uses them unrounded.
class ReferenceDecoder final : public Model {
 public:
  ReferenceDecoder(DecoderConfig config, const WeightNames& names, const WeightSource& weights);
  ~ReferenceDecoder() override;

  KvShape shape(int tokens) const override {
    return {config_.layers, config_.q_heads, config_.kv_heads, config_.head_dim, tokens};
  }
  int vocabulary() const override { return config_.vocabulary; }
  // Probes, column sums and the taps of a prefill are not offered: an Error says so.
  std::shared_ptr<const Snapshot> prefill(Device&, std::span<const std::int32_t> prompt, const Needs&,
                                          const PassOptions& = {}) const override;
  // Of a tap it tells the rows of attention alone.
  Tensor extend(Device&, RaggedCache&, std::span<const Tokens> tokens,
                const PassOptions& = {}) const override;

 private:
  struct Weights;
  DecoderConfig config_;
  std::unique_ptr<const Weights> weights_;
};

}  // namespace evictbench
