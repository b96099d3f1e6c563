// Configs that no decoder can have, one line a case; ids of the robustness contract. What is said of good ones:
// config_test.cpp.
#include "models/config.h"
#include "tests/support/malformed.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

using Keys = std::vector<std::pair<std::string, std::string>>;

const Keys kLlama = {{"model_type", "\"llama\""},
                     {"architectures", "[\"LlamaForCausalLM\"]"},
                     {"hidden_size", "12"},
                     {"intermediate_size", "20"},
                     {"num_hidden_layers", "2"},
                     {"num_attention_heads", "3"},
                     {"num_key_value_heads", "1"},
                     {"vocab_size", "100"},
                     {"max_position_embeddings", "64"},
                     {"rms_norm_eps", "1e-5"},
                     {"rope_theta", "10000.0"},
                     {"hidden_act", "\"silu\""},
                     {"tie_word_embeddings", "true"},
                     {"bos_token_id", "1"},
                     {"eos_token_id", "2"}};
const Keys kGemma3 = {{"model_type", "\"gemma3_text\""},
                      {"architectures", "[\"Gemma3ForCausalLM\"]"},
                      {"head_dim", "4"},
                      {"hidden_act", ""},
                      {"hidden_activation", "\"gelu_pytorch_tanh\""},
                      {"query_pre_attn_scalar", "4"},
                      {"sliding_window", "8"},
                      {"sliding_window_pattern", "2"},
                      {"rope_local_base_freq", "10000.0"}};
const Keys kGemma2 = {{"model_type", "\"gemma2\""},
                      {"architectures", "[\"Gemma2ForCausalLM\"]"},
                      {"head_dim", "4"},
                      {"hidden_act", ""},
                      {"hidden_activation", "\"gelu_pytorch_tanh\""},
                      {"query_pre_attn_scalar", "4"},
                      {"sliding_window", "8"}};
const Keys kMistral = {{"model_type", "\"mistral\""}, {"architectures", "[\"MistralForCausalLM\"]"}};
const Keys kQwen2 = {{"model_type", "\"qwen2\""}, {"architectures", "[\"Qwen2ForCausalLM\"]"}};
const Keys kQwen3 = {
    {"model_type", "\"qwen3\""}, {"architectures", "[\"Qwen3ForCausalLM\"]"}, {"head_dim", "4"}};
const Keys kPhi3 = {{"model_type", "\"phi3\""}, {"architectures", "[\"Phi3ForCausalLM\"]"}};
const Keys kGpt2 = {{"model_type", "\"gpt2\""},
                    {"architectures", "[\"GPT2LMHeadModel\"]"},
                    {"n_embd", "12"},
                    {"n_head", "3"},
                    {"n_layer", "2"},
                    {"n_positions", "64"},
                    {"layer_norm_epsilon", "1e-5"},
                    {"activation_function", "\"gelu_new\""}};

// The good Llama with keys set to other JSON, or taken out where the JSON is "".
std::string config_with(const Keys& family, const Keys& changes) {
  Keys keys = kLlama;
  for (const Keys* more : {&family, &changes})
    for (const auto& [key, json] : *more) {
      std::erase_if(keys, [&, name = key](const auto& k) { return k.first == name; });
      if (!json.empty()) keys.emplace_back(key, json);
    }
  std::string out = "{";
  for (const auto& [key, json] : keys) out += (out.size() > 1 ? ",\n  \"" : "\n  \"") + key + "\": " + json;
  return out + "\n}";
}

