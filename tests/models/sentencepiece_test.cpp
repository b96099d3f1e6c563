// SentencePiece vocabularies, as tokenizer.model and in the dress of a tokenizer.json.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sentencepiece_processor.h>

#include <algorithm>
#include <random>

#include "core/io/file.h"
#include "models/tokenizer.h"
#include "models/unicode.h"
#include "tests/support/dressed_sentencepiece.h"
#include "tests/support/refusal.h"
#include "tests/support/sentencepiece_writer.h"
#include "tests/support/tiny_tokenizer.h"

namespace evictbench {
namespace {

const std::string kData = std::string(EVICTBENCH_SOURCE_DIR) + "/../shared/data/tokenizers/";
constexpr Tokenizer::Encode kPlain{.add_special = false, .parse_special = false};
constexpr Tokenizer::Encode kParsed{.add_special = false, .parse_special = true};

TEST(DressedSentencePiece, EncodesCharactersWithByteFallback) {
  const auto tokenizer = load_tokenizer_json(dressed_json());
  EXPECT_EQ(tokenizer->encode("ab ab", {}), (Tokens{6, 6}));
  EXPECT_EQ(tokenizer->encode("b\n", {}), (Tokens{2, 4, 7 + '\n'}));
  EXPECT_EQ(tokenizer->encode("ab<s>ab", kParsed), (Tokens{6, 1, 6}));
  EXPECT_EQ(tokenizer->decode(Tokens{6, 1, 6}, true), "ab<s>ab");
  for (const std::string text : {"ab", " ab", "  ", "a\u4f60b<s>", ""})
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, {})), text);
}

// tokenizer.json for SentencePieceFile().with_bytes(): the same pieces, merged in the order of their scores.
nlohmann::json dressed_twin() {
  nlohmann::json json = dressed_json(), vocab;
  const SentencePieceFile file = SentencePieceFile().with_bytes();
  for (const auto& piece : file.pieces) vocab[piece.text] = vocab.size();
  json["model"]["vocab"] = vocab;
  json["model"]["merges"] = {"a b", "\u2581 ab", "ab ab"};
  json["added_tokens"] = {added_token(0, "<unk>"), added_token(1, "<s>"), added_token(2, "</s>")};
  return json;
}

class TokenizerPair : public ::testing::Test {
 protected:
  TokenizerPair() { folder.write("tokenizer.model", SentencePieceFile().with_bytes().bytes()); }
  std::string_view kind(const nlohmann::json& json) const {
    folder.write("tokenizer.json", json.dump());
    return load_tokenizer(folder.path())->kind();
  }
  void refuse(const nlohmann::json& json, const std::string& words) const {
    expect_refusal([&] { kind(json); }, "E-TJ-12", words);
  }

  TempFolder folder;
  nlohmann::json twin = dressed_twin();
};

TEST_F(TokenizerPair, YieldsToTokenizerModelWhereTheyAgree) {
  EXPECT_EQ(kind(twin), "sentencepiece");
  twin["pre_tokenizer"] = {{"type", "CharDelimiterSplit"},
                           {"delimiter", "\u2581"}};  // of no form that can be run here
  EXPECT_EQ(kind(twin), "sentencepiece");
}

TEST_F(TokenizerPair, RefusesOtherIds) {
  nlohmann::json other = twin;
  std::swap(other["model"]["vocab"]["a"], other["model"]["vocab"]["b"]);
  refuse(other, "'the quick brown fox.*' has .* as its token .* here, and .* in tokenizer.model");
  other["pre_tokenizer"] = {{"type", "CharDelimiterSplit"}, {"delimiter", "\u2581"}};
  refuse(other, "/model/vocab/a: the token 'a' has id 5 here, and 4 in tokenizer.model");
  other = twin;
  other["model"]["vocab"]["q"] = 265;
  refuse(other, "'the quick.*265 as its token");
  other["pre_tokenizer"] = {{"type", "CharDelimiterSplit"}, {"delimiter", "\u2581"}};
  refuse(other, "'q' has id 265 here, and none in");
}

