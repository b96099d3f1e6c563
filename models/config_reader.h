#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/json.h"
#include "models/config.h"

// What families share when they read a config.json; each step reads some keys and refuses what is wrong in them.
namespace evictbench {

// Far above any real model; keeps every product of two of them inside 64 bits.
constexpr std::int64_t kMostWidth = 1 << 20, kMostFeedForward = 1 << 24, kMostLayers = 1 << 16,
                       kMostHeads = 1 << 16, kMostHeadDim = 1 << 12, kMostVocabulary = 1 << 26,
                       kMostPositions = INT32_MAX;

JsonRules config_rules();
std::string quoted(const std::string& text);  // printable
int size_at(const Json& config, const char* key, std::int64_t most);
bool flag_at(const Json& config, const char* key, bool absent);
// Refuses a config that lacks one of the keys; a null is there. For keys whose absence transformers fills with a value
// that is not the plain one.
void require_keys(const Json& config, std::initializer_list<const char*> keys);

// model_type and architectures. Keys that ask for what no family has are refused, unknown ones noted; `own` are read
// by the family itself.
DecoderConfig begin_config(const Json& config, std::initializer_list<std::string_view> own);
// hidden_size, intermediate_size, num_hidden_layers, vocab_size, max_position_embeddings, rms_norm_eps.
void read_sizes(const Json& config, DecoderConfig& out);
// num_attention_heads, num_key_value_heads, head_dim.
void read_heads(const Json& config, DecoderConfig& out);
// The key names one of these spellings, or is absent, which is noted.
void read_activation(const Json& config, const char* key, std::initializer_list<std::string_view> spellings,
                     Activation, DecoderConfig& out);

// What a family's rotary positions may be.
struct RopeRules {
  using Kind = RopeConfig::Kind;
  std::vector<Kind> kinds = {Kind::kDefault, Kind::kLinear, Kind::kDynamic, Kind::kLlama3, Kind::kYarn, Kind::kLongRope};
  bool partial = false;  // partial_rotary_factor
};
// rope_theta, rope_scaling, rope_parameters, partial_rotary_factor: one scheme for all layers.
void read_rope(const Json& config, const RopeRules& rules, DecoderConfig& out);
// A block of rotary parameters: its kind and factors, but not theta.
RopeConfig read_rope_block(const Json& config, const Json& rope, bool may_lack_type, const RopeRules& rules,
                           DecoderConfig& out);
// The bounds of every theta.
double theta_of(const Json& value);

// sliding_window for every layer, or null; layer_types may repeat it.
void read_window(const Json& config, DecoderConfig& out);
// Of each layer: does it slide? By layer_types, or by `otherwise` where that is absent.
std::vector<bool> read_layer_types(const Json& config, const DecoderConfig& out,
                                   const std::vector<bool>& otherwise);
// use_sliding_window, sliding_window, max_window_layers and layer_types, as Qwen 2 and 3 have them.
void read_upper_windows(const Json& config, DecoderConfig& out);
// Refuses any window that would leave out a key.
void refuse_windows(const Json& config, DecoderConfig& out);

// tie_word_embeddings (noted where absent), bos_token_id, eos_token_id, dtype.
void end_config(const Json& config, bool tied_if_absent, DecoderConfig& out);
// One id, a list of ids, or null.
std::vector<std::int32_t> read_ids(const Json& value, int vocabulary);

}  // namespace evictbench