class Table {
 public:
  void text(const std::string& id, const std::string& code, const std::string& words,
            const std::string& content) {
    cases.push_back({id, content, "E-CF-" + code, words});
  }
  void keys(const std::string& id, const std::string& code, const std::string& words, const Keys& changes,
            const Keys& family = {}) {
    text(id, code, words, config_with(family, changes));
  }
  // One key in many wrong forms.
  void values(const std::string& id, const std::string& code, const std::string& key,
              const std::vector<std::string>& all, const std::string& words = "", const Keys& family = {}) {
    for (const std::string& value : all)
      keys(id, code, words.empty() ? "/" + key : words, {{key, value}}, family);
  }
  void rope(const std::string& code, const std::string& words, const std::string& block,
            const Keys& family = {}) {
    keys("CF-06", code, words, {{"rope_scaling", block}}, family);
    if (block != "{}") keys("CF-06", code, words, {{"rope_parameters", block}}, family);
  }

  std::vector<Malformed> cases;
};

void add_texts(Table& t) {
  const std::string good = config_with({}, {});
  t.text("CF-01", "F07", "empty", "");
  t.text("CF-01", "F07", "white space", " \n\t");
  for (const std::size_t size : {1u, 20u, 100u, 200u})
    t.text("CF-01", "J01", "not JSON", good.substr(0, size));
  t.text("CF-01", "J01", "not JSON", good + "}");
  t.text("CF-01", "J01", "not JSON", "{'hidden_size': 12}");
  t.text("CF-01", "J01", "not JSON", "// a comment\n" + good);
  for (const char* other : {"[]", "\"llama\"", "7", "null", "true"})
    t.text("CF-01", "J05", "1:1: .*; expected an object", other);
  t.text("CF-01", "J01", "byte-order mark", "\xef\xbb\xbf" + good);
  t.text("CF-01", "J02", "UTF-8", "{\"a\":\"\xff\"}");
  t.text("CF-01", "J01", "NUL", std::string("{\"a\":\0}", 7));
  t.text("CF-01", "J03", "deep", "{\"a\":" + std::string(1000, '['));
  t.text("CF-01", "F14", "HTML", "<!DOCTYPE html>");
  t.text("CF-01", "F13", "git lfs pull", "version https://git-lfs.github.com/spec/v1\n");
  t.keys("CF-01", "J01", "not JSON", {{"rms_norm_eps", "NaN"}});
  t.keys("CF-01", "J01", "not JSON", {{"rope_theta", "Infinity"}});
  t.keys("CF-01", "J01", "not JSON", {{"rope_theta", "-Infinity"}});
  t.keys("CF-01", "J01", "overflow", {{"rope_theta", "1e400"}});
  t.text("CF-01", "J04", "/hidden_size: the key \"hidden_size\" stands here and at 1:2",
         R"({"hidden_size":1,"hidden_size":2})");
  t.text("CF-01", "J04", "a", R"({"a":1,"\u0061":1})");
}

void add_families(Table& t) {
  t.keys("CF-02", "02", "model_type is absent", {{"model_type", ""}});
  t.keys("CF-02", "02", "model_type is absent", {{"model_type", "null"}});
  t.keys("CF-02", "02", "model_type is empty", {{"model_type", "\"\""}});
  t.values("CF-02", "J05", "model_type", {"7", "[\"llama\"]", "{}", "true"});
  t.values("CF-02", "02", "model_type",
           {"\"bert\"", "\"Llama\"", "\"llama \"", "\"mixtral\"", "\"\\u001b[31m\""},
           "/model_type: model_type \".*; expected one of: gemma2, ");
  t.values(
      "CF-02", "02", "architectures",
      {"[\"MistralForCausalLM\"]", "[\"Llama4ForCausalLM\"]", "[\"LlamaForCausalLM\",\"GPT2LMHeadModel\"]"},
      "/architectures/[01]: .*contradicts model_type \"llama\"");
  t.values("CF-02", "02", "architectures",
           {"[\"LlamaForSequenceClassification\"]", "[\"LlamaModel\"]", "[\"\"]"}, "no language model");
  t.values("CF-02", "J05", "architectures", {"[3]", "\"LlamaForCausalLM\"", "7", "[null]"});
  for (const char* key : {"text_config", "vision_config", "audio_config"})
    t.values("CF-02", "07", key, {"{\"hidden_size\": 4}"}, "several modalities");
  for (const char* key : {"num_local_experts", "num_experts", "n_routed_experts", "moe_intermediate_size"})
    t.values("CF-02", "07", key, {"8"}, "mixture of experts");
  t.values("CF-02", "02", "quantization_config", {"{\"quant_method\": \"gptq\", \"bits\": 4}"},
           "quantised by \"gptq\"");
  t.values("CF-02", "02", "quantization_config", {"{}", "\"awq\"", "[]", "{\"quant_method\":7}"},
           "of unknown scheme");
}

