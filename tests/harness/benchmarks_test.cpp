// BABILong, RULER and summaries: what a model sees of them, and sweeps over them on the bundled model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "datasets/registry.h"
#include "harness/prompts.h"
#include "harness/results.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/longbench_files.h"
#include "tests/support/program.h"

namespace evictbench {
namespace {

using nlohmann::json;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

const std::string kFacts =
    R"([{"input":"Mary went to the garden.","question":"Where is Mary? ","target":"garden"}])";
const std::string kUserHead = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n";
const std::string kUserTail = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n";

// The first example's prompt with all specials spelled, and a bar where the question begins.
std::string shown(const std::map<std::string, std::vector<std::string>>& keys, const std::string& chat) {
  const Example example = make_datasets(longbench_options(keys)).at(0)->examples({}).at(0);
  const ByteTokenizer tokenizer("<|begin_of_text|>");
  const Prompt prompt = encode_example(tokenizer, load_chat_template("", chat), example);
  return tokenizer.decode(prompt.context, true) + "|" + tokenizer.decode(prompt.question, true);
}

TEST(BenchmarkPrompt, OfBabilongIsInTheModelsTemplate) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "0k");
  folder.write("0k/qa4.json", kFacts);
  const std::string prompt = shown({{"name", {"babilong"}}, {"path", {folder.path()}}}, "llama-3");
  EXPECT_THAT(prompt, StartsWith(kUserHead + "I will give you context"));
  EXPECT_THAT(
      prompt,
      EndsWith("<context>\nMary went to the garden.|\n</context>\n\nQuestion: Where is Mary?" + kUserTail));
  EXPECT_THAT(shown({{"name", {"babilong"}}, {"path", {folder.path()}}}, "none"),
              EndsWith("Question: Where is Mary?"));
}

TEST(BenchmarkPrompt, OfRulerHasTheAnswersBeginningBehindTheTemplate) {
  const TempFolder folder;
  const auto of = [&](const std::string& record, const std::string& chat) {
    folder.write("fwe.jsonl", record + "\n");
    return shown({{"name", {"ruler"}}, {"path", {folder.path()}}}, chat);
  };
  const std::string newer =
      R"({"input":"Read.\nQuestion: Which? They are:","answer_prefix":" They are:","outputs":["a"]})";
  EXPECT_EQ(of(newer, "llama-3"), kUserHead + "Read.|\nQuestion: Which?" + kUserTail + " They are:");
  EXPECT_EQ(of(newer, "none"), "<|begin_of_text|>Read.|\nQuestion: Which? They are:");
  const std::string older = R"({"input":"Read.\nQuestion: Which? They are:","outputs":["a"]})";
  EXPECT_EQ(of(older, "llama-3"), kUserHead + "Read.|\nQuestion: Which? They are:" + kUserTail);
  const std::string wrapped =
      R"({"input":"[INST] Read.\nQuestion: Which? [/INST]","answer_prefix":" They are:","outputs":["a"]})";
  EXPECT_EQ(of(wrapped, "llama-3"), "<|begin_of_text|>[INST] Read.|\nQuestion: Which? [/INST] They are:");
}

TEST(BenchmarkPrompt, OfSummariesIsInNoTemplateUnlessAskedFor) {
  const TempFolder folder;
  const std::string path = folder.write("x.jsonl", R"({"document":"A b.","summary":"S."})"
                                                   "\n");
  EXPECT_EQ(shown({{"name", {"xsum"}}, {"path", {path}}}, "llama-3"),
            "<|begin_of_text|>###\nArticle: A b.|\n\nSummarize the above article in 1 sentence.\n");
  EXPECT_EQ(shown({{"name", {"xsum"}}, {"path", {path}}, {"template", {"model"}}}, "llama-3"),
            kUserHead + "###\nArticle: A b.|\n\nSummarize the above article in 1 sentence.\n" + kUserTail);
}

using BenchmarkRun = Program;

// From files and generators to records, and from these to the same scores again.
TEST_F(BenchmarkRun, AnswersTheSameInsideAndAfterAndIsScoredAgain) {
  std::filesystem::create_directory(folder_ / "0k");
  folder_.write("0k/qa7.json",
                R"([{"input":"Mary got the milk.","question":"How many, none? ","target":"one"}])");
  folder_.write("x.jsonl",
                R"({"document":"Mary got the milk. Then she went home.","summary":"Mary has milk."})"
                "\n");
  const std::string sweep = folder_.write(
      "sweep.yaml", "version: 1\nmodel: {path: " EVICTBENCH_SOURCE_DIR
                    "/models/tiny-recall, threads: 1}\n"
                    "protocol: {question: [inside, after]}\npolicies: [{name: full}, {name: snapkv}]\n"
                    "budgets: {unit: entries, values: [32]}\ntasks:\n- {name: babilong, path: .}\n"
                    "- {name: ruler, lengths: [2048], count: 1, max_new: 4, tasks: [niah_single_1, "
                    "niah_multivalue, vt, cwe, fwe]}\n"
                    "- {name: xsum, path: x.jsonl, max_new: 8}\noutput: {dir: " +
                        (folder_ / "out") + "}\n");
  ASSERT_EQ(call("run " + sweep), 0) << text("errors");
  std::map<std::string, std::set<std::string>> answers;
  std::size_t records = 0;
  for (const Record& record : read_records(folder_ / "out")) {
    ++records;
    EXPECT_EQ(record.error, "");
    if (record.policy_name == "full") answers[record.task].insert(record.answer);
    if (record.task.starts_with("ruler/") && record.question == "inside") {
      EXPECT_EQ(record.prompt_tokens + 4, 2048) << record.task;
    }
  }
  EXPECT_EQ(records, 7U * 4);
  EXPECT_EQ(answers.size(), 7U);
  for (const auto& [task, distinct] : answers) EXPECT_EQ(distinct.size(), 1U) << task;
  ASSERT_EQ(call("score " + (folder_ / "out") + " --json"), 0) << text("errors");
  EXPECT_EQ(text("errors"), "");  // no score but those of the records
  EXPECT_EQ(json::parse(text("said")).size(), 7U);
}

}  // namespace
}  // namespace evictbench
