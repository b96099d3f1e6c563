#include "models/gguf_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "models/gguf_blocks.h"

namespace evictbench {
namespace {

using Out = nlohmann::ordered_json;

constexpr std::int64_t kMost = INT32_MAX;
constexpr double kMostNumber = 1e30;
constexpr const char* kFolder = "use the model's Hugging Face folder";

struct Named {
  std::string_view key;  // general.architecture, and the prefix of the others
  GgufArchitecture architecture;
  const char *model_type, *class_name;  // of config.json
};
constexpr auto kArchitectures = std::to_array<Named>({
    {"llama", GgufArchitecture::kLlama, "llama", "LlamaForCausalLM"},
    {"qwen2", GgufArchitecture::kQwen2, "qwen2", "Qwen2ForCausalLM"},
    {"qwen3", GgufArchitecture::kQwen3, "qwen3", "Qwen3ForCausalLM"},
    {"gpt2", GgufArchitecture::kGpt2, "gpt2", "GPT2LMHeadModel"},
    {"phi3", GgufArchitecture::kPhi3, "phi3", "Phi3ForCausalLM"},
    {"gemma2", GgufArchitecture::kGemma2, "gemma2", "Gemma2ForCausalLM"},
    {"gemma3", GgufArchitecture::kGemma3, "gemma3_text", "Gemma3ForCausalLM"},
});

// Keys of an architecture that change what a decoder computes, and are refused.
constexpr auto kRefused = std::to_array<std::string_view>(
    {"attention.alibi_bias_max", "attention.clamp_kqv", "attention.max_alibi_bias", "attention.scale",
     "embedding_scale", "logit_scale", "residual_scale", "rope.dimension_sections", "use_parallel_residual"});
// Keys of an architecture that are read.
constexpr auto kRead = std::to_array<std::string_view>({"attention.head_count",
                                                        "attention.head_count_kv",
                                                        "attention.key_length",
                                                        "attention.layer_norm_epsilon",
                                                        "attention.layer_norm_rms_epsilon",
                                                        "attention.sliding_window",
                                                        "attention.value_length",
                                                        "attn_logit_softcapping",
                                                        "block_count",
                                                        "context_length",
                                                        "embedding_length",
                                                        "expert_count",
                                                        "feed_forward_length",
                                                        "final_logit_softcapping",
                                                        "rope.dimension_count",
                                                        "rope.freq_base",
                                                        "rope.freq_base_swa",
                                                        "rope.scale_linear",
                                                        "rope.scaling.attn_factor",
                                                        "rope.scaling.factor",
                                                        "rope.scaling.finetuned",
                                                        "rope.scaling.original_context_length",
                                                        "rope.scaling.type",
                                                        "rope.scaling.yarn_attn_factor",
                                                        "rope.scaling.yarn_beta_fast",
                                                        "rope.scaling.yarn_beta_slow",
                                                        "rope.scaling.yarn_ext_factor",
                                                        "rope.scaling.yarn_log_multiplier",
                                                        "vocab_size"});

const Named& named(const Gguf& file) {
  const std::string_view key = file.text_at("general.architecture");
  const auto found = std::ranges::find(kArchitectures, key, &Named::key);
  if (found != kArchitectures.end()) return *found;
  std::string known;
  for (const Named& each : kArchitectures) known.append(known.empty() ? "" : ", ").append(each.key);
  file.reject("32", "general.architecture", fmt::format("architecture '{}'", printable(key)),
              "one of " + known, kFolder);
}

// A part of a model, or something else than a model.
void refuse_parts(const Gguf& file) {
  if (const auto count = file.integer("split.count", 0, 65535); count && *count > 1)
    file.reject("33", "split.count", fmt::format("one part of a model in {} files", *count),
                "a whole model in one file", "join the parts with llama-gguf-split --merge");
  if (const auto type = file.text("general.type"); type && *type != "model")
    file.reject(
        "33", "general.type", fmt::format("a file of type '{}'", printable(*type)), "model",
        *type == "adapter" ? "merge the adapter into its base model" : "name the file of the model itself");
}

class Writer {
 public:
  Writer(const Gguf& file, const Named& model) : file_(file), model_(model) {}