void add_sizes(Table& t) {
  const std::vector<std::string> kinds = {"\"4096\"", "true", "1.5", "4096.0", "1e3", "null", "[4]", "{}"},
                                 ranges = {"0",
                                           "-1",
                                           "2147483648",
                                           "9223372036854775808",
                                           "18446744073709551617",
                                           "-9223372036854775808"};
  for (const char* key : {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
                          "vocab_size", "max_position_embeddings"}) {
    t.values("CF-03", "J05", key, kinds);
    t.values("CF-03", "J06", key, ranges);
    t.keys("CF-03", "J07", std::string("\"") + key + "\" is absent", {{key, ""}});
  }
  for (const char* key : {"n_embd", "n_layer", "n_head", "n_positions"}) {
    t.values("CF-03", "J05", key, {"\"12\"", "12.0", "true"}, "", kGpt2);
    t.values("CF-03", "J06", key, {"0", "-1", "2147483648"}, "", kGpt2);
    t.keys("CF-03", "J07", std::string("\"") + key + "\" is absent", {{key, ""}}, kGpt2);
  }
  t.keys("CF-03", "J07", "is \"hiden_size\" meant", {{"hidden_size", ""}, {"hiden_size", "12"}});
  t.values("CF-04", "J06", "num_key_value_heads", {"0", "-1", "4", "2147483648"});
  t.values("CF-04", "04", "num_key_value_heads", {"2"}, "2 KV heads do not divide 3 query heads");
  t.values("CF-04", "J05", "num_key_value_heads", {"\"1\"", "1.0", "true", "[]"});
  for (const Keys* family : {&kMistral, &kQwen2, &kQwen3, &kGemma2, &kGemma3})
    t.keys("CF-04", "J07", "\"num_key_value_heads\" is absent", {{"num_key_value_heads", ""}}, *family);
  t.values("CF-05", "J06", "head_dim", {"0", "-2", "4097"});
  t.values("CF-05", "05", "head_dim", {"5", "1"}, "is odd");
  t.values("CF-05", "J05", "head_dim", {"\"4\"", "4.0", "false"});
  t.keys("CF-05", "05", "hidden_size 1792 / num_attention_heads 24",
         {{"hidden_size", "1792"}, {"num_attention_heads", "24"}, {"num_key_value_heads", "8"}});
  t.values("CF-05", "05", "hidden_size", {"9", "2", "13"}, "no even number");
  t.values("CF-05", "05", "n_head", {"5", "7"}, "heads do not divide n_embd 12", kGpt2);
  for (const Keys* family : {&kQwen3, &kGemma2, &kGemma3})
    t.keys("CF-05", "J07", "\"head_dim\" is absent", {{"head_dim", ""}}, *family);
}