TEST_F(TokenizerPair, RefusesOtherRules) {
  nlohmann::json other = twin;
  other["normalizer"]["normalizers"].erase(0);  // no space in front
  refuse(other, "'Hello' has 81 as its token 1 here, and 3 in tokenizer.model");
  other = twin;
  other["model"]["merges"] = {"\u2581 ab", "ab ab"};
  refuse(other, "'the quick.* has 4 as its token .*, and 6 in");
  other = twin;
  other["added_tokens"].push_back(added_token(264, "<|im_start|>"));
  refuse(other, "'<\\|im_start\\|>' has another id");
  refuse(tiny_tokenizer_json(), "'Hello' has 72 as its token 1 here, and 3 in");
}

// As fine-tuned models have them: only tokenizer.json knows their markup.
TEST_F(TokenizerPair, TakesTokensBehindThoseOfTheModelFromTheJson) {
  twin["added_tokens"].push_back(added_token(265, "<|user|>"));
  EXPECT_EQ(kind(twin), "bpe");
  EXPECT_EQ(load_tokenizer(folder.path())->encode("ab<|user|>", kParsed), (Tokens{7, 265}));
  twin["pre_tokenizer"] = {{"type", "CharDelimiterSplit"}, {"delimiter", "x"}};  // cannot be run
  refuse(twin, "'<\\|user\\|>' has another id");
}

TEST_F(TokenizerPair, RefusesAddedTokensThatAreNoList) {
  twin["added_tokens"] = nlohmann::json::object();
  expect_refusal([&] { kind(twin); }, "E-TJ-05", "no list");
}

TEST_F(TokenizerPair, TakesAByteLevelJsonBesideARankFile) {
  folder.write("tokenizer.model", "IQ== 0\nIg== 1\n");
  EXPECT_EQ(kind(tiny_tokenizer_json()), "bpe");
}

// --- tokenizer.model -----------------------------------------------------------------------------------------------

TEST(TinySentencePiece, EncodesAndDecodesByHand) {
  const auto tokenizer = load_tokenizer_model(SentencePieceFile().with_bytes().bytes());
  EXPECT_EQ(tokenizer->kind(), "sentencepiece");
  EXPECT_EQ(tokenizer->vocabulary(), 9 + 256);
  EXPECT_EQ(tokenizer->encode("ab ab", {}), (Tokens{1, 7, 7}));
  EXPECT_EQ(tokenizer->encode("abab", {}), (Tokens{1, 7, 6}));  // the better score first
  EXPECT_EQ(tokenizer->encode("b\n", kPlain), (Tokens{3, 5, 9 + '\n'}));
  EXPECT_EQ(tokenizer->encode("<s>ab</s>", kParsed), (Tokens{1, 7, 2}));
  EXPECT_EQ(std::ranges::count(tokenizer->encode("<s>", kPlain), 1), 0);
  EXPECT_EQ(tokenizer->decode(Tokens{1, 7, 2}), "ab");
  EXPECT_EQ(tokenizer->decode(Tokens{1, 7, 2, 7}, true), "<s>ab</s>ab");
  EXPECT_EQ(tokenizer->decode(Tokens{0, 9 + 0xe4, 9999}), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(tokenizer->id_of("\u2581ab"), 7);
  // Of a broken character each byte, as the sentencepiece package has it; whole ones beside it stay.
  EXPECT_EQ(tokenizer->decode(Tokens{7, 9 + 0xe4, 9 + 0xb8, 5}), "ab\uFFFD\uFFFDb");
  EXPECT_EQ(tokenizer->decode(Tokens{9 + 0xb8, 9 + 0xe4, 9 + 0xb8, 9 + 0xad, 9 + 0xe4}),
            "\uFFFD\u4e2d\uFFFD");
}

TEST(ByteFallback, SpoilsARunOfByteTokensThatIsNotWhole) {
  const auto tokenizer = load_tokenizer_json(dressed_json());
  const auto byte = [&](int b) { return *tokenizer->id_of(fmt::format("<0x{:02X}>", b)); };
  const Tokens whole{byte(0xe4), byte(0xb8), byte(0xad)};
  EXPECT_EQ(tokenizer->decode(whole), "\u4e2d");
  Tokens broken = whole;
  broken.insert(broken.begin(), byte(0xb8));
  EXPECT_EQ(tokenizer->decode(broken), "\uFFFD\uFFFD\uFFFD\uFFFD");  // as the tokenizers package has it
  const auto stream = tokenizer->stream();
  std::string out;
  for (const std::int32_t id : broken) out += stream->add(id);
  EXPECT_EQ(out + stream->finish(), tokenizer->decode(broken));
}

TEST(TinySentencePiece, DecodingUndoesEncoding) {
  std::mt19937 rng(5);
  for (const bool dummy_prefix : {true, false}) {
    SentencePieceFile file;
    file.dummy_prefix = dummy_prefix;
    const auto tokenizer = load_tokenizer_model(file.with_bytes().bytes());
    const std::string ends_in_space = std::string(600, 'a') + " ";
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(ends_in_space, {})), ends_in_space);
    for (int i = 0; i < 200; ++i) {
      std::string text = random_text(rng, 10);
      if (text.find("\u2581") != text.npos) continue;  // reads as a space
      for (int k = 0; k < 500; ++k) text += "ab  \n"[rng() % 5];
      text += random_text(rng, 1);
      if (text.ends_with("\u2581")) continue;
      ASSERT_EQ(tokenizer->decode(tokenizer->encode(text, {})), text);
    }
  }
}