  GgufConfig write() {
    out_["architectures"] = {model_.class_name};
    out_["model_type"] = model_.model_type;
    if (const std::string key = own("expert_count"); file_.integer(key, 0, kMost).value_or(0) > 0)
      file_.reject("32", key, "a mixture of experts", "a dense model", "use another model");
    vocabulary_ = vocabulary();
    if (model_.architecture == GgufArchitecture::kGpt2)
      write_gpt2();
    else
      write_rotary();
    out_["vocab_size"] = vocabulary_;
    // A file without a head uses the embedding table in its place.
    out_["tie_word_embeddings"] = file_.find("output.weight") == nullptr;
    write_tokens();
    JsonRules rules;
    rules.code_prefix = "E-CF";
    return {Json::from_text(out_.dump(1), file_.path() + " (as config.json)", rules), notes_of_keys()};
  }

 private:
  using Arch = GgufArchitecture;

  std::string own(std::string_view key) const { return fmt::format("{}.{}", model_.key, key); }
  std::int64_t count(std::string_view key) const { return file_.integer_at(own(key), 1, kMost); }
  bool is(Arch architecture) const { return model_.architecture == architecture; }
  void put_number(const char* to, std::string_view key) {
    if (const auto value = file_.number(own(key), -kMostNumber, kMostNumber)) out_[to] = *value;
  }

  // Refuses or lists the keys of the architecture that are not read.
  std::vector<std::string> notes_of_keys() const {
    std::vector<std::string_view> unknown;
    const std::string prefix = own("");
    for (const std::string_view key : file_.keys()) {
      if (!key.starts_with(prefix)) continue;
      const std::string_view name = key.substr(prefix.size());
      if (std::ranges::find(kRefused, name) != kRefused.end())
        file_.reject("32", key, "a key that changes what the model computes, and that is not supported",
                     "a model without it", "use another model");
      if (std::ranges::find(kRead, name) == kRead.end()) unknown.push_back(key);
    }
    if (unknown.empty()) return {};
    return {fmt::format("unknown keys are ignored: {}",
                        printable(fmt::format("{}", fmt::join(unknown, ", ")), 500))};
  }

  // Rows of the embedding table; tokens and vocab_size must agree.
  std::int64_t vocabulary() const {
    const GgufTensor* table = file_.find("token_embd.weight");
    if (table == nullptr || table->dims.size() != 2 || table->dims[1] > kMost)
      file_.reject("34", "token_embd.weight",
                   table == nullptr
                       ? "the tensor is absent"
                       : fmt::format("an embedding table of shape [{}]", fmt::join(table->dims, ", ")),
                   "a table of [width, tokens]",
                   table == nullptr ? "this file holds no model, or a part of one; name the whole model"
                                    : "fetch the file again");
    const std::int64_t rows = table->dims[1];
    const auto agree = [&](std::string_view key, std::int64_t tokens) {
      if (tokens != rows)
        file_.reject("34", key, fmt::format("{} tokens", tokens),
                     fmt::format("{}, as many as token_embd.weight has rows", rows),
                     "convert the model again, from one checkpoint");
    };
    if (const auto stated = file_.integer(own("vocab_size"), 0, kMost)) agree(own("vocab_size"), *stated);
    if (const auto tokens = file_.length("tokenizer.ggml.tokens"))
      agree("tokenizer.ggml.tokens", static_cast<std::int64_t>(*tokens));
    return rows;
  }

  void write_gpt2() {
    out_["n_embd"] = count("embedding_length");
    out_["n_layer"] = count("block_count");
    out_["n_head"] = count("attention.head_count");
    out_["n_inner"] = count("feed_forward_length");
    out_["n_positions"] = count("context_length");
    out_["layer_norm_epsilon"] = file_.number_at(own("attention.layer_norm_epsilon"), 0, 1);
    out_["activation_function"] = "gelu_new";
  }

  void write_rotary() {
    hidden_ = count("embedding_length");
    layers_ = count("block_count");
    heads_ = count("attention.head_count");
    out_["hidden_size"] = hidden_;
    out_["intermediate_size"] = count("feed_forward_length");
    out_["num_hidden_layers"] = layers_;
    out_["num_attention_heads"] = heads_;
    out_["num_key_value_heads"] = file_.integer(own("attention.head_count_kv"), 1, kMost).value_or(heads_);
    write_head_dim();
    out_["max_position_embeddings"] = count("context_length");
    out_["rms_norm_eps"] = file_.number_at(own("attention.layer_norm_rms_epsilon"), 0, 1);
    write_rope();
    if (is(Arch::kGemma2) || is(Arch::kGemma3))
      write_gemma();
    else
      write_plain();
  }