void add_ropes(Table& t) {
  t.values("CF-06", "J06", "rope_theta", {"0", "-1", "0.5", "1e30"});
  t.values("CF-06", "J05", "rope_theta", {"\"1e6\"", "true", "[]"});
  t.rope("06", "no rope_type", "{}");
  for (const char* other : {"[]", "\"linear\"", "4.0", "true"}) t.rope("J05", "expected an object", other);
  for (const char* type : {"mrope", "proportional"})
    t.rope("06", "is known, but not supported here",
           std::string(R"({"factor":2.0,"rope_type":")") + type + "\"}");
  t.rope("06", "\"llama33\" is unknown", R"({"rope_type":"llama33"})");
  t.rope("06", "\"\" is unknown", R"({"rope_type":""})");
  t.rope("J05", "/rope_type", R"({"rope_type":3})");
  t.rope("06", "type \"linear\" and rope_type \"llama3\" differ",
         R"({"rope_type":"llama3","type":"linear"})");
  t.rope("06", "mrope", R"({"rope_type":"default","mrope_section":[1,1,2]})");
  t.rope("06", "layer type \"full_attention\" apart", R"({"full_attention":{"rope_type":"default"}})");
  t.rope("07", "partial_rotary_factor", R"({"rope_type":"default","partial_rotary_factor":0.5})");
  for (const std::string type : {"linear", "dynamic"}) {
    const std::string start = "{\"rope_type\":\"" + type + "\"";
    t.rope("J07", "\"factor\" is absent", start + "}");
    for (const char* factor : {"0.5", "0", "-2", "1e9"})
      t.rope("J06", "/factor", start + ",\"factor\":" + factor + "}");
    for (const char* factor : {"\"2\"", "true", "[2]"})
      t.rope("J05", "/factor", start + ",\"factor\":" + factor + "}");
  }
  const std::string f = ",\"factor\":8", l = ",\"low_freq_factor\":1", h = ",\"high_freq_factor\":4",
                    o = ",\"original_max_position_embeddings\":32";
  const auto llama3 = [&](const std::string& rest, const std::string& code, const std::string& words) {
    t.rope(code, words, "{\"rope_type\":\"llama3\"" + rest + "}");
  };
  llama3(l + h + o, "J07", "\"factor\" is absent");
  llama3(f + h + o, "J07", "\"low_freq_factor\" is absent");
  llama3(f + l + o, "J07", "\"high_freq_factor\" is absent");
  llama3(f + l + h, "J07", "\"original_max_position_embeddings\" is absent");
  llama3(f + ",\"low_freq_factor\":4" + h + o, "06", "high_freq_factor 4 is not above low_freq_factor 4");
  llama3(f + ",\"low_freq_factor\":0" + h + o, "J06", "/low_freq_factor");
  llama3(f + l + h + ",\"original_max_position_embeddings\":65", "06",
         "65 is above max_position_embeddings 64");
  llama3(f + l + h + ",\"original_max_position_embeddings\":32.5", "J05", "original_max");
  t.rope("06", "beta_fast 1 is not above",
         R"({"rope_type":"yarn","factor":2.0,"beta_fast":1,"beta_slow":1})");
  t.rope("06", "65 is above", R"({"rope_type":"yarn","factor":2.0,"original_max_position_embeddings":65})");
  t.rope("J06", "/attention_factor", R"({"rope_type":"yarn","factor":2.0,"attention_factor":0})");
  t.rope("J05", "/truncate", R"({"rope_type":"yarn","factor":2.0,"truncate":1})");
  t.rope("J07", "\"short_factor\" is absent", R"({"rope_type":"longrope","long_factor":[1,1]})");
  t.rope("J07", "\"long_factor\" is absent", R"({"rope_type":"longrope","short_factor":[1,1]})");
  t.rope("06", "1 factors in long_factor; expected 2",
         R"({"rope_type":"su","short_factor":[1,1],"long_factor":[1]})");
  t.rope("J06", "/short_factor/1", R"({"rope_type":"longrope","short_factor":[1,0],"long_factor":[1,1]})");
  t.rope("06", "no list of factors", R"({"rope_type":"longrope","short_factor":{},"long_factor":[1,1]})");
  t.keys("CF-06", "06", "rope_theta is 500000 here and 10000 outside",
         {{"rope_parameters", R"({"rope_theta":5e5})"}});
  t.keys("CF-06", "06", "rope_parameters and rope_scaling differ",
         {{"rope_parameters", R"({"rope_type":"default"})"},
          {"rope_scaling", "{\"rope_type\":\"llama3\"" + f + l + h + o + "}"}});
  t.keys("CF-06", "J06", "/rope_parameters/rope_theta",
         {{"rope_parameters", R"({"rope_theta":0})"}, {"rope_theta", ""}});
  t.values("CF-06", "J06", "partial_rotary_factor", {"0", "1.5", "-1"}, "", kPhi3);
  t.values("CF-06", "05", "partial_rotary_factor", {"0.25", "0.75"}, "of 4 dims turn", kPhi3);
  t.values("CF-06", "06", "rope_scaling", {R"({"rope_type":"linear","factor":2.0})"}, "in a Phi-3", kPhi3);
  t.keys("CF-06", "J07", "\"rope_local_base_freq\" is absent", {{"rope_local_base_freq", ""}}, kGemma3);
  t.values("CF-06", "J06", "rope_local_base_freq", {"0", "-1"}, "", kGemma3);
  t.keys("CF-06", "J07", "\"sliding_attention\" is absent",
         {{"rope_parameters", R"({"full_attention":{"rope_type":"default","rope_theta":1e6}})"}}, kGemma3);
}

