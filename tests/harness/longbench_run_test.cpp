// A LongBench sweep on the bundled model, from file to records.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "harness/results.h"
#include "tests/support/longbench_files.h"
#include "tests/support/program.h"

namespace evictbench {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class LongBenchRun : public Program {
 protected:
  void SetUp() override {
    Program::SetUp();
    if (IsSkipped()) return;
    std::string context;
    for (int i = 0; i < 120; ++i)
      context += "The motto of Jorona is amber lemon salmon walrus. Many roads lead there. ";
    folder_.write("hotpotqa.jsonl", longbench_line("one", {{"context", context}}) + longbench_line("two"));
    folder_.write("samsum.jsonl", longbench_line("three", {{"dataset", "samsum"}}));
  }
  std::string sweep(const std::string& more) const {
    return folder_.write(
        "sweep.yaml",
        "version: 1\nmodel: {path: " EVICTBENCH_SOURCE_DIR
        "/models/tiny-recall, threads: 1}\n"
        "protocol: {question: [inside, after]}\npolicies: [{name: full}, {name: snapkv}]\n"
        "budgets: {unit: entries, values: [32]}\ntasks:\n- {name: longbench, path: ., max_tokens: 401" +
            more + "}\noutput: {dir: " + (folder_ / "out") + "}\n");
  }
};

TEST_F(LongBenchRun, AnswersTheSameInsideAndAfter) {
  ASSERT_EQ(call("run " + sweep("")), 0) << text("errors");
  std::map<std::string, std::map<std::string, std::string>>
      answers;  // example -> question -> of the full cache
  std::map<std::string, int> tasks;
  for (const Record& record : read_records(folder_ / "out")) {
    ++tasks[record.task];
    EXPECT_EQ(record.error, "");
    EXPECT_FALSE(record.scores.empty());
    if (record.policy_name == "full") answers[record.example][record.question] = record.answer;
  }
  EXPECT_THAT(tasks,
              testing::ElementsAre(std::pair("longbench/hotpotqa", 8), std::pair("longbench/samsum", 4)));
  EXPECT_EQ(answers.size(), 3U);
  for (const auto& [example, by_question] : answers)
    EXPECT_EQ(by_question.at("inside"), by_question.at("after")) << example;
}

TEST_F(LongBenchRun, IsScoredAgainFromItsFolder) {
  folder_.write("trec.jsonl",
                longbench_line("four", {{"dataset", "trec"}, {"all_classes", {"this", "that"}}}));
  ASSERT_EQ(call("run " + sweep("")), 0) << text("errors");
  const std::string out = folder_ / "out";
  ASSERT_EQ(call("score " + out + " --json"), 0) << text("errors");
  EXPECT_EQ(text("errors"), "");  // no score but those of the records
  const json scores = json::parse(text("said"));
  EXPECT_EQ(scores.size(), 3U);
  EXPECT_EQ(scores["longbench/hotpotqa"].size(), 4U);  // two points under two protocols
  EXPECT_TRUE(scores["longbench/samsum"].contains("full, question inside, first token evicted"));

  ASSERT_EQ(call("score " + out + " --tasks longbench/samsum --metric longbench/samsum=rouge_1"), 0);
  EXPECT_THAT(text("said"), HasSubstr("full, question after, first token evicted, 1 answers, rouge_1: "));
  EXPECT_THAT(text("errors"), HasSubstr("scores are not those of the records"));
  EXPECT_EQ(call("score " + out + " --metric longbench/lcc=rouge_1"), 2);
  EXPECT_EQ(call("score " + out + " --format longbench"), 4);
  EXPECT_EQ(call("score " + out + " --metric longbench/samsum=babilong_match"), 4);
  EXPECT_THAT(text("errors"), HasSubstr("no labels of \"longbench/samsum\""));
  EXPECT_EQ(call("score " + folder_.path() + " --format evictbench"), 2);
  EXPECT_THAT(text("errors"), HasSubstr("no records.jsonl"));

  std::ofstream(out + "/examples.json") << R"({"warnings":[],"main_scores":{},"references":{}})";
  EXPECT_EQ(call("score " + out), 4);
  EXPECT_THAT(text("errors"), HasSubstr("nothing on how \"longbench/hotpotqa\" is judged"));
  EXPECT_EQ(call("report " + out), 0);  // a folder of an older version
}

TEST_F(LongBenchRun, PlansAndPrintsThePromptThatItRuns) {
  for (const std::string truncate : {"faithful", "ids"}) {
    const std::string file = sweep(", tasks: [hotpotqa], truncate: " + truncate);
    ASSERT_EQ(call("plan " + file + " --json"), 0) << text("errors");
    const json plan = json::parse(text("said"));
    EXPECT_EQ(plan["tasks"][0]["task"], "longbench/hotpotqa");
    ASSERT_EQ(call("examples --ids " + file), 0) << text("errors");
    std::istringstream lines(text("said"));
    std::vector<std::size_t> tokens;
    for (std::string line; std::getline(lines, line);) {
      const json example = json::parse(line);
      tokens.push_back(example["context_ids"].size() + example["question_ids"].size());
    }
    std::ranges::sort(tokens);
    EXPECT_EQ(plan["tasks"][0]["tokens"], json(tokens));
    if (truncate == "ids") {
      EXPECT_EQ(tokens.back(), 400U);  // two halves of 401
    }
  }
}

TEST_F(LongBenchRun, RefusesPromptsBeyondTheContext) {
  folder_.write("qasper.jsonl",
                longbench_line("one", {{"context", std::string(20000, '7')}, {"dataset", "qasper"}}));
  ASSERT_EQ(call("validate " + sweep(", tasks: [qasper]") + " --set tasks.0.max_tokens=16000"), 3);
  EXPECT_THAT(text("errors"), HasSubstr("at most 4096 together"));
  const std::string twice = "}\n- {name: recall, id: longbench/samsum, kind: needle, lengths: [300]";
  ASSERT_EQ(call("validate " + sweep(", tasks: [samsum]" + twice)), 3);
  EXPECT_THAT(text("errors"), HasSubstr("a second task \"longbench/samsum\""));
}

}  // namespace
}  // namespace evictbench
