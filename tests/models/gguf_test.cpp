#include "models/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <numeric>

#include "core/io/file.h"
#include "models/checkpoint.h"
#include "models/gguf_config.h"
#include "models/gguf_tokenizer.h"
#include "models/gguf_weights.h"
#include "tests/support/fixtures.h"
#include "tests/support/random_decoder.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_gguf.h"

namespace evictbench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<float> read_f32(const TensorFiles& files, const std::string& name) {
  const StoredTensor& tensor = *files.find(name);
  Weight weight{tensor.dtype, {}, std::vector<std::byte>(tensor.bytes)};
  files.read(name, weight.bytes);
  return weight.widened();
}

std::string counting(std::size_t count) {  // 0, 1, 2, ... as F32
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 0.0F);
  return gguf::bytes_of(values);
}

class GgufFile : public testing::Test {
 protected:
  std::string write(const GgufToWrite& file) const { return folder.write("model.gguf", file.bytes()); }
  std::shared_ptr<const Gguf> open(const GgufToWrite& file) const {
    return std::make_shared<const Gguf>(write(file));
  }

  TempFolder folder;
};

TEST_F(GgufFile, IsKnownByNameOrByItsFirstBytes) {
  const std::string bytes = tiny_gguf().bytes();
  EXPECT_TRUE(is_gguf(folder.write("a.gguf", bytes)));
  EXPECT_TRUE(is_gguf(folder.write("a.bin", bytes)));
  EXPECT_TRUE(is_gguf(folder / "absent.gguf"));
  EXPECT_FALSE(is_gguf(folder / "absent"));
  EXPECT_FALSE(is_gguf(folder.write("b.bin", "something else")));
  std::filesystem::create_directory(folder / "folder.gguf");
  EXPECT_FALSE(is_gguf(folder / "folder.gguf"));
  EXPECT_NO_THROW(Checkpoint(folder / "a.bin"));
}

TEST_F(GgufFile, KeysHaveTheirValues) {
  GgufToWrite file = tiny_gguf();
  file.version = 2;
  file.keys = {{"a", gguf::u32(7)},
               {"b", gguf::f32(1e-5F)},
               {"c", gguf::boolean(1)},
               {"d", gguf::string("text")},
               {"e", gguf::texts({"x", "", "yz"})},
               {"f", gguf::i32s({-1, 2})},
               {"g", gguf::f32s({0.1F})},
               {"h", gguf::i32(-3)},
               {"i", gguf::u64(1ULL << 40)},
               {"j", gguf::f64(0.25)}};
  const auto read = open(file);
  EXPECT_EQ(read->integer("a", 0, 10), 7);
  EXPECT_EQ(read->number("b", 0, 1), 1e-5);  // not 9.99999974e-06
  EXPECT_EQ(read->boolean("c"), true);
  EXPECT_EQ(read->text("d"), "text");
  EXPECT_THAT(*read->texts("e"), ElementsAre("x", "", "yz"));
  EXPECT_THAT(*read->integers("f"), ElementsAre(-1, 2));
  EXPECT_THAT(*read->numbers("g"), ElementsAre(0.1));
  EXPECT_EQ(read->integer("h", -5, 0), -3);
  EXPECT_EQ(read->integer("i", 0, INT64_MAX), std::int64_t{1} << 40);
  EXPECT_EQ(read->number("j", 0, 1), 0.25);
  EXPECT_EQ(read->integer("k", 0, 1), std::nullopt);
}

TEST_F(GgufFile, WhatTheFormatAllowsIsAccepted) {
  const auto opens = [&](const GgufToWrite& file) {
    EXPECT_NO_THROW(Checkpoint(write(file)).check_weights());
  };
  for (const std::uint32_t alignment : {1U, 2U, 8U, 64U, 4096U}) {
    GgufToWrite file = tiny_gguf();
    file.alignment = alignment;
    file.set("general.alignment", gguf::u32(alignment));
    opens(file);
  }
  GgufToWrite file = tiny_gguf();
  file.version = 2;
  opens(file);
  std::ranges::reverse(file.tensors);
  opens(file);
  std::ranges::reverse(file.keys);
  opens(file);
  for (auto& [key, value] : file.keys)
    if (key == "llama.block_count") value = gguf::u64(1);
  opens(file);
  file.set("split.count", gguf::u32(1));
  file.set("general.empty", gguf::texts({}));
  opens(file);
  file.tensors.push_back({"odd", {3}, gguf::kTypeF32, std::string(12, 'x')});
  std::string cut = file.bytes();
  cut.resize(cut.size() - 20);  // some writers leave out the padding at the end
  EXPECT_NO_THROW(Gguf(folder.write("cut.gguf", cut)));
}