void add_arithmetic(Table& t) {
  for (const auto& [key, value] : {std::pair{"use_bias", "true"},
                                   {"qkv_bias", "true"},
                                   {"lm_head_bias", "true"},
                                   {"attn_logit_softcapping", "50.0"},
                                   {"final_logit_softcapping", "30.0"},
                                   {"query_pre_attn_scalar", "256"},
                                   {"attention_multiplier", "0.0078125"},
                                   {"attention_sink", "true"},
                                   {"use_attention_sinks", "true"},
                                   {"use_qk_norm", "true"},
                                   {"qk_layernorm", "true"},
                                   {"clip_qkv", "8.0"},
                                   {"alibi", "true"},
                                   {"no_rope_layers", "[1,0]"},
                                   {"kv_lora_rank", "512"},
                                   {"rope_interleaved", "true"},
                                   {"embedding_multiplier", "12.0"},
                                   {"residual_multiplier", "0.22"},
                                   {"logits_scaling", "8"},
                                   {"scale_emb", "12"},
                                   {"logit_scale", "0.0625"},
                                   {"partial_rotary_factor", "0.5"},
                                   {"is_encoder_decoder", "true"},
                                   {"use_parallel_residual", "true"}})
    t.values("CF-07", "07", key, {value}, std::string("/") + key + ": " + key + " asks for .*not supported");
  for (const char* key : {"attention_bias", "mlp_bias", "tie_word_embeddings"})
    t.values("CF-07", "J05", key, {"\"false\"", "1", "[]"});
  t.values("CF-07", "07", "hidden_act",
           {"\"gelu\"", "\"relu\"", "\"gelu_pytorch_tanh\"", "\"\"", "\"SiLU\""});
  t.values("CF-07", "J05", "hidden_act", {"1", "[]"});
  t.values("CF-07", "J06", "rms_norm_eps", {"0", "-1e-5", "0.2"});
  t.values("CF-07", "J05", "rms_norm_eps", {"\"1e-5\"", "true", "null"});
  t.keys("CF-07", "J07", "\"rms_norm_eps\" is absent", {{"rms_norm_eps", ""}});
  t.values("CF-07", "07", "sliding_window", {"32"}, "sliding window of 32 tokens");
  t.keys("CF-07", "07", "sliding window", {{"sliding_window", "32"}, {"use_sliding_window", "true"}});
  t.values("CF-07", "J05", "sliding_window", {"\"32\"", "32.0", "true"});
  t.keys("CF-07", "J05", "/use_sliding_window", {{"sliding_window", "32"}, {"use_sliding_window", "0"}});
  t.values("CF-07", "J06", "sliding_window", {"0", "-1", "2147483648"}, "", kGemma2);
  t.keys("CF-07", "J07", "\"sliding_window\" is absent", {{"sliding_window", ""}}, kGemma3);
  t.values("CF-07", "J06", "sliding_window_pattern", {"0", "-1"}, "", kGemma3);
  t.values("CF-07", "07", "layer_types", {R"(["full_attention"])"}, "1 layer types; expected 2");
  t.values("CF-07", "J05", "layer_types", {"7", "[1,2]", "\"full_attention\""});
  t.values("CF-07", "07", "layer_types", {R"(["full_attention","linear_attention"])"},
           "/layer_types/1: ", kQwen3);
  t.values("CF-07", "J06", "query_pre_attn_scalar", {"0", "-4"}, "", kGemma2);
  t.keys("CF-07", "J07", "\"query_pre_attn_scalar\" is absent", {{"query_pre_attn_scalar", ""}}, kGemma2);
  t.values("CF-07", "J06", "attn_logit_softcapping", {"-1"}, "", kGemma2);
  t.values("CF-07", "07", "activation_function", {"\"relu\""}, "", kGpt2);
  t.values("CF-07", "07", "scale_attn_weights", {"false"}, "without its scale", kGpt2);
  t.values("CF-07", "J06", "layer_norm_epsilon", {"0", "1"}, "", kGpt2);
  t.values("CF-08", "J05", "torch_dtype", {"16", "[]", "true"});
  t.values("CF-08", "J05", "dtype", {"16"});
  t.values("CF-09", "J06", "eos_token_id", {"100", "-1", "[1,100]", "2147483648"});
  t.values("CF-09", "J05", "eos_token_id", {"\"2\"", "2.0", "true", "[\"2\"]", "[[2]]", "{}"});
  t.values("CF-09", "J06", "bos_token_id", {"100", "-1"});
  t.values("CF-09", "J05", "bos_token_id", {"\"1\"", "[1]"});
}

