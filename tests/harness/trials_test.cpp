// Trials: where their evidence is, to the token, and how they are answered.
#include "harness/trials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "core/io/file.h"
#include "policies/registry.h"
#include "tests/support/dressed_sentencepiece.h"
#include "tests/support/fixtures.h"
#include "tests/support/random_decoder.h"
#include "tests/support/refusal.h"

namespace evictbench {
namespace {

using testing::HasSubstr;

const std::string kBundled = EVICTBENCH_SOURCE_DIR "/models/tiny-recall";

// The span holds the evidence, and a token less on either side does not.
void expect_tight(const Tokenizer& tokenizer, const Tokens& ids, TokenSpan span, const std::string& evidence,
                  const std::string& where) {
  const auto text = [&](int first, int last) {
    return tokenizer.decode(
        std::span(ids).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(last - first)));
  };
  EXPECT_THAT(text(span.first, span.last), HasSubstr(evidence)) << where;
  EXPECT_THAT(text(span.first + 1, span.last), testing::Not(HasSubstr(evidence))) << where;
  EXPECT_THAT(text(span.first, span.last - 1), testing::Not(HasSubstr(evidence))) << where;
}

// Evidence at every place of a text: words of several tokens, at blanks and inside words, the first and the last.
void expect_found_everywhere(const Tokenizer& tokenizer, const std::string& name) {
  const std::string text =
      "Hello, hello! The cat sat on 2,048 mats; naïve 東京 \xF0\x9F\x98\x80 ends it here.";
  const Tokens ids = tokenizer.encode(text, {});
  for (std::size_t begin = 0; begin < text.size(); ++begin)
    for (const std::size_t size : {1, 3, 7, 20}) {
      const auto is_cut = [&](std::size_t at) {
        return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;
      };
      if (begin + size > text.size() || is_cut(begin) || is_cut(begin + size)) continue;
      const std::string evidence = text.substr(begin, size);
      if (evidence.front() == ' ') continue;  // of tokens that are decoded alone, some lose it
      if (text.find(evidence) != begin || text.find(evidence, begin + 1) != std::string::npos) continue;
      expect_tight(tokenizer, ids, tokens_of(tokenizer, ids, text, {begin, size}), evidence,
                   name + ": " + evidence);
    }
}

TEST(TokensOf, FindsEvidenceWithEveryKindOfTokenizer) {
  expect_found_everywhere(*load_tokenizer(kBundled), "sentencepiece");
  expect_found_everywhere(*load_tokenizer_json(tiny_tokenizer_json()), "byte-level bpe");
  expect_found_everywhere(*load_tokenizer_json(dressed_json()), "bpe with byte fallback");
}

TEST(TokensOf, AndWithPublishedOnes) {
  const std::string folder = EVICTBENCH_SOURCE_DIR "/../shared/data/tokenizers/";
  int found = 0;
  for (const char* name : {"llama2-spm", "mistral-v1-spm", "mistral-v3-spm"})
    if (is_file(folder + name + "/tokenizer.model")) {
      expect_found_everywhere(*load_tokenizer(folder + name), name);
      ++found;
    }
  if (is_file(folder + "gpt2-bpe/gpt2-vocab.json")) {
    const auto read = [&](const char* name) {
      return read_text(folder + "gpt2-bpe/" + name, Exit::kInput, "E-TT");
    };
    const TempFolder made;
    made.write("tokenizer.json", gpt2_to_json(read("gpt2-vocab.json"), read("gpt2-merges.txt")));
    expect_found_everywhere(*load_tokenizer(made.path()), "gpt2");
    ++found;
  }
  if (found == 0) GTEST_SKIP() << "0 of 4 published tokenizers at hand";
}

TEST(TokensOf, ATemplateInFrontMovesTheSpan) {
  const auto tokenizer = load_tokenizer(kBundled);
  const std::string text = "The cat sat on the mat.";
  const Tokens plain = tokenizer->encode(text, {});
  const Tokens ids = encode_opening(*tokenizer, {"any", "[INST] ", " [/INST]"}, text);
  ASSERT_GT(ids.size(), plain.size());
  const TokenSpan span = tokens_of(*tokenizer, ids, text, {4, 3});
  expect_tight(*tokenizer, ids, span, "cat", "in a template");
}

TEST(TokensOf, ATokenizerThatRewritesTextIsRefused) {
  auto json = tiny_tokenizer_json();
  json["normalizer"] = {{"type", "Lowercase"}};
  const auto tokenizer = load_tokenizer_json(json);
  expect_refusal(
      [&] {
        tokens_of(*tokenizer, tokenizer->encode("Hello", {}), "Hello", {0, 5});
      },
      "E-HD-03", "does not give back");
}

SweepModel plain(const std::string& path) {
  SweepModel model;
  model.path = path;
  model.chat = "none";
  return model;
}

class TrialsTest : public testing::Test {
 protected:
  std::string file(const std::string& tasks) const {
    return folder_.write("trials.yaml", "version: 1\ntasks:\n" + tasks);
  }
  TempFolder folder_;
};

TEST_F(TrialsTest, OfRecallHoldTheAnswersTokens) {
  const TrialSet set(
      file("  - {name: recall, scores: copy, kind: multi_key, lengths: [200], depths: [0, 50, 100], count: "
           "3}\n"
           "  - {name: recall, id: hops, kind: two_hop, lengths: [200], count: 3}\n"
           "  - {name: recall, id: code, scores: reasoning, kind: variables, lengths: [200], count: 3}\n"),
      {}, plain(kBundled));
  ASSERT_EQ(set.trials.size(), 15U);
  for (const Trial& trial : set.trials) {
    const Tokenizer& tokenizer = set.run.checkpoint.tokenizer();
    EXPECT_EQ(trial.prompt.size(), 200U);
    const Extent bytes = trial.source->evidence;
    const std::string evidence = trial.source->context.substr(bytes.begin, bytes.size);
    expect_tight(tokenizer, trial.prompt, trial.evidence, evidence, trial.example);
    EXPECT_EQ(evidence == trial.source->answers.front(), trial.task == "recall");
    EXPECT_EQ(trial.copy, trial.task != "code");
    EXPECT_EQ(trial.reasoning, trial.task != "recall");
  }
}

TEST_F(TrialsTest, TasksWithoutEvidenceAndUnknownScoresAreRefused) {
  const SweepModel model = plain(kBundled);
  expect_refusal(
      [&] { TrialSet(file("  - {name: recall, kind: labels, lengths: [300], count: 1}\n"), {}, model); },
      "E-HD-01", "not read from one known place", Exit::kSweep);
  expect_refusal(
      [&] {
        TrialSet(
            file("  - {name: recall, kind: needle, scores: [copy, semantic], lengths: [300], count: 1}\n"),
            {}, model);
      },
      "E-HD-02", "3:.*\"semantic\" is no score", Exit::kSweep);
  expect_refusal(
      [&] { TrialSet(file("  - {name: recall, kind: needle, lengths: [9000], count: 1}\n"), {}, model); },
      "E-CF-10", "9000 prompt tokens", Exit::kSweep);
  expect_refusal([&] { TrialSet(folder_.write("empty.yaml", "version: 1\n"), {}, model); }, "E-YM-20",
                 "tasks", Exit::kSweep);
}

// A random checkpoint says anything, so all of its tokens are compared with those of the sweep's own path.
TEST_F(TrialsTest, AnswersAreThoseOfASweepWithTheFullCache) {
  std::filesystem::create_directory(folder_ / "model");
  write_random_checkpoint(folder_ / "model", {.layers = 2}, 3);
  const TrialSet set(file("  - {name: niah, haystack: generated, lengths: [300], depths: [0, 30, 60, 100], "
                          "needle: \"The word is "
                          "{value}.\", question: \"Which word?\", values: [saffron], max_new: 20}\n"),
                     {}, plain(folder_ / "model"));
  const auto model = set.run.checkpoint.load(host());
  const Answering answering(host(), *model, set.run.checkpoint);
  const Point full{"full", make_policy("full"), "full", 0};
  for (const Trial& trial : set.trials) {
    int heard = 0, rows = 0;
    const Tokens answer = answering.answer(trial, answering.prefill(trial),
                                           {.row = [&](const AttentionRow&) { ++rows; }, .queries = {}},
                                           {.given = [&](std::int32_t) { ++heard; }, .ended = {}});
    Tokens expected = evaluate(host(), *model, {trial.prompt, {}}, std::span(&full, 1), {},
                               {.max_new = 20, .end_tokens = set.run.checkpoint.config().eos_tokens})[0]
                          .tokens;
    const auto feed = std::ranges::find(expected, '\n');  // a byte is its own id
    expected.erase(feed, expected.end());
    EXPECT_EQ(answer, expected) << trial.example;
    EXPECT_EQ(heard, std::ssize(answer));
    EXPECT_GE(rows, 2 * 4 * heard) << "each head at each step";
  }
}

}  // namespace
}  // namespace evictbench