TEST_F(GgufFile, OddThingsAreNoted) {
  GgufToWrite file = tiny_gguf();
  file.set("llama.novelty", gguf::u32(1));
  file.tail.assign(100, 'x');
  const Checkpoint checkpoint(write(file));
  const auto notes = checkpoint.notes();
  EXPECT_THAT(notes, testing::Contains(HasSubstr("unknown keys are ignored: llama.novelty")));
  EXPECT_THAT(notes, testing::Contains(HasSubstr("100 bytes behind the last tensor are ignored")));
  EXPECT_THAT(
      notes,
      testing::Contains(HasSubstr("1 of F16, 9 of F32, 1 of Q8_0; quantised ones are computed with as f32")));
}

TEST_F(GgufFile, AnEmptyTensorIsATensor) {
  GgufToWrite file = tiny_gguf();
  file.tensors.insert(file.tensors.begin() + 3, {"empty", {0, 5}, gguf::kTypeF32, ""});
  const auto read = open(file);
  ASSERT_NE(read->find("empty"), nullptr);
  EXPECT_EQ(read->find("empty")->bytes, 0U);
}

TEST_F(GgufFile, CountsBytesAsTheyAreStored) {
  const Checkpoint checkpoint(write(tiny_gguf()));
  EXPECT_EQ(checkpoint.weight_bytes(), 4 * (64 + 8 + 64 + 32 + 64 + 8 + 256 + 256 + 8) + 2 * 32 + 8 * 34U);
  EXPECT_EQ(checkpoint.parameters(), 64 + 8 + 64 + 32 + 32 + 64 + 8 + 256 * 3 + 8U);
  ASSERT_EQ(checkpoint.digests().size(), 1U);
  EXPECT_EQ(checkpoint.digests()[0].first, "model.gguf");
}

TEST_F(GgufFile, RowsOfQueriesAndKeysGoBackToTheirOrder) {
  GgufToWrite file = tiny_gguf();
  file.tensor("blk.0.attn_q.weight").data = counting(64);
  file.tensors.push_back({"blk.0.attn_q.bias", {8}, gguf::kTypeF32, counting(8)});
  const GgufWeights weights(open(file));
  // Two heads of four rows: in the file (0, 2), (1, 3) are neighbours.
  EXPECT_THAT(read_f32(weights, "model.layers.0.self_attn.q_proj.bias"), ElementsAre(0, 2, 1, 3, 4, 6, 5, 7));
  const std::vector<float> rows = read_f32(weights, "model.layers.0.self_attn.q_proj.weight");
  for (const auto& [row, from] : {std::pair{0, 0}, {1, 2}, {2, 1}, {3, 3}, {4, 4}, {5, 6}, {6, 5}, {7, 7}})
    for (int i = 0; i < 8; ++i)
      EXPECT_EQ(rows[static_cast<std::size_t>(8 * row + i)], static_cast<float>(8 * from + i));
  EXPECT_EQ(weights.find("model.layers.0.self_attn.q_proj.weight")->shape, (std::vector<std::int64_t>{8, 8}));
  EXPECT_EQ(weights.find("model.layers.0.mlp.gate_proj.weight")->shape, (std::vector<std::int64_t>{32, 8}));
}

TEST_F(GgufFile, OtherArchitecturesKeepTheirRows) {
  GgufToWrite file = tiny_gguf();
  file.set("general.architecture", gguf::string("qwen2"));
  file.tensor("blk.0.attn_q.weight").data = counting(64);
  const std::vector<float> rows = read_f32(GgufWeights(open(file)), "model.layers.0.self_attn.q_proj.weight");
  for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i], static_cast<float>(i));
}