  void write_head_dim() {
    head_dim_ = file_.integer(own("attention.key_length"), 1, kMost).value_or(hidden_ / heads_);
    if (!file_.has(own("attention.key_length")) && hidden_ % heads_ != 0)
      file_.reject(
          "31", own("attention.key_length"),
          fmt::format("the key is absent, and {} heads do not divide a width of {}", heads_, hidden_),
          "the width of a head", "convert the model again");
    if (const auto values = file_.integer(own("attention.value_length"), 1, kMost);
        values && *values != head_dim_)
      file_.reject("31", own("attention.value_length"),
                   fmt::format("values of {} elements beside keys of {}", *values, head_dim_),
                   "keys and values of one width", "use another model");
    out_["head_dim"] = head_dim_;
  }

  void write_plain() {
    const bool phi = is(Arch::kPhi3);
    out_["hidden_act"] = "silu";
    if (is(Arch::kLlama)) {
      out_["attention_bias"] = file_.find("blk.0.attn_q.bias") != nullptr;
      out_["mlp_bias"] = file_.find("blk.0.ffn_up.bias") != nullptr;
    }
    const auto window = file_.integer(own("attention.sliding_window"), 0, kMost);
    if (!window || *window == 0) return;
    if (is(Arch::kLlama)) {  // of the models under this name only Mistral has one
      out_["model_type"] = "mistral";
      out_["architectures"] = {"MistralForCausalLM"};
      out_.erase("attention_bias");
      out_.erase("mlp_bias");
    } else if (!phi) {
      out_["use_sliding_window"] = true;
    }
    out_["sliding_window"] = *window;
  }

  // What llama.cpp has in its code and not in the file: which layers look at a window, and how queries are scaled.
  void write_gemma() {
    const bool second = is(Arch::kGemma2);
    const int every = second ? 2 : 6;  // layers: the last of these sees all of the text
    out_["hidden_activation"] = "gelu_pytorch_tanh";
    out_["sliding_window"] = count("attention.sliding_window");
    out_["layer_types"] = Out::array();
    for (std::int64_t layer = 0; layer < std::min<std::int64_t>(layers_, 1000); ++layer)
      out_["layer_types"].push_back((layer + 1) % every == 0 ? "full_attention" : "sliding_attention");
    const bool largest = layers_ == (second ? 46 : 62);  // the models of 27 billion parameters
    out_["query_pre_attn_scalar"] = largest ? hidden_ / heads_ : head_dim_;
    put_number("attn_logit_softcapping", "attn_logit_softcapping");
    put_number("final_logit_softcapping", "final_logit_softcapping");
    if (!second)
      out_["rope_local_base_freq"] = file_.number(own("rope.freq_base_swa"), 1, kMostNumber).value_or(10000);
  }

  void write_rope() {
    theta_ = file_.number(own("rope.freq_base"), 1, kMostNumber).value_or(10000);
    out_["rope_theta"] = theta_;
    if (const auto dims = file_.integer(own("rope.dimension_count"), 1, kMost); dims && *dims != head_dim_) {
      if (*dims > head_dim_)
        file_.reject("31", own("rope.dimension_count"),
                     fmt::format("{} of {} elements of a head", *dims, head_dim_),
                     "at most as many as there are", "convert the model again");
      out_["partial_rotary_factor"] = static_cast<double>(*dims) / static_cast<double>(head_dim_);
    }
    std::string type(file_.text(own("rope.scaling.type")).value_or("none"));
    auto factor = file_.number(own("rope.scaling.factor"), 0, kMostNumber);
    if (const auto old = file_.number(own("rope.scale_linear"), 0, kMostNumber);
        old && !factor && *old != 1) {
      factor = old;
      type = "linear";
    }
    const GgufTensor* tensor = file_.find("rope_freqs.weight");
    if (tensor != nullptr)
      write_llama3(*tensor, type);
    else if (file_.find("rope_factors_long.weight") != nullptr)
      write_longrope();
    else if (type != "none")
      write_scaling(type, factor);
  }

  void write_llama3(const GgufTensor& tensor, const std::string& type) {
    const std::vector<float> factors = vector_of(file_, tensor);
    if (type != "none")
      file_.reject("35", own("rope.scaling.type"),
                   fmt::format("scaling '{}' beside rope_freqs.weight", printable(type)), "one of the two",
                   kFolder);
    if (static_cast<std::int64_t>(factors.size()) != head_dim_ / 2)
      file_.reject("35", tensor.name, fmt::format("{} factors", factors.size()),
                   fmt::format("{}, one for two elements of a head", head_dim_ / 2),
                   "convert the model again");
    const auto scaling = llama3_scaling(factors, theta_);
    if (!scaling)
      file_.reject("35", tensor.name, "rotary factors that no llama3 scaling in use gives",
                   "those of rope_scaling llama3 with low_freq_factor 1 and high_freq_factor 4", kFolder);
    if (scaling->factor == 1) return;
    out_["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", scaling->factor},
                            {"low_freq_factor", scaling->low},
                            {"high_freq_factor", scaling->high},
                            {"original_max_position_embeddings", scaling->original}};
  }

