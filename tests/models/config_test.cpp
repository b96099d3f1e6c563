#include "models/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/no_file.h"
#include "tests/support/refusal.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Keys = std::vector<std::pair<std::string, std::string>>;

// A good config with some keys set to other JSON, or taken out where the JSON is "".
std::string config_with(const Keys& changes) {
  Keys keys = {{"model_type", "\"llama\""},
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
               {"eos_token_id", "2"},
               {"torch_dtype", "\"float32\""}};
  for (const auto& [key, json] : changes) {
    std::erase_if(keys, [&, name = key](const auto& k) { return k.first == name; });
    if (!json.empty()) keys.emplace_back(key, json);
  }
  std::string out = "{";
  for (const auto& [key, json] : keys) out += (out.size() > 1 ? ",\n  \"" : "\n  \"") + key + "\": " + json;
  return out + "\n}";
}

class Config : public testing::Test {
 protected:
  DecoderConfig read(const Keys& changes) const {
    folder.write("config.json", config_with(changes));
    return read_config(folder.path());
  }
  void refuse(const Keys& changes, const std::string& code, const std::string& words) const {
    SCOPED_TRACE(printable(config_with(changes), 1000));
    expect_refusal([&] { read(changes); }, "E-CF-" + code, words);
  }
  // One key in many wrong forms.
  void refuse_all(const std::string& key, const std::vector<std::string>& values,
                  const std::string& codes) const {
    for (const std::string& value : values) {
      SCOPED_TRACE(key + ": " + value);
      const std::string message = refusal([&] { read({{key, value}}); });
      EXPECT_THAT(message, testing::ContainsRegex("^error\\[E-CF-(" + codes + ")\\].*" + key));
    }
  }
  void generation(const std::string& text) const { folder.write("generation_config.json", text); }

  TempFolder folder;
};

TEST_F(Config, ReadsEveryField) {
  const DecoderConfig c = read({});
  EXPECT_EQ(c.model_type, "llama");
  EXPECT_EQ(c.layers, 2);
  EXPECT_EQ(c.hidden, 12);
  EXPECT_EQ(c.intermediate, 20);
  EXPECT_EQ(c.q_heads, 3);
  EXPECT_EQ(c.kv_heads, 1);
  EXPECT_EQ(c.head_dim, 4);
  EXPECT_EQ(c.vocabulary, 100);
  EXPECT_EQ(c.max_positions, 64);
  EXPECT_EQ(c.norm_eps, 1e-5);
  EXPECT_EQ(c.ropes.at(0).theta, 10000.0);
  EXPECT_EQ(c.ropes.at(0).kind, RopeConfig::Kind::kDefault);
  EXPECT_TRUE(c.tied_embeddings);
  EXPECT_EQ(c.bos_token, 1);
  EXPECT_THAT(c.eos_tokens, ElementsAre(2));
  EXPECT_EQ(c.dtype, "float32");
  EXPECT_THAT(c.notes, IsEmpty());
  EXPECT_EQ(model_type_of(open_config(folder.path())), "llama");
}

TEST_F(Config, RefusesFilesThatAreNoConfig) {
  const auto text = [&](const std::string& content, const std::string& code, const std::string& words) {
    SCOPED_TRACE(printable(content));
    folder.write("config.json", content);
    expect_refusal([&] { read_config(folder.path()); }, "E-CF-" + code, words);
    expect_refusal([&] { model_type_of(open_config(folder.path())); }, "E-CF-" + code, words);
  };
  expect_refusal([&] { read_config(folder.path()); }, "E-CF-F01", "config.json: there is no such file");
  text("", "F07", "empty");
  text("{", "J01", "not JSON");
  text(config_with({}).substr(0, 100), "J01", "not JSON");
  text("[]", "J05", "an array; expected an object");
  text("\"llama\"", "J05", "expected an object");
  text("\xef\xbb\xbf" + config_with({}), "J01", "byte-order mark");
  text(config_with({{"rms_norm_eps", "NaN"}}), "J01", "10:|11:|NaN");
  text(config_with({{"rope_theta", "Infinity"}}), "J01", "not JSON");
  text(config_with({{"rope_theta", "-Infinity"}}), "J01", "not JSON");
  text(config_with({{"rope_theta", "1e400"}}), "J01", "overflow");
  text("{\"hidden_size\": 1, \"hidden_size\": 2}", "J04", "hidden_size");
  text("<!DOCTYPE html>", "F14", "HTML");
  text("{\"a\":\"\xff\"}", "J02", "UTF-8");
  expect_refusal([] { model_type_of(open_config("")); }, "E-CF-F01",
                 "^[^:]*: the path is empty; expected a model folder");
  expect_refusal([&] { read_config(folder / "config.json"); }, "E-CF-F01",
                 "this is a file; expected a model folder");
}