TEST_F(GgufFile, MatricesOfGpt2AreTurned) {
  GgufToWrite file = tiny_gguf();
  file.set("general.architecture", gguf::string("gpt2"));
  file.tensors.push_back({"blk.0.attn_qkv.weight", {2, 3}, gguf::kTypeF32, counting(6)});
  file.tensors.push_back({"position_embd.weight", {2, 3}, gguf::kTypeF32, counting(6)});
  const GgufWeights weights(open(file));
  EXPECT_EQ(weights.find("transformer.h.0.attn.c_attn.weight")->shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_THAT(read_f32(weights, "transformer.h.0.attn.c_attn.weight"), ElementsAre(0, 2, 4, 1, 3, 5));
  EXPECT_EQ(weights.find("transformer.wpe.weight")->shape, (std::vector<std::int64_t>{3, 2}));
}

TEST_F(GgufFile, TheOneInGemmasNormsIsTakenOut) {
  for (const char* architecture : {"gemma2", "gemma3"}) {
    GgufToWrite file = tiny_gguf();
    file.set("general.architecture", gguf::string(architecture));
    file.tensors.push_back({"blk.0.post_ffw_norm.weight", {8}, gguf::kTypeF32, counting(8)});
    const GgufWeights weights(open(file));
    EXPECT_THAT(read_f32(weights, "model.layers.0.post_feedforward_layernorm.weight"),
                ElementsAre(-1, 0, 1, 2, 3, 4, 5, 6));
    EXPECT_NE(weights.find("model.layers.0.pre_feedforward_layernorm.weight"), nullptr);
  }
}

// A tensor of several pieces: its rows come from more than one read.
TEST_F(GgufFile, LargeTensorsAreReadInPieces) {
  GgufToWrite file = tiny_gguf();
  constexpr std::uint64_t kRows = 40'000;
  std::string data;
  for (std::uint64_t row = 0; row < kRows; ++row) {
    data += gguf::raw(std::uint16_t{0x3c00});  // 1
    for (int i = 0; i < 32; ++i) data += static_cast<char>(row % 251 - 125);
  }
  file.tensors.push_back({"large.weight", {32, kRows}, gguf::kTypeQ8_0, data});
  const std::vector<float> values = read_f32(GgufWeights(open(file)), "large.weight");
  ASSERT_EQ(values.size(), 32 * kRows);
  for (std::size_t i = 0; i < values.size(); ++i)
    ASSERT_EQ(values[i], static_cast<float>(static_cast<int>(i / 32 % 251) - 125));
}

TEST_F(GgufFile, TheConfigIsThatOfTheFolder) {
  const Json json = config_of(*open(tiny_gguf())).json;
  EXPECT_EQ(json.at("model_type").string(), "llama");
  EXPECT_EQ(json.at("hidden_size").integer(), 8);
  EXPECT_EQ(json.at("head_dim").integer(), 4);
  EXPECT_EQ(json.at("num_key_value_heads").integer(), 1);
  EXPECT_EQ(json.at("vocab_size").integer(), 8);
  EXPECT_EQ(json.at("rms_norm_eps").number(0, 1), 1e-5);
  EXPECT_TRUE(json.at("tie_word_embeddings").boolean());
  EXPECT_EQ(json.at("eos_token_id")[0].integer(), 2);
  EXPECT_FALSE(json.find("rope_scaling"));
  EXPECT_FALSE(json.find("sliding_window"));
}

TEST_F(GgufFile, EndsOfTurnsEndAnswersToo) {
  GgufToWrite file = tiny_gguf();
  file.set("tokenizer.ggml.eot_token_id", gguf::u32(5));
  file.set("tokenizer.ggml.eom_token_id", gguf::u32(2));
  EXPECT_THAT(Checkpoint(write(file)).config().eos_tokens, ElementsAre(2, 5));
}

TEST_F(GgufFile, AWindowMakesALlamaAMistral) {
  GgufToWrite file = tiny_gguf();
  file.set("llama.attention.sliding_window", gguf::u32(16));
  const Json json = config_of(*open(file)).json;
  EXPECT_EQ(json.at("model_type").string(), "mistral");
  EXPECT_EQ(json.at("sliding_window").integer(), 16);
}

// The numbers of Llama 3.1 8B and 3.2 1B, from the factors that a converter writes for them.
TEST(GgufRope, Llama3ScalingIsFoundAgain) {
  for (const auto& [factor, dims] : {std::pair{8.0, 128}, {32.0, 64}}) {
    std::vector<float> factors;
    for (int i = 0; i < dims; i += 2) {
      const float frequency = 1.0F / std::pow(500000.0F, static_cast<float>(i) / static_cast<float>(dims)),
                  wavelength = 6.2831853F / frequency, smooth = (8192 / wavelength - 1) / 3;
      factors.push_back(wavelength < 8192.0F / 4 ? 1
                        : wavelength > 8192      ? static_cast<float>(factor)
                                                 : 1 / ((1 - smooth) / static_cast<float>(factor) + smooth));
    }
    const auto found = llama3_scaling(factors, 500000);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->factor, factor);
    EXPECT_EQ(found->original, 8192);
    factors[factors.size() / 2] *= 1.01F;
    EXPECT_FALSE(llama3_scaling(factors, 500000));
  }
  EXPECT_EQ(llama3_scaling({1, 1, 1}, 10000)->factor, 1);
}

