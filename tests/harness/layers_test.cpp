// The command `layers`: what it measures, where it goes on, what it averages, and what a sweep makes of its scores.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/io/file.h"
#include "harness/layer_files.h"
#include "harness/layer_measure.h"
#include "harness/prepared.h"
#include "harness/score_files.h"
#include "tests/support/calibration_files.h"
#include "tests/support/longbench_files.h"
#include "tests/support/random_decoder.h"
#include "tests/support/refusal.h"

namespace evictbench {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTasks =
    "tasks:\n"
    "  - {name: niah, id: word, haystack: generated, lengths: [200], depths: [10, 50, 90], needle: \"The "
    "word of {key} "
    "is {value}.\", question: \"What is the word of {key}?\", keys: [Tallinn], values: [saffron], max_new: "
    "5}\n"
    "  - {name: niah, id: number, haystack: generated, lengths: [150], depths: [50], needle: \"The number of "
    "{key} "
    "is {value}.\", question: \"What is the number of {key}?\", keys: [Bergen], values: [\"17\"], max_new: "
    "7}\n";

class LayersTest : public testing::Test {
 protected:
  LayersTest() {
    for (const char* name : {"model", "twin"}) {
      fs::create_directory(folder_ / name);
      write_random_checkpoint(folder_ / name, {.layers = 3, .q_heads = 4}, name[0] == 'm' ? 11 : 12);
    }
    folder_.write("heads.json", some_head_scores(3, 4));
    folder_.write("tasks.yaml", std::string("version: 1\nprotocol: {seed: 7}\n") + kTasks);
  }

  LayerMeasurement measurement(const std::string& out, const std::string& tasks = "tasks.yaml") const {
    LayerMeasurement m;
    m.model.path = folder_ / "model";
    m.model.chat = "none";
    m.where.threads = 1;
    m.tasks = folder_ / tasks;
    m.head_scores = folder_ / "heads.json";
    m.heads = 2;
    m.out = folder_ / out;
    return m;
  }
  std::string text(const std::string& name) const { return read_text(folder_ / name, Exit::kInput, "E-HS"); }
  bool there(const std::string& name) const { return fs::exists(folder_ / name); }

  // A sweep that scores tasks with layer scores.
  std::string sweep(const std::string& layer_scores, const std::string& tasks = kTasks) const {
    return folder_.write(
        "sweep.yaml",
        "version: 1\nmodel: {path: model, chat: none}\nprotocol: {question: after, seed: 7}\n"
        "policies:\n  - {name: compresskv, heads: 2, head_scores: heads.json, layer_scores: [none, " +
            layer_scores + "]}\nbudgets: {unit: entries, values: [40]}\n" + tasks +
            "output: {dir: " + (folder_ / "results") + "}\n");
  }

