#include "models/config_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

namespace evictbench {
namespace {

// Keys that change what a decoder computes and that are not supported, with the value that means "not used".
enum class Neutral { kOff, kOne, kTrue };  // kOff: false, 0, "" or an empty list
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
    {"rope_local_base_freq", "other rotary positions in some layers"},
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
    {"use_bidirectional_attention", "attention to what comes later"},
    {"add_cross_attention", "cross-attention"},
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
    {"is_causal", "attention to what comes later", Neutral::kTrue},
    {"use_mrope", "positions in several dimensions"},
    {"dual_chunk_attention_config", "attention in chunks"},
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
                                  "original_max_position_embeddings",
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

bool is_neutral(const Json& value, Neutral neutral) {
  if (value.is_number()) return value.number(-1e300, 1e300) == (neutral == Neutral::kOne ? 1.0 : 0.0);
  if (value.is_boolean()) return neutral != Neutral::kOne && value.boolean() == (neutral == Neutral::kTrue);
  if (neutral != Neutral::kOff) return false;
  if (value.is_string()) return value.string().empty();
  return value.size() == 0;
}

bool is_one_of(std::string_view key, std::span<const std::string_view> keys) {
  return std::ranges::find(keys, key) != keys.end();
}

void refuse_unsupported(const Json& config, std::span<const std::string_view> own) {
  for (const auto& [key, what, neutral] : kUnsupported) {
    if (is_one_of(key, own)) continue;
    if (const auto value = config.find(key); value && !is_neutral(*value, neutral))
      value->reject("07", fmt::format("{} asks for {}, which is not supported", key, what),
                    neutral == Neutral::kOff   ? "no such key, or a value that switches it off"
                    : neutral == Neutral::kOne ? "1, or no such key"
                                               : "true, or no such key",
                    "use a model without it");
  }
  const auto quantization = config.find("quantization_config");
  if (!quantization) return;
  const auto method = quantization->is_object() ? quantization->find("quant_method") : std::nullopt;
  const std::string scheme = method && method->is_string() ? quoted(method->string()) : "of unknown scheme";
  quantization->reject("02", fmt::format("weights quantised by {} are not supported", scheme),
                       "F32, F16 or BF16 weights", "use the checkpoint that was quantised, or dequantise it");
}

// LlamaForCausalLM belongs to "llama", Qwen2MoeForCausalLM to "qwen2_moe", Gemma3ForCausalLM to "gemma3_text".
bool fits(const std::string& architecture, const std::string& model_type) {
  std::string wanted;
  for (const char c : model_type)
    if (c != '_' && c != '-') wanted += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (model_type.ends_with("_text")) wanted.erase(wanted.size() - 4);
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

void note_unknown(const Json& config, std::span<const std::string_view> own, DecoderConfig& out) {
  std::vector<std::string> unknown;
  for (const auto& [key, value] : config.items()) {
    const auto same = [&, name = std::string_view(key)](const auto& known) { return name == known; };
    const bool known = is_one_of(key, own) || std::any_of(std::begin(kKnown), std::end(kKnown), same) ||
                       std::any_of(std::begin(kUnsupported), std::end(kUnsupported),
                                   [&](const auto& u) { return same(u.key); });
    if (!known) unknown.push_back(printable(key));
  }
  if (!unknown.empty())
    out.notes.push_back(fmt::format("unknown keys are ignored: {}",
                                    printable(fmt::format("{}", fmt::join(unknown, ", ")), 500)));
}

void read_dtype(const Json& config, DecoderConfig& out) {
  const auto newer = config.find("dtype"), dtype = newer ? newer : config.find("torch_dtype");
  if (!dtype) return;
  out.dtype = dtype->string();
  if (out.dtype != "float32" && out.dtype != "float16" && out.dtype != "bfloat16")
    out.notes.push_back(fmt::format("dtype {} is unknown; the weight files decide", quoted(out.dtype)));
}

}  // namespace

JsonRules config_rules() {
  JsonRules rules;
  rules.code_prefix = "E-CF";
  rules.bytes = 16 << 20;
  return rules;
}

std::string quoted(const std::string& text) { return "\"" + printable(text) + "\""; }

int size_at(const Json& config, const char* key, std::int64_t most) {
  return static_cast<int>(config.at(key).integer(1, most));
}

bool flag_at(const Json& config, const char* key, bool absent) {
  const auto value = config.find(key);
  return value ? value->boolean() : absent;
}

void require_keys(const Json& config, std::initializer_list<const char*> keys) {
  for (const char* key : keys) config.at(key);
}

DecoderConfig begin_config(const Json& config, std::initializer_list<std::string_view> own) {
  DecoderConfig out;
  out.model_type = model_type_of(config);
  check_architectures(config, out);
  refuse_unsupported(config, own);
  note_unknown(config, own, out);
  return out;
}

void read_sizes(const Json& config, DecoderConfig& out) {
  out.hidden = size_at(config, "hidden_size", kMostWidth);
  out.intermediate = size_at(config, "intermediate_size", kMostFeedForward);
  out.layers = size_at(config, "num_hidden_layers", kMostLayers);
  out.vocabulary = size_at(config, "vocab_size", kMostVocabulary);
  out.max_positions = size_at(config, "max_position_embeddings", kMostPositions);
  out.norm_eps = config.at("rms_norm_eps").number(1e-30, 0.1);
  out.forms.resize(static_cast<std::size_t>(out.layers));
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

void read_activation(const Json& config, const char* key, std::initializer_list<std::string_view> spellings,
                     Activation activation, DecoderConfig& out) {
  out.activation = activation;
  const auto act = config.find(key);
  if (!act)
    out.notes.push_back(fmt::format("{} is absent: {}, as transformers has it", key, *spellings.begin()));
  else if (std::ranges::find(spellings, act->string()) == spellings.end())
    act->reject("07", fmt::format("{} {} is not supported", key, quoted(act->string())),
                fmt::format("{}", fmt::join(spellings, " or ")), "use a model with this activation");
}

void read_window(const Json& config, DecoderConfig& out) {
  const auto window = config.find("sliding_window");
  const int tokens = window ? static_cast<int>(window->integer(1, kMostPositions)) : 0;
  for (LayerForm& form : out.forms) form.window = tokens;
  for (const bool slides : read_layer_types(config, out, {}))
    if (slides != window.has_value())
      config.at("layer_types")
          .reject("07", "layer types that sliding_window contradicts",
                  window ? "sliding_attention in every layer" : "full_attention in every layer",
                  "correct one of the two");
}

std::vector<bool> read_layer_types(const Json& config, const DecoderConfig& out,
                                   const std::vector<bool>& otherwise) {
  const auto types = config.find("layer_types");
  if (!types) return otherwise;
  if (types->size() != static_cast<std::size_t>(out.layers))
    types->reject("07", fmt::format("{} layer types", types->size()),
                  fmt::format("{} (num_hidden_layers)", out.layers), "correct one of the two");
  std::vector<bool> slides;
  for (std::size_t i = 0; i < types->size(); ++i) {
    const std::string& type = (*types)[i].string();
    if (type != "full_attention" && type != "sliding_attention")
      (*types)[i].reject("07", fmt::format("layer type {} is not supported", quoted(type)),
                         "full_attention or sliding_attention", "use a model with these");
    slides.push_back(type == "sliding_attention");
  }
  return slides;
}

void read_upper_windows(const Json& config, DecoderConfig& out) {
  const bool asked = flag_at(config, "use_sliding_window", false);
  if (asked) require_keys(config, {"sliding_window"});  // transformers would take 4096
  const auto window = config.find("sliding_window");
  const bool used = asked && window;
  constexpr std::int64_t kTransformersDefault = 28;
  const auto first = config.find("max_window_layers");
  const std::int64_t from = first ? first->integer(0, kMostLayers) : kTransformersDefault;
  if (used && !first && !config.find("layer_types"))
    out.notes.push_back("max_window_layers is absent: 28, as transformers has it");
  std::vector<bool> upper;
  for (int l = 0; l < out.layers; ++l) upper.push_back(used && l >= from);
  const std::vector<bool> slides = read_layer_types(config, out, upper);
  for (std::size_t l = 0; l < slides.size(); ++l) {
    if (!slides[l]) continue;
    if (!used)
      config.at("layer_types")
          .reject("07", fmt::format("layer {} slides, but there is no window in use", l),
                  "sliding_window with use_sliding_window true", "correct one of them");
    out.forms[l].window = static_cast<int>(window->integer(1, kMostPositions));
  }
}

void refuse_windows(const Json& config, DecoderConfig& out) {
  if (const auto types = config.find("layer_types")) {
    const std::vector<bool> slides = read_layer_types(config, out, {});
    if (const auto at = std::ranges::find(slides, true); at != slides.end())
      (*types)[static_cast<std::size_t>(at - slides.begin())].reject(
          "07", "layer type \"sliding_attention\" is not supported in this family", "full_attention",
          "use a model with full attention");
  }
  const auto window = config.find("sliding_window");
  if (!window || !flag_at(config, "use_sliding_window", true)) return;
  const std::int64_t tokens = window->integer(0);
  if (tokens < out.max_positions)
    window->reject("07", fmt::format("a sliding window of {} tokens is not supported in this family", tokens),
                   fmt::format("none, or at least max_position_embeddings {}", out.max_positions),
                   "use a model with full attention");
  out.notes.push_back(fmt::format("sliding_window {} has no effect: max_position_embeddings is {}", tokens,
                                  out.max_positions));
}

void end_config(const Json& config, bool tied_if_absent, DecoderConfig& out) {
  if (!config.find("tie_word_embeddings"))
    out.notes.push_back(
        fmt::format("tie_word_embeddings is absent: {}, as transformers has it", tied_if_absent));
  out.tied_embeddings = flag_at(config, "tie_word_embeddings", tied_if_absent);
  if (const auto bos = config.find("bos_token_id"))
    out.bos_token = static_cast<std::int32_t>(bos->integer(0, out.vocabulary - 1));
  if (const auto eos = config.find("eos_token_id")) out.eos_tokens = read_ids(*eos, out.vocabulary);
  read_dtype(config, out);
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

}  // namespace evictbench
