#include "models/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <tuple>

#include "core/io/file.h"
#include "models/folder.h"

namespace evictbench {
namespace {

// Far above any real model; keeps every product of two of them inside 64 bits.
constexpr std::int64_t kMostWidth = 1 << 20, kMostFeedForward = 1 << 24, kMostLayers = 1 << 16,
                       kMostHeads = 1 << 16, kMostHeadDim = 1 << 12, kMostVocabulary = 1 << 26,
                       kMostPositions = INT32_MAX;

// Keys that change what a decoder computes and that are not supported, with the value that means "not used".
enum class Neutral { kOff, kOne };  // kOff: false, 0, "" or an empty list
struct Unsupported {
  const char *key, *what;
  Neutral neutral = Neutral::kOff;
};
constexpr Unsupported kUnsupported[] = {
    {"attention_bias", "biases in attention"},
    {"mlp_bias", "biases in the feed-forward block"},
    {"use_bias", "biases"},
    {"qkv_bias", "biases in attention"},
    {"lm_head_bias", "a bias in the output head"},
    {"num_local_experts", "a mixture of experts"},
    {"num_experts", "a mixture of experts"},
    {"n_routed_experts", "a mixture of experts"},
    {"moe_intermediate_size", "a mixture of experts"},
    {"text_config", "a model of several modalities"},
    {"vision_config", "a model of several modalities"},
    {"audio_config", "a model of several modalities"},
    {"is_encoder_decoder", "an encoder-decoder"},
    {"cross_attention_layers", "cross-attention"},
    {"attn_logit_softcapping", "soft-capped attention"},
    {"final_logit_softcapping", "soft-capped logits"},
    {"query_pre_attn_scalar", "an own scale of queries"},
    {"attention_multiplier", "an own scale of attention"},
    {"attention_sink", "attention sinks"},
    {"use_attention_sinks", "attention sinks"},
    {"use_qk_norm", "norms of queries and keys"},
    {"qk_norm", "norms of queries and keys"},
    {"qk_layernorm", "norms of queries and keys"},
    {"clip_qkv", "clipped queries, keys and values"},
    {"alibi", "ALiBi positions"},
    {"no_rope_layers", "layers without rotary positions"},
    {"no_rope_layer_interval", "layers without rotary positions"},
    {"kv_lora_rank", "latent attention"},
    {"q_lora_rank", "latent attention"},
    {"use_parallel_residual", "parallel residuals"},
    {"parallel_attn", "parallel residuals"},
    {"rope_interleaved", "interleaved rotary pairs"},
    {"scale_emb", "scaled embeddings", Neutral::kOne},
    {"embedding_multiplier", "scaled embeddings", Neutral::kOne},
    {"residual_multiplier", "scaled residuals", Neutral::kOne},
    {"scale_depth", "scaled residuals", Neutral::kOne},
    {"logit_scale", "scaled logits", Neutral::kOne},
    {"logits_scaling", "scaled logits", Neutral::kOne},
    {"partial_rotary_factor", "rotary positions on a part of each head", Neutral::kOne},
    {"rotary_pct", "rotary positions on a part of each head", Neutral::kOne},
};

// Keys that are read elsewhere in this file, or that change no arithmetic of inference.
constexpr const char* kKnown[] = {"_name_or_path",
                                  "architectures",
                                  "attention_dropout",
                                  "attn_implementation",
                                  "auto_map",
                                  "bos_token_id",
                                  "dtype",
                                  "eos_token_id",
                                  "head_dim",
                                  "hidden_act",
                                  "hidden_size",
                                  "initializer_range",
                                  "intermediate_size",
                                  "is_llama_config",
                                  "layer_types",
                                  "max_position_embeddings",
                                  "max_window_layers",
                                  "model_type",
                                  "num_attention_heads",
                                  "num_hidden_layers",
                                  "num_key_value_heads",
                                  "output_attentions",
                                  "output_hidden_states",
                                  "pad_token_id",
                                  "pretraining_tp",
                                  "quantization_config",
                                  "return_dict",
                                  "rms_norm_eps",
                                  "rope_parameters",
                                  "rope_scaling",
                                  "rope_theta",
                                  "sliding_window",
                                  "tie_word_embeddings",
                                  "torch_dtype",
                                  "transformers.js_config",
                                  "transformers_version",
                                  "unk_token_id",
                                  "use_cache",
                                  "use_sliding_window",
                                  "vocab_size"};

JsonRules config_rules() {
  JsonRules rules;
  rules.code_prefix = "E-CF";
  rules.bytes = 16 << 20;
  return rules;
}

int size_at(const Json& config, const char* key, std::int64_t most) {
  return static_cast<int>(config.at(key).integer(1, most));
}

std::string quoted(const std::string& text) { return "\"" + printable(text) + "\""; }

bool is_neutral(const Json& value, Neutral neutral) {
  if (value.is_number()) return value.number(-1e300, 1e300) == (neutral == Neutral::kOne ? 1.0 : 0.0);
  if (neutral == Neutral::kOne) return false;
  if (value.is_boolean()) return !value.boolean();
  if (value.is_string()) return value.string().empty();
  return value.size() == 0;
}

void refuse_unsupported(const Json& config) {
  for (const auto& [key, what, neutral] : kUnsupported)
    if (const auto value = config.find(key); value && !is_neutral(*value, neutral))
      value->reject(
          "07", fmt::format("{} asks for {}, which is not supported", key, what),
          neutral == Neutral::kOne ? "1, or no such key" : "no such key, or a value that switches it off",
          "use a model of the plain Llama kind");
  if (const auto quantization = config.find("quantization_config")) {
    const auto method = quantization->is_object() ? quantization->find("quant_method") : std::nullopt;
    const std::string scheme = method && method->is_string() ? quoted(method->string()) : "of unknown scheme";
    quantization->reject("02", fmt::format("weights quantised by {} are not supported", scheme),
                         "F32, F16 or BF16 weights",
                         "use the checkpoint that was quantised, or dequantise it");
  }
  if (const auto act = config.find("hidden_act"); act && act->string() != "silu" && act->string() != "swish")
    act->reject("07", fmt::format("hidden_act {} is not supported", quoted(act->string())), "silu",
                "use a model of the plain Llama kind");
}

void refuse_windows(const Json& config, DecoderConfig& out) {
  if (const auto types = config.find("layer_types")) {
    if (types->size() != static_cast<std::size_t>(out.layers))
      types->reject("07", fmt::format("{} layer types", types->size()),
                    fmt::format("{} (num_hidden_layers)", out.layers), "correct one of the two");
    for (std::size_t i = 0; i < types->size(); ++i)
      if (const std::string& type = (*types)[i].string(); type != "full_attention")
        (*types)[i].reject("07", fmt::format("layer type {} is not supported", quoted(type)),
                           "full_attention", "use a model with full attention");
  }
  const auto window = config.find("sliding_window");
  if (!window) return;
  const std::int64_t tokens = window->integer(0);
  const auto use = config.find("use_sliding_window");
  if (use && !use->boolean()) return;
  if (tokens < out.max_positions)
    window->reject("07", fmt::format("a sliding window of {} tokens is not supported", tokens),
                   fmt::format("none, or at least max_position_embeddings {}", out.max_positions),
                   "use a model with full attention");
  out.notes.push_back(fmt::format("sliding_window {} has no effect: max_position_embeddings is {}", tokens,
                                  out.max_positions));
}

// LlamaForCausalLM belongs to "llama", Qwen2MoeForCausalLM to "qwen2_moe".
bool fits(const std::string& architecture, const std::string& model_type) {
  std::string wanted;
  for (const char c : model_type)
    if (c != '_' && c != '-') wanted += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::string have = architecture;
  for (const char* head : {"ForCausalLM", "LMHeadModel"})
    if (have.ends_with(head)) have.erase(have.size() - std::string_view(head).size());
  std::transform(have.begin(), have.end(), have.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return have == wanted;
}

void check_architectures(const Json& config, DecoderConfig& out) {
  if (config.find("auto_map")) out.notes.push_back("auto_map names code of the model's own; it is never run");
  const auto names = config.find("architectures");
  if (!names || names->size() == 0) {
    out.notes.push_back(
        fmt::format("architectures is absent; model_type \"{}\" decides", printable(out.model_type)));
    return;
  }
  for (std::size_t i = 0; i < names->size(); ++i) {
    const Json name = (*names)[i];
    if (!name.string().ends_with("ForCausalLM") && !name.string().ends_with("LMHeadModel"))
      name.reject("02", fmt::format("{} is no language model with an output head", quoted(name.string())),
                  "an architecture that ends in ForCausalLM", "use the causal language model of this family");
    if (!fits(name.string(), out.model_type))
      name.reject("02",
                  fmt::format("architecture {} contradicts model_type {}", quoted(name.string()),
                              quoted(out.model_type)),
                  "the two to name one family", "correct the one that is wrong");
  }
}

void read_heads(const Json& config, DecoderConfig& out) {
  out.q_heads = size_at(config, "num_attention_heads", kMostHeads);
  out.kv_heads = out.q_heads;
  if (const auto groups = config.find("num_key_value_heads")) {
    out.kv_heads = static_cast<int>(groups->integer(1, out.q_heads));
    if (out.q_heads % out.kv_heads != 0)
      groups->reject("04", fmt::format("{} KV heads do not divide {} query heads", out.kv_heads, out.q_heads),
                     "a divisor of num_attention_heads", "correct one of the two");
  } else {
    out.notes.push_back(
        fmt::format("num_key_value_heads is absent: {}, as many as query heads", out.q_heads));
  }
  if (const auto dim = config.find("head_dim")) {
    out.head_dim = static_cast<int>(dim->integer(1, kMostHeadDim));
    if (out.head_dim % 2 != 0)
      dim->reject("05", fmt::format("head_dim {} is odd", out.head_dim),
                  "an even one: rotary positions turn pairs", "correct it");
    return;
  }
  out.head_dim = out.hidden / out.q_heads;
  if (out.hidden % out.q_heads != 0 || out.head_dim % 2 != 0 || out.head_dim > kMostHeadDim)
    config.reject(
        "05",
        fmt::format("head_dim is absent, and hidden_size {} / num_attention_heads {} is no even number",
                    out.hidden, out.q_heads),
        "head_dim, or a hidden_size that fits", "add \"head_dim\"");
}

std::string rope_type(const Json& rope, bool may_lack) {
  const auto type = rope.find("rope_type"), old = rope.find("type");
  if (type && old && type->string() != old->string())
    old->reject("06",
                fmt::format("type {} and rope_type {} differ", quoted(old->string()), quoted(type->string())),
                "one of them", "take the wrong one out");
  if (type || old) return (type ? type : old)->string();
  if (!may_lack)
    rope.reject("06", "no rope_type", "rope_type", "add \"rope_type\", or set rope_scaling to null");
  return "default";
}

void refuse_rope_type(const Json& rope, const std::string& type) {
  static constexpr std::string_view kOthers[] = {"linear", "dynamic", "yarn",        "longrope",
                                                 "su",     "mrope",   "proportional"};
  const bool known = std::find(std::begin(kOthers), std::end(kOthers), type) != std::end(kOthers);
  rope.reject(
      "06",
      fmt::format("rope type {} is {}", quoted(type), known ? "known, but not supported here" : "unknown"),
      "one of default, llama3", known ? "use a model with one of these" : "correct the name");
}

void read_llama3(const Json& rope, const DecoderConfig& config, RopeConfig& out) {
  out.kind = RopeConfig::Kind::kLlama3;
  out.factor = rope.at("factor").number(1, 1e6);
  out.low_freq_factor = rope.at("low_freq_factor").number(1e-6, 1e6);
  out.high_freq_factor = rope.at("high_freq_factor").number(1e-6, 1e6);
  if (out.high_freq_factor <= out.low_freq_factor)
    rope.reject("06",
                fmt::format("high_freq_factor {} is not above low_freq_factor {}", out.high_freq_factor,
                            out.low_freq_factor),
                "high_freq_factor > low_freq_factor", "correct them");
  const Json original = rope.at("original_max_position_embeddings");
  out.original_max_positions = static_cast<int>(original.integer(1, kMostPositions));
  if (out.original_max_positions > config.max_positions)
    original.reject("06",
                    fmt::format("{} is above max_position_embeddings {}", out.original_max_positions,
                                config.max_positions),
                    "the context before it was extended", "correct one of the two");
}

// One of the two forms: rope_scaling (type may not lack), or rope_parameters of transformers 5.
RopeConfig read_rope_block(const Json& rope, bool may_lack_type, DecoderConfig& config) {
  static constexpr std::string_view kRead[] = {"rope_type",        "type",
                                               "rope_theta",       "partial_rotary_factor",
                                               "factor",           "low_freq_factor",
                                               "high_freq_factor", "original_max_position_embeddings"};
  for (const auto& [key, value] : rope.items()) {
    if (value.is_object())
      value.reject("06",
                   fmt::format("rotary parameters of layer type {} apart are not supported", quoted(key)),
                   "one set for all layers", "use a model with one rotary scheme");
    if (key == "mrope_section")
      value.reject("06", "mrope (positions in several dimensions) is not supported", "positions in one",
                   "use a text model");
    if (std::find(std::begin(kRead), std::end(kRead), key) == std::end(kRead))
      config.notes.push_back(fmt::format("{} in {} is ignored", quoted(key), rope.pointer()));
  }
  if (const auto part = rope.find("partial_rotary_factor"); part && !is_neutral(*part, Neutral::kOne))
    part->reject(
        "07",
        "partial_rotary_factor asks for rotary positions on a part of each head, which is not supported", "1",
        "use a model of the plain Llama kind");
  RopeConfig out;
  const std::string type = rope_type(rope, may_lack_type);
  if (type == "llama3")
    read_llama3(rope, config, out);
  else if (type != "default")
    refuse_rope_type(rope, type);
  return out;
}

void read_rope(const Json& config, DecoderConfig& out) {
  constexpr double kTransformersDefault = 10000, kLeast = 1, kMost = 1e15;
  const auto scaling = config.find("rope_scaling"), parameters = config.find("rope_parameters");
  if (scaling) out.rope = read_rope_block(*scaling, false, out);
  if (parameters) {
    const RopeConfig newer = read_rope_block(*parameters, true, out);
    const auto values = [](const RopeConfig& r) {
      return std::tuple(r.kind, r.factor, r.low_freq_factor, r.high_freq_factor, r.original_max_positions);
    };
    if (scaling && values(newer) != values(out.rope))
      parameters->reject("06", "rope_parameters and rope_scaling differ", "one of them, or the same in both",
                         "take the wrong one out");
    out.rope = newer;
  }
  const auto outer = config.find("rope_theta");
  const auto inner = parameters ? parameters->find("rope_theta") : std::nullopt;
  if (outer) out.rope.theta = outer->number(kLeast, kMost);
  if (inner) {
    const double theta = inner->number(kLeast, kMost);
    if (outer && theta != out.rope.theta)
      inner->reject("06", fmt::format("rope_theta is {} here and {} outside", theta, out.rope.theta),
                    "one value", "take the wrong one out");
    out.rope.theta = theta;
  }
  if (outer || inner) return;
  out.rope.theta = kTransformersDefault;
  out.notes.push_back("rope_theta is absent: 10000, as transformers has it");
}

// One id, a list of ids, or null.
std::vector<std::int32_t> read_ids(const Json& value, int vocabulary) {
  const auto id = [&](const Json& one) { return static_cast<std::int32_t>(one.integer(0, vocabulary - 1)); };
  if (!value.is_array()) return {id(value)};
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < value.size(); ++i)
    if (const std::int32_t next = id(value[i]); std::find(ids.begin(), ids.end(), next) == ids.end())
      ids.push_back(next);
  return ids;
}

void read_tokens(const Json& config, DecoderConfig& out) {
  if (const auto bos = config.find("bos_token_id"))
    out.bos_token = static_cast<std::int32_t>(bos->integer(0, out.vocabulary - 1));
  if (const auto eos = config.find("eos_token_id")) out.eos_tokens = read_ids(*eos, out.vocabulary);
}

void read_dtype(const Json& config, DecoderConfig& out) {
  const auto newer = config.find("dtype"), dtype = newer ? newer : config.find("torch_dtype");
  if (!dtype) return;
  out.dtype = dtype->string();
  if (out.dtype != "float32" && out.dtype != "float16" && out.dtype != "bfloat16")
    out.notes.push_back(fmt::format("dtype {} is unknown; the weight files decide", quoted(out.dtype)));
}

void note_unknown(const Json& config, DecoderConfig& out) {
  std::vector<std::string> unknown;
  for (const auto& [key, value] : config.items()) {
    const auto same = [&, name = std::string_view(key)](const auto& known) { return name == known; };
    const bool known = std::any_of(std::begin(kKnown), std::end(kKnown), same) ||
                       std::any_of(std::begin(kUnsupported), std::end(kUnsupported),
                                   [&](const auto& u) { return same(u.key); });
    if (!known) unknown.push_back(printable(key));
  }
  if (!unknown.empty())
    out.notes.push_back(fmt::format("unknown keys are ignored: {}",
                                    printable(fmt::format("{}", fmt::join(unknown, ", ")), 500)));
}

std::string read_model_type(const Json& config) {
  const auto type = config.find("model_type");
  if (!type)
    config.reject("02", "model_type is absent", "the family's name, such as \"llama\"", "add \"model_type\"");
  if (type->string().empty())
    type->reject("02", "model_type is empty", "the family's name, such as \"llama\"",
                 "write the family's name there");
  return type->string();
}

Json open_config(const std::string& folder) {
  require_folder_name(folder, "E-CF");
  if (!is_folder(folder) && is_file(folder))
    reject(Exit::kInput, {"E-CF-F01", folder, "", "this is a file", "a model folder with config.json",
                          "name the folder that holds the model"});
  return Json::from_file(folder + "/config.json", config_rules());
}

}  // namespace

std::string model_type_of(const std::string& folder) { return read_model_type(open_config(folder)); }

DecoderConfig read_llama_config(const Json& config) {
  DecoderConfig out;
  out.model_type = read_model_type(config);
  check_architectures(config, out);
  refuse_unsupported(config);
  out.hidden = size_at(config, "hidden_size", kMostWidth);
  out.intermediate = size_at(config, "intermediate_size", kMostFeedForward);
  out.layers = size_at(config, "num_hidden_layers", kMostLayers);
  out.vocabulary = size_at(config, "vocab_size", kMostVocabulary);
  out.max_positions = size_at(config, "max_position_embeddings", kMostPositions);
  read_heads(config, out);
  out.rms_eps = config.at("rms_norm_eps").number(1e-30, 0.1);
  read_rope(config, out);
  refuse_windows(config, out);
  if (!config.find("hidden_act")) out.notes.push_back("hidden_act is absent: silu, as transformers has it");
  if (const auto tied = config.find("tie_word_embeddings"))
    out.tied_embeddings = tied->boolean();
  else
    out.notes.push_back("tie_word_embeddings is absent: false, as transformers has it");
  read_tokens(config, out);
  read_dtype(config, out);
  note_unknown(config, out);
  return out;
}

DecoderConfig read_config(const std::string& folder) {
  DecoderConfig out = read_llama_config(open_config(folder));
  const std::string path = folder + "/generation_config.json";
  if (is_present(path)) {
    const Json generation = Json::from_file(path, config_rules());
    if (const auto eos = generation.find("eos_token_id")) {
      const auto ids = read_ids(*eos, out.vocabulary);
      if (!out.eos_tokens.empty() && ids != out.eos_tokens)
        out.notes.push_back(
            fmt::format("end tokens [{}] of generation_config.json go before [{}] of config.json",
                        fmt::join(ids, ", "), fmt::join(out.eos_tokens, ", ")));
      out.eos_tokens = ids;
    }
  }
  if (out.eos_tokens.empty()) out.notes.push_back("no end token: answers run to their full length");
  return out;
}

}  // namespace evictbench