TEST_F(Config, KnowsItsFamily) {
  refuse({{"model_type", ""}}, "02", "model_type is absent");
  refuse({{"model_type", "null"}}, "02", "model_type is absent");
  refuse({{"model_type", "\"\""}}, "02", "model_type is empty");
  refuse({{"model_type", "7"}}, "J05", "/model_type: an integer '7");
  refuse({{"architectures", "[\"MistralForCausalLM\"]"}}, "02",
         "/architectures/0: .*\"MistralForCausalLM\" contradicts model_type \"llama\"");
  refuse({{"architectures", "[\"Llama4ForCausalLM\"]"}}, "02", "contradicts");
  refuse({{"architectures", "[\"LlamaForSequenceClassification\"]"}}, "02", "no language model");
  refuse({{"architectures", "[\"LlamaModel\"]"}}, "02", "no language model");
  refuse({{"architectures", "[3]"}}, "J05", "/architectures/0");
  refuse({{"architectures", "\"LlamaForCausalLM\""}}, "J05", "/architectures");
  refuse({{"text_config", "{\"hidden_size\": 4}"}}, "07", "several modalities");
  refuse({{"num_local_experts", "8"}}, "07", "mixture of experts");
  refuse({{"num_experts", "64"}}, "07", "mixture of experts");
  refuse({{"n_routed_experts", "64"}}, "07", "mixture of experts");
  refuse({{"quantization_config", "{\"quant_method\": \"gptq\", \"bits\": 4}"}}, "02",
         "quantised by \"gptq\"");
  refuse({{"quantization_config", "{}"}}, "02", "unknown scheme");
  refuse({{"quantization_config", "\"awq\""}}, "02", "unknown scheme");
  EXPECT_THAT(read({{"architectures", ""}}).notes, ElementsAre(HasSubstr("architectures is absent")));
  EXPECT_THAT(read({{"architectures", "[]"}}).notes, ElementsAre(HasSubstr("architectures is absent")));
  EXPECT_THAT(read({{"auto_map", "{\"AutoModel\": \"evil.py\"}"}}).notes,
              ElementsAre(HasSubstr("never run")));
  refuse({{"model_type", "\"qwen2_moe\""}, {"architectures", "[\"Qwen2MoeForCausalLM\"]"}}, "02",
         "model_type \"qwen2_moe\"; expected one of: gemma2, gemma3_text, gpt2, llama, mistral, phi3, qwen2, "
         "qwen3");
}

TEST_F(Config, RefusesBadSizes) {
  for (const char* key : {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
                          "vocab_size", "max_position_embeddings"}) {
    refuse_all(key, {"\"4096\"", "true", "1.5", "4096.0", "1e3", "null", "[4]", "{}"}, "J05");
    refuse_all(
        key, {"0", "-1", "2147483648", "9223372036854775808", "18446744073709551617", "-9223372036854775808"},
        "J06");
    refuse({{key, ""}}, "J07", std::string("\"") + key + "\" is absent");
  }
  refuse({{"hidden_size", ""}, {"hiden_size", "12"}}, "J07", "is \"hiden_size\" meant");
}

