#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/io/json.h"

// config.json and generation_config.json of a Hugging Face folder. What is known and not supported is refused by
// name, what is unknown is noted, and nothing that changes the arithmetic is defaulted without a note (codes E-CF-..).
namespace evictbench {

struct RopeConfig {
  enum class Kind { kNone, kLlama3 };

  double theta = 0;
  Kind kind = Kind::kNone;
  // Of kLlama3 only.
  double factor = 1, low_freq_factor = 1, high_freq_factor = 4;
  int original_max_positions = 0;
};

// A decoder of the Llama kind: RMSNorm, rotary GQA attention, gated SiLU, no biases.
struct DecoderConfig {
  std::string model_type;
  int layers = 0;        // L
  int hidden = 0;        // C
  int intermediate = 0;  // F
  int q_heads = 0;       // H
  int kv_heads = 0;      // G, divides H
  int head_dim = 0;      // D, even; need not be C / H
  int vocabulary = 0;    // V
  int max_positions = 0;
  double rms_eps = 0;
  RopeConfig rope;
  bool tied_embeddings = false;  // the output head is the embedding table
  std::optional<std::int32_t> bos_token;
  std::vector<std::int32_t> eos_tokens;  // any of them ends an answer
  std::string dtype;                     // what the config says of the weights; their files decide
  std::vector<std::string> notes;        // what was accepted, but a user may want to know
};

// The family's name. Needs no other key.
std::string model_type_of(const std::string& folder);

// A config.json that follows transformers' LlamaConfig.
DecoderConfig read_llama_config(const Json& config);

// Both files of a folder; the end tokens of generation_config.json go before those of config.json.
DecoderConfig read_config(const std::string& folder);

}  // namespace evictbench
