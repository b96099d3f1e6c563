// Needles among tokens: where the published programs put them.
#include "harness/needles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "core/io/file.h"
#include "datasets/haystack.h"
#include "tests/support/sentencepiece_writer.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiktoken_to_json.h"

namespace evictbench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr NeedleRules kCompressKv{.specials = true}, kFactory{.any_stop = true};

// Sentences of three tokens, the last one a full stop without a space in front; "." alone has one.
struct Sentences {
  TempFolder folder;
  std::unique_ptr<const Tokenizer> tokenizer;
  std::string text;

  Sentences() {
    SentencePieceFile file;
    file.pieces.push_back({".", -9, 1});
    file.pieces.push_back({"\u2581.", -1, 1});
    folder.write("tokenizer.model", file.with_bytes().bytes());
    tokenizer = load_tokenizer(folder.path());
    for (int i = 0; i < 30; ++i) text += "ab ab. ";
    text.pop_back();
  }
  std::size_t place(int tokens, double depth, const NeedleRules& rules) const {
    return hide_needle(*tokenizer, text, "\nb.\n", tokens, depth, rules).place;
  }
};

TEST(HiddenNeedle, GoesBehindTheLastFullStop) {
  const Sentences s;  // the needle has five tokens: 60 are left
  EXPECT_EQ(s.place(65, 0, kFactory), 0U);
  EXPECT_EQ(s.place(65, 4, kFactory), 0U);
  EXPECT_EQ(s.place(65, 34, kFactory), 18U);
  EXPECT_EQ(s.place(65, 50, kFactory), 30U);
  EXPECT_EQ(s.place(65, 99.9, kFactory), 57U);
  EXPECT_EQ(s.place(65, 100, kFactory), 60U);
  EXPECT_EQ(s.place(64, 100, kFactory), 59U);   // no stop is looked for at the end
  EXPECT_EQ(s.place(500, 100, kFactory), 90U);  // a context that is short enough stays whole
  const std::string hidden = hide_needle(*s.tokenizer, s.text, "\nb.\n", 14, 50, kFactory).text;
  EXPECT_EQ(hidden, "ab ab. \nb.\n ab ab. ab ab.");
}

TEST(HiddenNeedle, OfCompressKvIsInFrontOfATextOfSentencePieces) {
  const Sentences s;  // "." alone is a token that ends no sentence: the search ends at the BOS
  EXPECT_EQ(s.place(66, 0, kCompressKv), 0U);
  for (const double depth : {10.0, 50.0, 99.0}) EXPECT_EQ(s.place(66, depth, kCompressKv), 1U);
  EXPECT_EQ(s.place(66, 100, kCompressKv), 60U);
  const std::string hidden = hide_needle(*s.tokenizer, s.text, "\nb.\n", 10, 100, kCompressKv).text;
  EXPECT_THAT(hidden, testing::MatchesRegex("<s> ?ab ab\\.<s> *\nb\\.\n"));  // specials stay, as text
}

TEST(HiddenNeedle, BeginningOfATextIsItsFirstTokens) {
  const Sentences s;
  EXPECT_EQ(first_tokens(*s.tokenizer, s.text, 6, kFactory), "ab ab. ab ab.");
  EXPECT_EQ(first_tokens(*s.tokenizer, s.text, 6, kCompressKv), "ab ab. ab ab");  // the BOS is one of them
  EXPECT_EQ(first_tokens(*s.tokenizer, s.text, 90, kFactory), s.text);
}

// --- The published grid: 8,000 tokens of Paul Graham's essays, ten depths ---------------------------------------------

const std::string kData = std::string(EVICTBENCH_SOURCE_DIR) + "/../shared/data/";

std::vector<std::size_t> published_places(const Tokenizer& tokenizer, const NeedleRules& rules) {
  const std::string essays = read_haystack(kData + "niah/essays", true);
  const std::string first = first_tokens(tokenizer, essays, 8000, rules);
  const std::string needle =
      "\nThe best thing to do in San Francisco is eat a sandwich and sit in Dolores Park on a sunny day.\n";
  std::vector<std::size_t> places;
  for (const int depth : {0, 11, 22, 33, 44, 56, 67, 78, 89, 100})
    places.push_back(hide_needle(tokenizer, first, needle, 7800, depth, rules).place);
  return places;
}

TEST(PublishedNeedles, OfLlama3) {
  if (!is_folder(kData)) GTEST_SKIP() << "no " << kData;
  const TempFolder folder;
  folder.write(
      "tokenizer.json",
      tiktoken_to_json(
          read_text(kData + "tokenizers/llama3-bpe/ranks.tiktoken", Exit::kInput, "E-T"),
          {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
           R"(|\s*[\r\n]+|\s+(?!\S)|\s+)",
           {"<|begin_of_text|>"},
           "<|begin_of_text|>",
           true}));
  EXPECT_THAT(published_places(*load_tokenizer(folder.path()), kCompressKv),
              ElementsAre(0, 854, 1629, 2561, 3369, 4259, 5191, 6022, 6855, 7775));
}

TEST(PublishedNeedles, OfSentencePieceTokenizers) {
  if (!is_folder(kData)) GTEST_SKIP() << "no " << kData;
  const auto llama2 = load_tokenizer(kData + "tokenizers/llama2-spm"),
             mistral = load_tokenizer(kData + "tokenizers/mistral-v1-spm"),
             mistral3 = load_tokenizer(kData + "tokenizers/mistral-v3-spm");
  EXPECT_THAT(published_places(*llama2, kFactory),
              ElementsAre(0, 834, 1702, 2556, 3397, 4342, 5171, 6060, 6886, 7772));
  EXPECT_THAT(published_places(*mistral, kFactory),
              ElementsAre(0, 846, 1701, 2565, 3410, 4345, 5197, 6056, 6885, 7773));
  EXPECT_EQ(published_places(*mistral3, kFactory), published_places(*mistral, kFactory));  // the same pieces
  for (const auto* tokenizer : {&llama2, &mistral, &mistral3})
    EXPECT_THAT(published_places(**tokenizer, kCompressKv),
                ElementsAre(0, 1, 1, 1, 1, 1, 1, 1, 1, testing::Gt(7700)));
}

TEST(PublishedNeedles, OursStandWhereTheirDepthSays) {  // with SentencePiece too, for they go by the text
  if (!is_folder(kData)) GTEST_SKIP() << "no " << kData;
  const std::string needle = "The best thing to do in San Francisco is eat a sandwich.";
  const std::string essays = read_haystack(kData + "niah/essays").substr(0, 32000);
  for (const char* name : {"llama2-spm", "mistral-v1-spm", "mistral-v3-spm"}) {
    const auto tokenizer = load_tokenizer(kData + "tokenizers/" + name);
    const auto count = [&](std::string_view text) {
      return static_cast<double>(tokenizer->encode(text, {}).size());
    };
    for (const int depth : {0, 11, 22, 33, 44, 56, 67, 78, 89, 100}) {
      const std::string text = insert_needle(essays, needle, depth);
      EXPECT_NEAR(100 * count(text.substr(0, text.find(needle))) / count(text), depth, 2) << name;
    }
  }
}

}  // namespace
}  // namespace evictbench