TEST_F(Config, ReadsHeads) {
  refuse_all("num_key_value_heads", {"0", "-1", "4", "2147483648"}, "J06");
  refuse_all("num_key_value_heads", {"2"}, "04");
  refuse_all("num_key_value_heads", {"\"1\"", "1.0", "true"}, "J05");
  for (const char* absent : {"", "null"}) {
    const DecoderConfig c = read({{"num_key_value_heads", absent}});
    EXPECT_EQ(c.kv_heads, 3);
    EXPECT_THAT(c.notes, ElementsAre(HasSubstr("num_key_value_heads is absent: 3")));
  }
  // CF-05: an explicit head_dim is honoured (Qwen3-4B: 2560 / 32 = 80, but 128).
  EXPECT_EQ(read({{"hidden_size", "2560"},
                  {"num_attention_heads", "32"},
                  {"num_key_value_heads", "8"},
                  {"head_dim", "128"}})
                .head_dim,
            128);
  EXPECT_EQ(read({{"head_dim", "null"}}).head_dim, 4);
  refuse_all("head_dim", {"0", "-2", "4097"}, "J06");
  refuse_all("head_dim", {"5"}, "05");
  refuse_all("head_dim", {"\"4\"", "4.0", "false"}, "J05");
  refuse({{"hidden_size", "1792"}, {"num_attention_heads", "24"}, {"num_key_value_heads", "8"}}, "05",
         "hidden_size 1792 / num_attention_heads 24");
  refuse({{"hidden_size", "9"}}, "05", "no even number");
  refuse({{"hidden_size", "2"}}, "05", "no even number");
}

TEST_F(Config, ReadsRope) {
  const std::string llama3 =
      R"("factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":32)";
  for (const char* type : {"rope_type", "type"}) {
    const RopeConfig rope =
        read({{"rope_scaling", std::string("{\"") + type + "\":\"llama3\"," + llama3 + "}"}}).ropes.at(0);
    EXPECT_EQ(rope.kind, RopeConfig::Kind::kLlama3);
    EXPECT_EQ(rope.theta, 10000.0);
    EXPECT_EQ(rope.factor, 8.0);
    EXPECT_EQ(rope.low_freq_factor, 1.0);
    EXPECT_EQ(rope.high_freq_factor, 4.0);
    EXPECT_EQ(rope.original_max_positions, 32);
  }
  const DecoderConfig newer =
      read({{"rope_theta", ""},
            {"rope_parameters", R"({"rope_type":"llama3","rope_theta":500000.0,)" + llama3 + "}"}});
  EXPECT_EQ(newer.ropes.at(0).kind, RopeConfig::Kind::kLlama3);
  EXPECT_EQ(newer.ropes.at(0).theta, 500000.0);
  EXPECT_THAT(newer.notes, IsEmpty());
  EXPECT_EQ(read({{"rope_theta", ""}, {"rope_parameters", R"({"rope_theta":5e5})"}}).ropes.at(0).theta, 5e5);
  EXPECT_EQ(read({{"rope_scaling", R"({"rope_type":"default"})"}}).ropes.at(0).kind,
            RopeConfig::Kind::kDefault);
  EXPECT_EQ(read({{"rope_scaling", "null"}}).ropes.at(0).kind, RopeConfig::Kind::kDefault);
  EXPECT_EQ(read({{"rope_scaling", R"({"type":"default","rope_type":"default"})"}}).ropes.at(0).kind,
            RopeConfig::Kind::kDefault);
  EXPECT_THAT(read({{"rope_theta", ""}}).notes, ElementsAre(HasSubstr("rope_theta is absent: 10000")));
  EXPECT_THAT(read({{"rope_scaling", R"({"rope_type":"default","beta":1})"}}).notes,
              ElementsAre(HasSubstr("\"beta\" in /rope_scaling is ignored")));
}

