#pragma once

#include <vector>

#include "models/config.h"
#include "models/model.h"
#include "models/rope.h"
#include "models/weights.h"

namespace evictbench {

// The transformer, written once against a device. A step whose weights a family does not have is left out.
class Decoder final : public Model {
 public:
  Decoder(Device& device, DecoderConfig config, const WeightNames& names, const WeightSource& weights);

  KvShape shape(int tokens) const override {
    return {config_.layers, config_.q_heads, config_.kv_heads, config_.head_dim, tokens, working_};
  }
  int vocabulary() const override { return config_.vocabulary; }
  // Bytes of activations: of a prefill by `rows` tokens at a time, and of a step that feeds `rows` tokens and asks for
  // `logits` of them; on a device that holds them in `working`.
  static std::int64_t prefill_bytes(const DecoderConfig& config, std::int64_t tokens, DType working,
                                    std::int64_t rows);
  static std::int64_t step_bytes(const DecoderConfig& config, DType working, std::int64_t rows,
                                 std::int64_t logits);
  std::shared_ptr<const Snapshot> prefill(Device&, std::span<const std::int32_t> prompt, const Needs&,
                                          const PassOptions& = {}) const override;
  Tensor extend(Device&, RaggedCache&, std::span<const Tokens> tokens,
                const PassOptions& = {}) const override;

 private:
  struct Norm {
    Tensor weight, bias;  // [C]; no bias in an RMS norm
  };
  struct Linear {
    PackedMatrix matrix;  // [outputs, inputs]
    Tensor bias;          // [outputs], or empty
  };
  struct Layer {
    Norm attention_norm, attention_post_norm, mlp_norm, mlp_post_norm;
    Linear qkv;                    // [(H + 2G) D, C]
    Tensor query_norm, key_norm;   // [D], or empty
    Linear output, gate_up, down;  // [C, H D], [2F or F, C], [C, F]
  };
  struct Rows;  // the activations of N rows

  // What is fed in one pass, [N] each: `lengths` as in rope.h.
  struct Fed {
    std::span<const std::int32_t> ids, positions, lengths;
  };
  class Loader;

  // One pass of N rows through all layers. attend(layer) reads rows.q, k, v and fills rows.mixed. Behind the
  // attention of the last layer only the last `wanted` rows go on, and only they are left in `rows`; none: the pass ends.
  template <class Attend>
  void forward(Device&, const Fed& fed, Rows& rows, int wanted, const PassOptions& options,
               const Attend& attend) const;
  void embed(Device&, const Fed& fed, Rows& rows) const;
  void normalize(Device&, const Tensor& x, const Norm& norm, Tensor& y) const;
  // y of a block, behind its own norm if it has one, is added to rows.x.
  void add_back(Device&, const Norm& post_norm, Rows& rows) const;
  // Logits of chosen rows of rows.x -> [chosen, V]
  Tensor logits(Device&, const Rows& rows, std::span<const int> chosen) const;
  // Those of all rows, at most `most` at a time, to options.all_logits; rows.x begins with row `first_row` of the pass.
  void tell_logits(Device&, const Rows& rows, int first_row, int most, const PassOptions& options) const;
  // What the rows of point 0 see of point 1 -> rows.shadow
  void attend_shadow(Device&, const RaggedCache&, int layer, std::int32_t position, Rows& rows) const;
  void run_probe(Device&, const Probe& probe, std::span<const std::int32_t> prompt, std::shared_ptr<Snapshot>,
                 const PassOptions&) const;

  DecoderConfig config_;
  DType working_;  // of the device that it was made for
  std::vector<Rope> ropes_;
  PackedMatrix embedding_, head_;  // [V, C]; head_ is empty where the two are tied
  PackedMatrix positions_;         // [max_positions, C], or empty
  Norm final_norm_;
  std::vector<Layer> layers_;
};

}  // namespace evictbench