  TempFolder folder_;
};

TEST_F(LayersTest, WritesTheSameScoresTwiceAndSaysWhatTheyWereMeasuredOn) {
  EXPECT_EQ(measurement("a.json").run(), 0);
  LayerMeasurement again = measurement("b.json");
  again.where.threads = 3;
  again.dump = folder_ / "trials.jsonl";
  EXPECT_EQ(again.run(), 0);
  EXPECT_EQ(text("a.json"), text("b.json"));
  EXPECT_EQ(text("a.json.meta.json"), text("b.json.meta.json"));
  EXPECT_FALSE(there("a.json.part.jsonl"));

  const DatasetScores datasets = read_dataset_scores({"a.json", text("a.json")});
  ASSERT_EQ(datasets.size(), 2u);
  EXPECT_EQ(datasets[0].first, "word");
  for (const auto& [name, scores] : datasets)
    EXPECT_NEAR(std::accumulate(scores.begin(), scores.end(), 0.0), 1, 1e-12) << name;
  EXPECT_EQ(read_layer_scores({"a.json", text("a.json")}).scores, average_of(datasets));

  const Sidecar sidecar = read_sidecar(folder_ / "a.json").value();
  EXPECT_EQ(sidecar.kind, ScoreKind::kLayerError);
  EXPECT_EQ(sidecar.model.name, "model");
  EXPECT_EQ(sidecar.examples.size(), 4u);
  EXPECT_EQ(sidecar.made, 4);

  // The dump holds the sums that the scores are made of.
  std::vector<double> sums(3);
  std::istringstream lines(text("trials.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const auto trial = nlohmann::json::parse(line);
    if (trial["task"] != "number") continue;
    EXPECT_NEAR(static_cast<double>(trial["prompt"].size()), 150, 8);
    for (std::size_t l = 0; l < 3; ++l) sums[l] += trial["errors"][l].get<double>();
  }
  const double sum = sums[0] + sums[1] + sums[2];
  for (std::size_t l = 0; l < 3; ++l) EXPECT_NEAR(datasets[1].second[l], sums[l] / sum, 1e-15);
}

TEST_F(LayersTest, GoesOnWhereItWasStopped) {
  measurement("whole.json").run();
  fs::create_directory(folder_ / "part.json");  // cannot be written over: all is measured, nothing is lost
  expect_refusal([&] { measurement("part.json").run(); }, "E-OUT-06", "cannot be opened: Is a directory", Exit::kOutput);
  std::string journal = text("part.json.part.jsonl");
  EXPECT_EQ(std::ranges::count(journal, '\n'), 5) << "what is measured, and four examples";
  fs::remove(folder_ / "part.json");
  std::size_t third = 0;
  for (int line = 0; line < 3; ++line) third = journal.find('\n', third) + 1;
  folder_.write("part.json.part.jsonl", journal.substr(0, third + 20));  // cut in the fourth line
  EXPECT_EQ(measurement("part.json").run(), 0);
  EXPECT_EQ(text("part.json"), text("whole.json"));

  folder_.write("part.json.part.jsonl", journal);
  LayerMeasurement other = measurement("part.json");
  other.overrides = {"tasks.0.max_new=6"};
  expect_refusal([&] { other.run(); }, "E-LY-05", "tasks\\[0\\].max_new", Exit::kNotComparable);
  const std::size_t example = journal.find("Tallinn", journal.find('\n'));
  folder_.write("part.json.part.jsonl", journal.replace(example, 7, "Bergen!"));
  expect_refusal([&] { measurement("part.json").run(); }, "E-LY-05", "example .+Bergen!", Exit::kOutput);
}

TEST_F(LayersTest, WhatMeasuresNothingIsRefused) {
  LayerMeasurement m = measurement("a.json");
  m.overrides = {"tasks.1.max_new=1"};
  expect_refusal([&] { m.run(); }, "E-LY-03", "number: no layer has an error", Exit::kFailedPoints);
  EXPECT_FALSE(there("a.json"));
  LayerMeasurement named = measurement("b.json");
  named.overrides = {"tasks.1.id=avg_score"};
  expect_refusal([&] { named.run(); }, "E-LY-04", "avg_score", Exit::kSweep);
  const Checkpoint twin(folder_ / "twin");
  write_scores(folder_ / "heads.json", text("heads.json"),
               {.model = mark_of(twin, twin.digests()), .method = {}, .data = {}, .examples = {}});
  expect_refusal([&] { measurement("c.json").run(); }, "E-SD-11", "the model twin");
}

// Of a model that would end every answer at once.
TEST_F(LayersTest, AnAnswerThatMayNotBeEmptyIsNot) {
  nlohmann::json ends;
  for (int id = 0; id < 262; ++id)
    if (id != 65) ends.push_back(id);
  folder_.write("model/generation_config.json", nlohmann::json{{"eos_token_id", ends}}.dump());
  folder_.write("hotpotqa_e.jsonl", longbench_line("one"));
  const auto of = [&](const std::string& protocol) {
    folder_.write("e.yaml",
                  "version: 1\ntasks:\n  - {name: longbench-e, path: ., protocol: " + protocol + "}\n");
    return measurement(protocol + ".json", "e.yaml");
  };
  expect_refusal([&] { of("longbench").run(); }, "E-LY-03", "no layer has an error", Exit::kFailedPoints);
  EXPECT_EQ(of("snapkv").run(), 0);
  EXPECT_EQ(read_sidecar(folder_ / "snapkv.json").value().accepted, 1);
}

TEST_F(LayersTest, BringsTasksAlong) {
  const Sweep sweep = load_tasks_text(kLayerTasks, "the default tasks", {}, SweepModel());
  EXPECT_EQ(sweep.tasks.size(), 4u);
  EXPECT_EQ(sweep.seed, 20250807u);
}

TEST_F(LayersTest, StoredFilesAreAveragedAgain) {
  measurement("both.json").run();
  for (const char* task : {"0", "1"}) {
    folder_.write("one.yaml", std::string("version: 1\nprotocol: {seed: 7}\n") + kTasks);
    LayerMeasurement m = measurement(std::string("only") + task, "one.yaml");
    const std::string lines(kTasks);
    const std::size_t first = lines.find("  - "), second = lines.find("  - ", first + 1);
    folder_.write("one.yaml",
                  "version: 1\nprotocol: {seed: 7}\ntasks:\n" +
                      (*task == '0' ? lines.substr(first, second - first) : lines.substr(second)));
    m.run();
  }
  average_layer_files({folder_ / "only0", folder_ / "only1"}, folder_ / "again.json");
  EXPECT_EQ(text("again.json"), text("both.json"));
  const Sidecar merged = read_sidecar(folder_ / "again.json").value(),
                whole = read_sidecar(folder_ / "both.json").value();
  EXPECT_EQ(merged.examples, whole.examples);
  EXPECT_EQ(merged.made, whole.made);
  EXPECT_EQ(merged.method.front().first, "1 policy");

  expect_refusal(
      [&] {
        average_layer_files({folder_ / "both.json", folder_ / "only1"}, folder_ / "x");
      },
      "E-LY-02", "'number' again");
  folder_.write("wide.jsonl", "{\"a\": [1, 2, 3, 4]}\n{\"b\": [1, 2, 3, 4]}\n");
  expect_refusal(
      [&] {
        average_layer_files({folder_ / "wide.jsonl", folder_ / "only1"}, folder_ / "x");
      },
      "E-LY-02", "scores of 3 layers.+4, as in");
  folder_.write("plain.jsonl", "{\"a\": [1, 2, 1]}\n{\"b\": [1, 2, 1]}\n");
  average_layer_files({folder_ / "plain.jsonl", folder_ / "only1"}, folder_ / "y");
  EXPECT_FALSE(there("y.meta.json")) << "what plain.jsonl was measured on is not known";
  const Checkpoint twin(folder_ / "twin");
  write_scores(folder_ / "plain.jsonl", text("plain.jsonl"),
               {.kind = ScoreKind::kLayerError,
                .model = mark_of(twin, twin.digests()),
                .method = {},
                .data = {},
                .examples = {}});
  expect_refusal(
      [&] {
        average_layer_files({folder_ / "only1", folder_ / "plain.jsonl"}, folder_ / "x");
      },
      "E-SD-11", "the model twin");
}

TEST_F(LayersTest, ASweepKnowsWhatItsScoresHaveSeen) {
  measurement("seen.json").run();
  const Prepared same(sweep("seen.json"), {});
  const std::vector<Leak> leaks = leaks_of(same.plan, same.scores);
  ASSERT_EQ(leaks.size(), 2u) << "of the policy with layer scores alone";
  EXPECT_THAT(leaks[0].policy, testing::HasSubstr("layer_scores=" + score_hash(text("seen.json"))));
  EXPECT_EQ(leaks[0].task, "word");
  EXPECT_EQ(leaks[0].shared, 3u);
  EXPECT_EQ(leaks[1].task, "number");
  EXPECT_EQ(leaks[1].shared, 1u);

  const Prepared some(sweep("seen.json"), {"tasks.0.lengths=[200, 330]", "tasks.1.lengths=[220]"});
  const std::vector<Leak> fewer = leaks_of(some.plan, some.scores);
  ASSERT_EQ(fewer.size(), 1u);
  EXPECT_EQ(some.plan.tasks[0].examples.size(), 6u);
  EXPECT_EQ(fewer[0].shared, 3u) << "those of the length that both have";
  const Prepared none(sweep("seen.json"), {"protocol.seed=8"});
  EXPECT_TRUE(leaks_of(none.plan, none.scores).empty()) << "another seed, other haystacks";
}

TEST_F(LayersTest, PublishedScoresAreWarnedOf) {
  folder_.write("published.json", R"({"word": [1, 2, 1], "trec": [1, 1, 1], "avg_score": [1, 2, 1]})");
  const Prepared run(sweep("published.json"), {});
  std::vector<std::string> warnings;
  for (const CheckedScores& scores : run.scores)
    for (const std::string& warning : warnings_of(scores, run.sweep.tasks)) warnings.push_back(warning);
  EXPECT_THAT(warnings, testing::ElementsAre(testing::HasSubstr("head_scores xxh3:"),
                                             testing::HasSubstr("layer_scores xxh3:"),
                                             testing::HasSubstr("names word, which is scored")));
}

}  // namespace
}  // namespace evictbench