TEST_F(GgufFile, Llama3FactorsBecomeRopeScaling) {
  GgufToWrite file = tiny_gguf();
  const float factors[] = {1, 32};
  file.set("llama.rope.freq_base", gguf::f32(1e9F));
  file.set("llama.context_length", gguf::u32(131072));
  file.tensors.push_back({"rope_freqs.weight", {2}, gguf::kTypeF32, gguf::bytes_of(factors)});
  const Checkpoint checkpoint(write(file));
  ASSERT_EQ(checkpoint.config().ropes.size(), 1U);
  EXPECT_EQ(checkpoint.config().ropes[0].kind, RopeConfig::Kind::kLlama3);
  EXPECT_EQ(checkpoint.config().ropes[0].factor, 32);
  EXPECT_EQ(checkpoint.config().ropes[0].original_max_positions, 8192);
}

TEST_F(GgufFile, SentencePieceTokensAreThoseOfTheModelInside) {
  const auto tokenizer = load_gguf_tokenizer(*open(tiny_gguf()));
  EXPECT_EQ(tokenizer->kind(), "sentencepiece");
  EXPECT_EQ(tokenizer->vocabulary(), 8);
  EXPECT_THAT(tokenizer->encode("ab b", {}), ElementsAre(1, 7, 3, 5));
  EXPECT_THAT(tokenizer->encode("a</s>b", {.add_special = false, .parse_special = true}),
              ElementsAre(3, 4, 2, 3, 5));
  GgufToWrite file = tiny_gguf();
  file.set("tokenizer.ggml.add_space_prefix", gguf::boolean(0));
  file.set("tokenizer.ggml.add_bos_token", gguf::boolean(0));
  file.set("tokenizer.ggml.add_eos_token", gguf::boolean(1));
  EXPECT_THAT(load_gguf_tokenizer(*open(file))->encode("ab b", {}), ElementsAre(6, 3, 5, 2));
}

TEST_F(GgufFile, ByteLevelTokensAreThoseOfTheMergesInside) {
  const auto tokenizer = load_gguf_tokenizer(*open(tiny_bpe_gguf()));
  EXPECT_EQ(tokenizer->kind(), "bpe");
  EXPECT_EQ(tokenizer->vocabulary(), 7);  // the padding is none of its tokens
  EXPECT_THAT(tokenizer->encode("abcab ba", {}), ElementsAre(5, 4, 6, 2, 1));
  EXPECT_THAT(tokenizer->encode("a<|end|>", {.parse_special = true}), ElementsAre(1, 0));
  GgufToWrite file = tiny_bpe_gguf();
  file.set("tokenizer.ggml.add_bos_token", gguf::boolean(1));
  EXPECT_THAT(load_gguf_tokenizer(*open(file))->encode("c", {}), ElementsAre(0, 3));
  for (const char* pre : {"smollm", "llama-bpe", "qwen2"}) {
    file.set("tokenizer.ggml.pre", gguf::string(pre));
    EXPECT_THAT(load_gguf_tokenizer(*open(file))->encode("abc", {}), ElementsAre(0, 5)) << pre;
  }
}