TEST(TinySentencePiece, UnigramRulesAndNulPieces) {
  SentencePieceFile file;
  file.trainer[3] = 1;
  EXPECT_EQ(load_tokenizer_model(file.bytes())->encode("abab", kPlain), (Tokens{7, 6}));
  EXPECT_EQ(load_tokenizer_model(file.bytes())->decode(Tokens{7, 0}), "ab\uFFFD");
  file.charsmap = CharsMap().bytes();
  EXPECT_EQ(load_tokenizer_model(file.bytes())->encode("aab", kPlain), (Tokens{3, 5, 5, 5}));
  file.charsmap.clear();
  file.trainer[3] = 2;
  file.pieces.push_back({std::string("a\0b", 3), -20, 1});  // occurs in real models
  EXPECT_EQ(load_tokenizer_model(file.bytes())->vocabulary(), 10);
}

TEST(TinySentencePiece, ConfigDecidesWhatIsAdded) {
  const TempFolder folder;
  folder.write("tokenizer.model", SentencePieceFile().bytes());
  folder.write("tokenizer_config.json", R"({"add_bos_token": false, "add_eos_token": true})");
  EXPECT_EQ(load_tokenizer(folder.path())->encode("ab", {}), (Tokens{7, 2}));
}

// Long texts are cut for the library; the ids must be those of the text in one piece.
TEST(SentencePiece, CuttingChangesNoId) {
  if (!is_folder(kData)) GTEST_SKIP() << "no " << kData;
  std::mt19937 rng(11);
  for (const std::string model : {"llama2-spm", "mistral-v1-spm", "mistral-v3-spm"}) {
    const auto tokenizer = load_tokenizer(kData + model);
    sentencepiece::SentencePieceProcessor library;
    ASSERT_TRUE(library.Load(kData + model + "/tokenizer.model").ok());
    for (int round = 0; round < 20; ++round) {
      std::string text;
      const std::vector<std::string> parts = {" ", "  ",     "\n", "\u2581", "the", "of ",
                                              "a", "\u4f60", "1",  ".",      "\xff"};
      while (text.size() < 8000)
        text += parts[rng() % parts.size()] + (rng() % 9 == 0 ? random_text(rng, 3) : "");
      Tokens whole;
      ASSERT_TRUE(library.Encode(valid_utf8(text), &whole).ok());
      ASSERT_TRUE(tokenizer->encode(text, kPlain) == whole) << model << " round " << round;
    }
  }
}

}  // namespace
}  // namespace evictbench
