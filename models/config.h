#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/forms.h"
#include "core/io/json.h"

// config.json and generation_config.json of a Hugging Face folder. What is known and not supported is refused by
// name, what is unknown is noted, and nothing that changes the arithmetic is defaulted without a note (codes E-CF-..).
namespace evictbench {

// A scheme of rotary positions (rope.h has the formulas).
struct RopeConfig {
  enum class Kind { kDefault, kLinear, kDynamic, kLlama3, kYarn, kLongRope };

  Kind kind = Kind::kDefault;
  double theta = 0;
  int dim = 0;                     // dims of a head that turn, the first ones; even
  double factor = 1;               // by which the context grows; all kinds but kDefault
  int original_max_positions = 0;  // the context before it was extended; all kinds but kDefault and kLinear
  double low_freq_factor = 1, high_freq_factor = 4;  // kLlama3
  double beta_fast = 32, beta_slow = 1;              // kYarn
  bool truncate = true;                              // kYarn: whole dims bound the ramp
  double attention_factor = 1;                       // kYarn, kLongRope: scales cosines and sines
  std::vector<double> short_factors{}, long_factors{};  // kLongRope, [dim / 2]

  bool operator==(const RopeConfig&) const = default;
};
std::string_view name_of(RopeConfig::Kind kind);  // as rope_type spells it

// What may differ from layer to layer.
struct LayerForm {
  int rope = 0;            // of DecoderConfig::ropes
  int window = 0;          // a query sees this many keys, itself included; 0: all
  double query_scale = 1;  // of queries, beside the usual 1 / sqrt(D)
};

// A decoder: embedding, L layers of attention and feed-forward, each behind a norm, a norm and a head. What a family
// lacks is off by default: that is a Llama.
struct DecoderConfig {
  enum class Norm { kRms, kLayer };

  std::string model_type;
  int layers = 0;        // L
  int hidden = 0;        // C
  int intermediate = 0;  // F
  int q_heads = 0;       // H
  int kv_heads = 0;      // G, divides H
  int head_dim = 0;      // D, even; need not be C / H
  int vocabulary = 0;    // V
  int max_positions = 0;

  Norm norm = Norm::kRms;
  double norm_eps = 0;
  bool norm_adds_one = false;  // a stored norm weight w stands for 1 + w
  Activation activation = Activation::kSilu;
  bool gated = true;  // gate and up, rather than up alone
  bool qkv_bias = false, output_bias = false, mlp_bias = false;
  bool head_norms = false;  // norms of each query and key head, before they turn
  bool post_norms = false;  // norms of what attention and feed-forward give

  std::vector<RopeConfig> ropes;  // none: learned positions
  std::vector<LayerForm> forms;   // [L]
  double embedding_scale = 1;
  double attention_softcap = 0, logit_softcap = 0;  // cap tanh(x / cap); 0: none

  bool tied_embeddings = false;  // the output head is the embedding table
  std::optional<std::int32_t> bos_token;
  std::vector<std::int32_t> eos_tokens;  // any of them ends an answer
  std::string dtype;                     // what the config says of the weights; their files decide
  std::vector<std::string> notes;        // what was accepted, but a user may want to know

  bool learned_positions() const { return ropes.empty(); }
  AttentionForm attention_form(int layer) const {
    return {forms[static_cast<std::size_t>(layer)].window, static_cast<float>(attention_softcap)};
  }
  // Tokens of prompt and answer together: max_positions, or as far as rotary positions are stretched beyond them.
  std::int64_t context() const;
};

// config.json of a folder, not yet looked into.
Json open_config(const std::string& folder);
// The family's name. Needs no other key.
std::string model_type_of(const Json& config);

// The end tokens of a folder's generation_config.json go before those of config.json.
void read_generation_config(const std::string& folder, DecoderConfig& out);

// Both files of a folder, as its family reads them.
DecoderConfig read_config(const std::string& folder);

}  // namespace evictbench