TEST_F(GgufFile, TheChatTemplateIsRecognised) {
  GgufToWrite file = tiny_gguf();
  EXPECT_EQ(load_chat_template(write(file), "auto").name, "none");
  for (const char* name : {"chatml", "smollm2", "llama-3.1"}) {
    const std::string path =
        std::string(EVICTBENCH_SOURCE_DIR "/tests/models/chat_templates/") + name + ".jinja";
    file.set("tokenizer.chat_template", gguf::string(read_text(path, Exit::kInput, "E-T")));
    EXPECT_EQ(load_chat_template(write(file), "auto").name, name);
  }
  file.set("tokenizer.chat_template", gguf::string("{{ messages }}"));
  EXPECT_THROW(load_chat_template(write(file), "auto"), Error);
}

// The same random model in a folder and in a file: logits to the bit.
TEST_F(GgufFile, TheFileAndTheFolderAreOneModel) {
  const RandomShape shape{.q_heads = 4, .kv_heads = 2, .head_dim = 8, .hidden = 32, .tied = false};
  write_random_checkpoint(folder.path(), shape, 5);
  const RandomWeights weights(shape, 5);
  GgufToWrite file = tiny_gguf();
  file.tensors.clear();
  std::erase_if(file.keys, [](const auto& key) { return key.first.starts_with("tokenizer."); });
  file.set("llama.block_count", gguf::u32(2));
  file.set("llama.embedding_length", gguf::u32(32));
  file.set("llama.feed_forward_length", gguf::u32(40));
  file.set("llama.attention.head_count", gguf::u32(4));
  file.set("llama.attention.head_count_kv", gguf::u32(2));
  file.set("llama.attention.key_length", gguf::u32(8));
  file.set("llama.vocab_size", gguf::u32(262));
  const std::pair<const char*, const char*> names[] = {{"model.embed_tokens.", "token_embd."},
                                                       {"model.norm.", "output_norm."},
                                                       {"lm_head.", "output."},
                                                       {"model.layers.", "blk."},
                                                       {"input_layernorm", "attn_norm"},
                                                       {"self_attn.q_proj", "attn_q"},
                                                       {"self_attn.k_proj", "attn_k"},
                                                       {"self_attn.v_proj", "attn_v"},
                                                       {"self_attn.o_proj", "attn_output"},
                                                       {"post_attention_layernorm", "ffn_norm"},
                                                       {"mlp.gate_proj", "ffn_gate"},
                                                       {"mlp.up_proj", "ffn_up"},
                                                       {"mlp.down_proj", "ffn_down"}};
  for (const auto& [name, weight] : weights.all()) {
    std::string gguf_name = name,
                data(reinterpret_cast<const char*>(weight.bytes.data()), weight.bytes.size());
    for (const auto& [from, to] : names)
      if (const auto at = gguf_name.find(from); at != gguf_name.npos)
        gguf_name.replace(at, std::string_view(from).size(), to);
    const bool paired = gguf_name.ends_with("attn_q.weight") || gguf_name.ends_with("attn_k.weight");
    const std::size_t row = data.size() / static_cast<std::size_t>(weight.shape[0]);
    for (std::size_t r = 0; paired && r < static_cast<std::size_t>(weight.shape[0]);
         ++r) {  // rows (i, i + 4) of each head side by side
      const std::size_t to = r / 8 * 8 + r % 4 * 2 + r % 8 / 4;
      std::memcpy(data.data() + to * row, weight.bytes.data() + r * row, row);
    }
    file.tensors.push_back({gguf_name, {weight.shape.rbegin(), weight.shape.rend()}, gguf::kTypeF32, data});
  }
  const Checkpoint in_folder(folder.path()), in_file(write(file));
  std::vector<std::int32_t> ids(40);
  std::iota(ids.begin(), ids.end(), 100);
  const auto logits = [&](const Checkpoint& checkpoint) {
    return checkpoint.load(host())->prefill(host(), ids, {})->last_logits;
  };
  EXPECT_EQ(logits(in_folder), logits(in_file));
}

}  // namespace
}  // namespace evictbench