TEST(MalformedConfigs, AreRefusedByName) {
  Table table;
  for (const auto add : {add_texts, add_families, add_sizes, add_ropes, add_arithmetic}) add(table);
  const TempFolder folder;
  const auto open = [&](const std::string& content) {
    folder.write("config.json", content);
    read_config(folder.path());
  };
  for (const Keys* family : {&kMistral, &kQwen2, &kQwen3, &kPhi3, &kGpt2, &kGemma2, &kGemma3})
    EXPECT_EQ(refusal([&] { open(config_with(*family, {})); }), "");
  expect_all_refused(table.cases, 250,
                     {"CF-01", "CF-02", "CF-03", "CF-04", "CF-05", "CF-06", "CF-07", "CF-08", "CF-09"}, open);
}

// CF-09: end tokens that generation_config.json adds.
TEST(MalformedConfigs, OfGenerationToo) {
  const TempFolder folder;
  folder.write("config.json", config_with({}, {}));
  std::vector<Malformed> cases;
  const auto add = [&](const std::string& code, const std::string& words,
                       const std::vector<std::string>& texts) {
    for (const std::string& text : texts)
      cases.push_back({"CF-09", text, "E-CF-" + code, "generation_config.json.*" + words});
  };
  add("F07", "empty", {""});
  add("J01", "not JSON", {"{", "{\"eos_token_id\":2,}", "{\"eos_token_id\":NaN}"});
  add("J05", "an object", {"[]", "2", "null"});
  add("J04", "eos_token_id", {R"({"eos_token_id":1,"eos_token_id":2})"});
  add("J06", "/eos_token_id",
      {R"({"eos_token_id":100})", R"({"eos_token_id":-1})", R"({"eos_token_id":[2,2147483648]})"});
  add("J05", "/eos_token_id",
      {R"({"eos_token_id":"2"})", R"({"eos_token_id":2.0})", R"({"eos_token_id":[[2]]})",
       R"({"eos_token_id":{}})"});
  expect_all_refused(cases, 15, {"CF-09"}, [&](const std::string& content) {
    folder.write("generation_config.json", content);
    read_config(folder.path());
  });
}

}  // namespace
}  // namespace evictbench