  void write_longrope() {
    Out scaling{{"rope_type", "longrope"}};
    for (const auto& [to, from] : {std::pair{"short_factor", "rope_factors_short.weight"},
                                   {"long_factor", "rope_factors_long.weight"}}) {
      const GgufTensor* tensor = file_.find(from);
      if (tensor == nullptr)
        file_.reject("35", from, "the tensor is absent", "short and long factors", "convert the model again");
      scaling[to] = Out::array();
      for (const float factor : vector_of(file_, *tensor)) {
        if (!(factor > 0 && factor < 1e6f))
          file_.reject("35", from, fmt::format("a rotary factor of {}", factor), "a number from 0 to 1e6",
                       "convert the model again");
        scaling[to].push_back(as_written(factor));
      }
    }
    if (const auto attention = file_.number(own("rope.scaling.attn_factor"), 0, kMostNumber))
      scaling["attention_factor"] = *attention;
    out_["original_max_position_embeddings"] = count("rope.scaling.original_context_length");
    out_["rope_scaling"] = scaling;
  }

  void write_scaling(const std::string& type, const std::optional<double>& factor) {
    Out scaling{{"rope_type", type}};
    if (!factor) file_.number_at(own("rope.scaling.factor"), 0, kMostNumber);
    scaling["factor"] = *factor;
    if (type == "yarn") {
      scaling["original_max_position_embeddings"] = count("rope.scaling.original_context_length");
      for (const auto& [to, from] : {std::pair{"beta_fast", "rope.scaling.yarn_beta_fast"},
                                     {"beta_slow", "rope.scaling.yarn_beta_slow"}})
        if (const auto value = file_.number(own(from), 0, kMostNumber)) scaling[to] = *value;
      for (const char* key : {"rope.scaling.yarn_log_multiplier", "rope.scaling.yarn_ext_factor",
                              "rope.scaling.yarn_attn_factor", "rope.scaling.attn_factor"})
        if (const auto value = file_.number(own(key), -kMostNumber, kMostNumber);
            value && *value != (std::string_view(key).ends_with("log_multiplier") ? 0.0 : 1.0))
          file_.reject("35", own(key), fmt::format("a yarn scaling with {}", *value), "one without", kFolder);
    } else if (type != "linear") {
      file_.reject("35", own("rope.scaling.type"), fmt::format("scaling '{}'", printable(type)),
                   "none, linear, yarn, or longrope with its factors", kFolder);
    }
    out_["rope_scaling"] = scaling;
  }

  void write_tokens() {
    const auto id = [&](const char* key) {
      return file_.integer(fmt::format("tokenizer.ggml.{}_token_id", key), 0, vocabulary_ - 1);
    };
    if (const auto bos = id("bos")) out_["bos_token_id"] = *bos;
    std::vector<std::int64_t> ends;
    for (const char* key : {"eos", "eot", "eom"})  // of the text, of a turn, of a message
      if (const auto end = id(key); end && std::ranges::find(ends, *end) == ends.end()) ends.push_back(*end);
    if (!ends.empty()) out_["eos_token_id"] = ends;
  }

  const Gguf& file_;
  const Named& model_;
  Out out_;
  std::int64_t vocabulary_ = 0, hidden_ = 0, layers_ = 0, heads_ = 0, head_dim_ = 0;
  double theta_ = 0;
};

}  // namespace

GgufArchitecture architecture_of(const Gguf& file) {
  refuse_parts(file);
  return named(file).architecture;
}

GgufConfig config_of(const Gguf& file) {
  refuse_parts(file);
  return Writer(file, named(file)).write();
}

std::vector<float> vector_of(const Gguf& file, const GgufTensor& tensor) {
  if (tensor.type->name != "F32" || tensor.dims.size() != 1 || tensor.dims[0] > 1 << 16)
    file.reject("35", tensor.name,
                fmt::format("type {} of shape [{}]", tensor.type->name, fmt::join(tensor.dims, ", ")),
                "a short vector of F32", "convert the model again");
  std::vector<float> out(static_cast<std::size_t>(tensor.dims[0]));
  file.read(tensor, 0, std::as_writable_bytes(std::span(out)));
  return out;
}

}  // namespace evictbench
