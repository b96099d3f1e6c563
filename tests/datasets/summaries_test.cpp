// CNN/DailyMail and XSum: both forms of their lines, scores, what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "datasets/registry.h"
#include "tests/support/longbench_files.h"
#include "tests/support/malformed.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

using nlohmann::json;

const std::string kShared = EVICTBENCH_SOURCE_DIR "/../shared/data/text/xsum_0shot.jsonl";
const TokenCounter kNoCounter{};

std::unique_ptr<const Dataset> dataset_of(const std::string& name, const std::string& path,
                                          std::map<std::string, std::vector<std::string>> keys = {}) {
  keys["name"] = {name};
  keys["path"] = {path};
  return make_dataset(longbench_options(keys));
}

TEST(Summaries, ReadsBothForms) {
  const TempFolder folder;
  const std::string plain =
      folder.write("plain.jsonl", R"({"article":"A b.","highlights":"H one.\nH two.","id":"x"})"
                                  "\n");
  const Example cnn = dataset_of("cnn_dailymail", plain)->examples(kNoCounter)[0];
  EXPECT_EQ(cnn.context, "###\nArticle: A b.");
  EXPECT_EQ(cnn.question, "\n\nSummarize the above article in 3 sentences.\n");
  EXPECT_EQ(cnn.max_new, 128);
  EXPECT_FALSE(cnn.rules->chat);
  const std::string xsum = folder.write("xsum.jsonl", R"({"document":"A b.","summary":"S."})"
                                                      "\n");
  const Example one =
      dataset_of("xsum", xsum, {{"template", {"model"}}, {"max_new", {"9"}}})->examples(kNoCounter)[0];
  EXPECT_EQ(one.question, "\n\nSummarize the above article in 1 sentence.\n");
  EXPECT_EQ(one.max_new, 9);
  EXPECT_TRUE(one.rules->chat);
  const std::string whole = folder.write(
      "whole.jsonl",
      R"({"article":"###\nArticle: A\n\nTL;DR:","summary_gt":"S.","max_tokens":7,"stop":["###"]})"
      "\n");
  const Example prompt = dataset_of("cnn_dailymail", whole)->examples(kNoCounter)[0];
  EXPECT_EQ(prompt.context + prompt.question, "###\nArticle: A\n\nTL;DR:");
  EXPECT_EQ(prompt.question, "\n\nTL;DR:");
  EXPECT_EQ(prompt.max_new, 7);
}

TEST(Summaries, ScoresWhatStandsBeforeTheStop) {
  const TempFolder folder;
  const auto dataset =
      dataset_of("xsum", folder.write("x.jsonl", R"({"document":"A","summary":"the cat sat"})"
                                                 "\n"));
  const Example example = dataset->examples(kNoCounter)[0];
  ScoreMap scores = dataset->score(example, "the cat sat###\nArticle: the dog ran");
  EXPECT_EQ(scores, dataset->score(example, "the cat sat"));
  EXPECT_DOUBLE_EQ(scores["rouge1_f"], 1);
  EXPECT_NEAR(scores["rouge_l"], 1, 1e-8);
  EXPECT_EQ(dataset->score(example, "")["rouge_1"], 0);
  EXPECT_EQ(dataset->main_score(), "rouge_l");
}

TEST(Summaries, RealFileReads) {
  if (!std::filesystem::exists(kShared)) GTEST_SKIP() << "no " << kShared << ": 1000 records are not read";
  const std::vector<Example> examples = dataset_of("xsum", kShared)->examples(kNoCounter);
  EXPECT_EQ(examples.size(), 1000U);
  for (const Example& example : examples) {
    EXPECT_EQ(example.question, "\n\nSummarize the above article in 1 sentence.\n");
    EXPECT_EQ(example.max_new, 64);
    EXPECT_TRUE(example.context.starts_with("###\nArticle: "));
  }
}

TEST(Malformed, Summaries) {
  const TempFolder folder;
  const std::vector<Malformed> cases{
      {"SM-01", "", "E-SM-L04", "empty file"},
      {"SM-01", "{\"document\":\"a\"", "E-SM-L02", "breaks off"},
      {"SM-01", "[]\n", "E-SM-L03", "no object"},
      {"SM-02", "{}\n", "E-SM-J07", "document"},
      {"SM-02", "{\"document\":\"a\"}\n", "E-SM-J07", "summary"},
      {"SM-02", "{\"article\":\"a\",\"highlights\":\"b\"}\n", "E-SM-J07", "document"},
      {"SM-02", "{\"summary_gt\":\"b\"}\n", "E-SM-J07", "article"},
      {"SM-03", "{\"document\":1,\"summary\":\"b\"}\n", "E-SM-J05", "document"},
      {"SM-03", "{\"document\":\"a\",\"summary\":[]}\n", "E-SM-J05", "summary"},
      {"SM-03", "{\"article\":\"a\\n\\nb\",\"summary_gt\":\"b\",\"max_tokens\":0}\n", "E-SM-J06",
       "max_tokens"},
      {"SM-03", "{\"article\":\"a\\n\\nb\",\"summary_gt\":\"b\",\"max_tokens\":\"64\"}\n", "E-SM-J05",
       "max_tokens"},
      {"SM-04", "{\"document\":\" \",\"summary\":\"b\"}\n", "E-SM-01", "empty text"},
      {"SM-04", "{\"document\":\"a\",\"summary\":\"\"}\n", "E-SM-01", "empty text"},
      {"SM-05", "{\"article\":\"a\",\"summary_gt\":\"b\"}\n", "E-SM-02", "asks for nothing"},
      {"SM-05", "{\"article\":\"\\n\\nb\",\"summary_gt\":\"b\"}\n", "E-SM-02", "asks for nothing"},
  };
  expect_all_refused(
      cases, 15, {"SM-01", "SM-02", "SM-03", "SM-04", "SM-05"},
      [&](const std::string& content) { dataset_of("xsum", folder.write("x.jsonl", content)); });
  expect_refusal([&] { dataset_of("xsum", folder / "no.jsonl"); }, "E-SM-F01", "no such file");
  expect_refusal(
      [&] {
        dataset_of("xsum", kShared, {{"template", {"chatml"}}});
      },
      "E-SM-32", "one of none, model", Exit::kSweep);
}

}  // namespace
}  // namespace evictbench