TEST_F(Config, RefusesBadRope) {
  refuse_all("rope_theta", {"0", "-1", "0.5", "1e30"}, "J06");
  refuse_all("rope_theta", {"\"1e6\"", "true", "[]"}, "J05");
  const auto scaling = [&](const std::string& json, const std::string& code, const std::string& words) {
    refuse({{"rope_scaling", json}}, code, words);
    if (json != "{}") refuse({{"rope_parameters", json}}, code, words);
  };
  scaling("{}", "06", "no rope_type");
  scaling("[]", "J05", "expected an object");
  scaling("\"linear\"", "J05", "expected an object");
  scaling("4.0", "J05", "expected an object");
  for (const char* type : {"mrope", "proportional"})
    scaling(
        std::string(R"({"factor":2.0,"rope_type":")") + type + "\"}", "06",
        std::string("\"") + type + "\" is known, but not supported here; expected one of default, linear");
  for (const char* type : {"linear", "dynamic"}) {
    scaling(std::string(R"({"rope_type":")") + type + "\"}", "J07", "\"factor\" is absent");
    scaling(std::string(R"({"factor":0.5,"rope_type":")") + type + "\"}", "J06", "/factor: 0.5");
    scaling(std::string(R"({"factor":"2","rope_type":")") + type + "\"}", "J05", "/factor: a string");
  }
  scaling(R"({"rope_type":"yarn","factor":2.0,"beta_fast":1,"beta_slow":1})", "06",
          "beta_fast 1 is not above");
  scaling(R"({"rope_type":"yarn","factor":2.0,"original_max_position_embeddings":65})", "06", "65 is above");
  scaling(R"({"rope_type":"yarn","factor":2.0,"attention_factor":0})", "J06", "/attention_factor");
  scaling(R"({"rope_type":"yarn","factor":2.0,"truncate":1})", "J05", "/truncate");
  scaling(R"({"rope_type":"longrope","long_factor":[1,1]})", "J07", "\"short_factor\" is absent");
  scaling(R"({"rope_type":"su","short_factor":[1,1],"long_factor":[1]})", "06",
          "1 factors in long_factor; expected 2, one for each pair of the 4 dims");
  scaling(R"({"rope_type":"longrope","short_factor":[1,0],"long_factor":[1,1]})", "J06", "/short_factor/1");
  scaling(R"({"rope_type":"longrope","short_factor":{},"long_factor":[1,1]})", "06", "no list of factors");
  scaling(R"({"rope_type":"llama33"})", "06", "\"llama33\" is unknown");
  scaling(R"({"rope_type":""})", "06", "unknown");
  scaling(R"({"rope_type":3})", "J05", "/rope_type");
  scaling(R"({"rope_type":"llama3","type":"linear"})", "06",
          "type \"linear\" and rope_type \"llama3\" differ");
  scaling(R"({"rope_type":"default","mrope_section":[1,1,2]})", "06", "mrope");
  scaling(R"({"full_attention":{"rope_type":"default"},"sliding_attention":{"rope_type":"default"}})", "06",
          "layer type \"full_attention\"");
  scaling(R"({"rope_type":"default","partial_rotary_factor":0.5})", "07", "partial_rotary_factor");

  const auto llama3 = [&](const std::string& rest, const std::string& code, const std::string& words) {
    scaling("{\"rope_type\":\"llama3\"" + rest + "}", code, words);
  };
  const std::string f = ",\"factor\":8", l = ",\"low_freq_factor\":1", h = ",\"high_freq_factor\":4",
                    o = ",\"original_max_position_embeddings\":32";
  llama3(l + h + o, "J07", "\"factor\" is absent");
  llama3(f + h + o, "J07", "\"low_freq_factor\" is absent");
  llama3(f + l + o, "J07", "\"high_freq_factor\" is absent");
  llama3(f + l + h, "J07", "\"original_max_position_embeddings\" is absent");
  llama3(",\"factor\":0.5" + l + h + o, "J06", "/factor: 0.5");
  llama3(",\"factor\":\"8\"" + l + h + o, "J05", "/factor: a string");
  llama3(f + ",\"low_freq_factor\":4" + h + o, "06", "high_freq_factor 4 is not above low_freq_factor 4");
  llama3(f + ",\"low_freq_factor\":0" + h + o, "J06", "/low_freq_factor");
  llama3(f + l + h + ",\"original_max_position_embeddings\":65", "06",
         "65 is above max_position_embeddings 64");
  llama3(f + l + h + ",\"original_max_position_embeddings\":32.5", "J05", "original_max");
  llama3(f + l + h + ",\"original_max_position_embeddings\":0", "J06", "original_max");

  refuse({{"rope_parameters", R"({"rope_theta":5e5})"}}, "06", "rope_theta is 500000 here and 10000 outside");
  refuse({{"rope_parameters", R"({"rope_type":"default"})"},
          {"rope_scaling", "{\"rope_type\":\"llama3\"" + f + l + h + o + "}"}},
         "06", "rope_parameters and rope_scaling differ");
  refuse({{"rope_parameters", R"({"rope_theta":0})"}, {"rope_theta", ""}}, "J06",
         "/rope_parameters/rope_theta");
}

