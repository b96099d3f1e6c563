#pragma once

#include <vector>

#include "models/config.h"
#include "models/model.h"
#include "models/weights.h"

namespace evictbench {

// The transformer, written once against a device: RMSNorm, rotary GQA attention, gated SiLU.
class Decoder final : public Model {
 public:
  Decoder(Device& device, DecoderConfig config, const WeightNames& names, const WeightSource& weights);

  KvShape shape(int tokens) const override {
    return {config_.layers, config_.q_heads, config_.kv_heads, config_.head_dim, tokens};
  }
  int vocabulary() const override { return config_.vocabulary; }
  std::shared_ptr<const Snapshot> prefill(Device&, std::span<const std::int32_t> prompt, const Needs&,
                                          const PassOptions& = {}) const override;
  Tensor extend(Device&, RaggedCache&, std::span<const Tokens> tokens,
                const PassOptions& = {}) const override;

 private:
  struct Layer {
    Tensor attention_norm, mlp_norm;  // [C]
    PackedMatrix qkv;                 // [(H + 2G) D, C]
    PackedMatrix output;              // [C, H D]
    PackedMatrix gate_up;             // [2F, C]
    PackedMatrix down;                // [C, F]
  };
  struct Rows;  // the activations of N rows

  // One pass of N rows through all layers. attend(layer, rows) reads rows.q, k, v and fills rows.mixed.
  template <class Attend>
  void forward(Device&, std::span<const std::int32_t> ids, std::span<const std::int32_t> positions,
               Rows& rows, const PassOptions& options, const Attend& attend) const;
  // Logits of chosen rows of rows.x -> [chosen, V]
  Tensor logits(Device&, const Rows& rows, std::span<const int> chosen) const;
  void run_probe(Device&, const Probe& probe, std::span<const std::int32_t> prompt, std::shared_ptr<Snapshot>,
                 const PassOptions&) const;

  DecoderConfig config_;
  std::vector<float> frequencies_;  // [D / 2]
  PackedMatrix embedding_, head_;   // [V, C]; head_ is empty where the two are tied
  Tensor final_norm_;               // [C]
  std::vector<Layer> layers_;
};

}  // namespace evictbench