TEST_F(Config, RefusesArithmeticItDoesNotKnow) {
  const std::pair<const char*, const char*> kCases[] = {{"use_bias", "true"},
                                                        {"qkv_bias", "true"},
                                                        {"attn_logit_softcapping", "50.0"},
                                                        {"final_logit_softcapping", "30.0"},
                                                        {"query_pre_attn_scalar", "256"},
                                                        {"attention_multiplier", "0.0078125"},
                                                        {"attention_sink", "true"},
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
                                                        {"use_parallel_residual", "true"}};
  for (const auto& [key, value] : kCases)
    refuse({{key, value}}, "07", std::string("/") + key + ": " + key + " asks for .*not supported");
  refuse_all("attention_bias", {"\"false\"", "1"}, "J05");
  refuse_all("mlp_bias", {"\"false\"", "1"}, "J05");
  refuse_all("hidden_act", {"\"gelu\"", "\"relu\"", "\"gelu_pytorch_tanh\"", "\"\""}, "07");
  refuse_all("hidden_act", {"1", "[]"}, "J05");
  refuse_all("rms_norm_eps", {"0", "-1e-5", "0.2"}, "J06");
  refuse_all("rms_norm_eps", {"\"1e-5\"", "true", "null"}, "J05");
  refuse({{"rms_norm_eps", ""}}, "J07", "\"rms_norm_eps\" is absent");
  refuse_all("tie_word_embeddings", {"\"true\"", "1", "[]"}, "J05");
  refuse({{"sliding_window", "32"}}, "07", "sliding window of 32 tokens");
  refuse({{"sliding_window", "32"}, {"use_sliding_window", "true"}}, "07", "sliding window");
  refuse({{"sliding_window", "\"32\""}}, "J05", "/sliding_window");
  refuse({{"sliding_window", "32"}, {"use_sliding_window", "0"}}, "J05", "/use_sliding_window");
  refuse({{"layer_types", R"(["full_attention","sliding_attention"])"}}, "07",
         "/layer_types/1: .*\"sliding_attention\"");
  refuse({{"layer_types", R"(["full_attention"])"}}, "07", "1 layer types; expected 2");
  refuse({{"layer_types", "7"}}, "J05", "/layer_types");
}

TEST_F(Config, AcceptsWhatSwitchesNothingOn) {
  const DecoderConfig c = read({{"attention_bias", "false"},
                                {"mlp_bias", "false"},
                                {"num_local_experts", "0"},
                                {"alibi", "null"},
                                {"residual_multiplier", "1.0"},
                                {"partial_rotary_factor", "1"},
                                {"text_config", "null"},
                                {"quantization_config", "null"},
                                {"rope_interleaved", "false"},
                                {"no_rope_layers", "[]"},
                                {"sliding_window", "null"},
                                {"hidden_act", "\"swish\""},
                                {"pretraining_tp", "1"},
                                {"use_cache", "true"},
                                {"layer_types", R"(["full_attention","full_attention"])"},
                                {"pad_token_id", "-1"},
                                {"transformers_version", "\"4.51.0\""},
                                {"_name_or_path", "\"x\""}});
  EXPECT_THAT(c.notes, IsEmpty());
  EXPECT_THAT(read({{"sliding_window", "32"}, {"use_sliding_window", "false"}}).notes, IsEmpty());
  EXPECT_THAT(read({{"sliding_window", "64"}}).notes, ElementsAre(HasSubstr("has no effect")));
  EXPECT_THAT(read({{"brand_new", "{\"x\":1}"}, {"odd\\u001b", "1"}}).notes,
              ElementsAre("unknown keys are ignored: brand_new, odd\\x1b"));
  EXPECT_THAT(
      read({{"hidden_act", ""}, {"tie_word_embeddings", ""}}).notes,
      ElementsAre(HasSubstr("hidden_act is absent"), HasSubstr("tie_word_embeddings is absent: false")));
  EXPECT_THAT(read({{"torch_dtype", "\"float8\""}}).notes,
              ElementsAre(HasSubstr("dtype \"float8\" is unknown")));
  EXPECT_EQ(read({{"torch_dtype", ""}, {"dtype", "\"bfloat16\""}}).dtype, "bfloat16");
  refuse({{"torch_dtype", "16"}}, "J05", "/torch_dtype");
}

TEST_F(Config, ReadsEndTokens) {
  EXPECT_THAT(read({{"eos_token_id", "[5,6,5]"}}).eos_tokens, ElementsAre(5, 6));
  EXPECT_THAT(read({{"eos_token_id", "null"}}).eos_tokens, IsEmpty());
  EXPECT_THAT(read({{"eos_token_id", ""}}).notes, ElementsAre(HasSubstr("no end token")));
  EXPECT_EQ(read({{"bos_token_id", "null"}}).bos_token, std::nullopt);
  refuse_all("eos_token_id", {"100", "-1", "[1,100]"}, "J06");
  refuse_all("eos_token_id", {"\"2\"", "2.0", "true", "[\"2\"]", "[[2]]", "{}"}, "J05");
  refuse_all("bos_token_id", {"100", "-1"}, "J06");
  refuse_all("bos_token_id", {"\"1\"", "[1]"}, "J05");

  generation(R"({"eos_token_id":[7,8],"temperature":0.6})");
  EXPECT_THAT(read({}).eos_tokens, ElementsAre(7, 8));
  EXPECT_THAT(read({}).notes,
              ElementsAre("end tokens [7, 8] of generation_config.json go before [2] of config.json"));
  EXPECT_THAT(read({{"eos_token_id", ""}}).notes, IsEmpty());
  generation(R"({"eos_token_id":2})");
  EXPECT_THAT(read({}).notes, IsEmpty());
  generation("{}");
  EXPECT_THAT(read({}).eos_tokens, ElementsAre(2));
  generation(R"({"eos_token_id":100})");
  refuse({}, "J06", "generation_config.json:1:17 /eos_token_id: 100; expected an integer from 0 to 99");
  generation("");
  refuse({}, "F07", "generation_config.json");
  generation("[]");
  refuse({}, "J05", "generation_config.json");
  expect_no_file_is_refused(folder / "generation_config.json", "E-CF", [&] { read_config(folder.path()); });
}

TEST_F(Config, SurvivesEveryDamage) {
  const std::string good = config_with({{"rope_scaling", R"({"rope_type":"default"})"}});
  const auto load = [&](const std::string& text) {
    folder.write("config.json", text);
    return refusal([&] { read_config(folder.path()); });
  };
  ASSERT_EQ(load(good), "");
  for (std::size_t size = 0; size < good.size(); ++size) ASSERT_NE(load(good.substr(0, size)), "") << size;
  for (std::size_t at = 0; at < good.size(); ++at)
    for (const char byte : {'\0', '\xff', '{', '"', '9', '-', 'e'}) {
      std::string bad = good;
      bad[at] = byte;
      load(bad);
    }
}

TEST(RealConfigs, Load) {
  const std::string stories = EVICTBENCH_SOURCE_DIR "/../shared/data/models/stories260K";
  const std::string smollm = EVICTBENCH_SOURCE_DIR "/../tmp/smollm2";
  if (!std::filesystem::exists(stories)) GTEST_SKIP() << "no real config at hand";
  const DecoderConfig small = read_config(stories);
  EXPECT_EQ(small.head_dim, 8);
  EXPECT_EQ(small.kv_heads, 4);
  EXPECT_THAT(small.notes, IsEmpty());
  if (!std::filesystem::exists(smollm)) return;
  const DecoderConfig config = read_config(smollm);
  EXPECT_EQ(config.layers, 30);
  EXPECT_EQ(config.head_dim, 64);
  EXPECT_EQ(config.ropes.at(0).theta, 100000.0);
  EXPECT_THAT(config.notes, IsEmpty());
}

}  // namespace
}  // namespace evictbench
