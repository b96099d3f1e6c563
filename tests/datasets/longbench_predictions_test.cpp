// Stored answers scored again: published sets in ../shared must give their published result.json.
#include "datasets/longbench_predictions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "datasets/segmenter.h"
#include "tests/support/longbench_files.h"
#include "tests/support/no_file.h"
#include "tests/support/refusal.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const std::string kShared = EVICTBENCH_SOURCE_DIR "/../shared/data/";

TEST(Predictions, GiveThePublishedResults) {
  if (!std::filesystem::exists(kShared + "predictions")) GTEST_SKIP() << "no " << kShared << "predictions";
  const auto segmenter = Segmenter::from_folder(kShared + "vectors");
  int compared = 0;
  for (const std::string set : {"llama2-7b-chat", "llama3-8b-instruct"}) {
    const std::string folder = kShared + "predictions/" + set;
    const json due = json::parse(std::ifstream(folder + "/result.json"));
    const std::clock_t start = std::clock();
    for (const LongBenchTask& task : longbench_tasks()) {
      const auto scores = score_predictions(folder + "/" + std::string(task.name) + ".jsonl", task,
                                            LongBench::kWhole, segmenter.get());
      EXPECT_EQ(rounded(scores.score), due[std::string(task.name)]) << set << " " << task.name;
      EXPECT_THAT(scores.warnings, testing::IsEmpty());
      ++compared;
    }
    EXPECT_LT(std::clock() - start, 10 * CLOCKS_PER_SEC) << "the promised time for 21 tasks";
  }
  EXPECT_EQ(compared, 42);
}

TEST(Predictions, GiveThePublishedResultsByLength) {
  const std::string folder = kShared + "predictions/longbench_e/llama2-7b-chat-4k-original";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no " << folder;
  const json due = json::parse(std::ifstream(folder + "/result.json"));
  EXPECT_EQ(due.size(), 13U);
  for (const auto& [name, buckets] : due.items()) {
    const auto scores = score_predictions(folder + "/" + name + ".jsonl", *longbench_task(name),
                                          LongBench::kByLength, nullptr);
    for (std::size_t b = 0; b < 3; ++b)
      EXPECT_EQ(rounded(scores.by_length[b].value()), buckets[std::string(kLengthBuckets[b])])
          << name << " " << b;
    EXPECT_THAT(scores.warnings, testing::IsEmpty());
  }
}

TEST(Predictions, InWhatIsNoFileAreRefused) {  // and not left out
  const TempFolder folder;
  folder.write("lcc.jsonl", prediction_line());
  expect_no_file_is_refused(folder / "hotpotqa.jsonl", "E-PR", [&] {
    std::vector<std::string> strangers;
    for (const LongBenchTask* task : predicted_tasks(folder.path(), strangers))
      score_predictions(folder / (std::string(task->name) + ".jsonl"), *task, LongBench::kWhole, nullptr);
  });
}

TEST(Predictions, TakeTheClassesOfTheLastLine) {
  const TempFolder folder;
  const json city{{"pred", "\n\nCity\nCountry"}, {"answers", {"City"}}, {"all_classes", {"City"}}};
  const json last{{"pred", "no"}, {"answers", {"City"}}, {"all_classes", {"City", "Ci"}}};
  const auto path = folder.write("trec.jsonl", prediction_line(city) + prediction_line(last));
  const auto scores = score_predictions(path, *longbench_task("trec"), LongBench::kWhole, nullptr);
  EXPECT_EQ(scores.score,
            50);  // "Ci" is a part of the due class, and what follows the first line does not count
  EXPECT_EQ(scores.records, 2U);
}

TEST(Predictions, FallIntoBuckets) {
  const TempFolder folder;
  std::string lines;
  for (const int length : {3999, 4000, 7999}) lines += prediction_line({{"length", length}});
  lines += prediction_line({{"pred", "no"}, {"length", 0}});
  const auto path = folder.write("hotpotqa.jsonl", lines);
  const auto scores = score_predictions(path, *longbench_task("hotpotqa"), LongBench::kByLength, nullptr);
  EXPECT_EQ(scores.by_length[0], 50);
  EXPECT_EQ(scores.by_length[1], 100);
  EXPECT_EQ(scores.by_length[2], std::nullopt);
}

TEST(Predictions, WarnOfLinesTooManyAndOfIdsTwice) {
  const TempFolder folder;
  std::string lines;
  for (int i = 0; i < 201; ++i) lines += prediction_line({{"_id", i < 199 ? std::to_string(i) : "7"}});
  const auto path = folder.write("hotpotqa.jsonl", lines);
  const auto scores = score_predictions(path, *longbench_task("hotpotqa"), LongBench::kWhole, nullptr);
  EXPECT_THAT(
      scores.warnings,
      testing::ElementsAre(HasSubstr("line 200 has the id \"7\" of line 8, and 1 more"),
                           HasSubstr("201 lines, but hotpotqa has 200 records; a program run twice")));
  EXPECT_EQ(scores.score, 100);
}

TEST(Predictions, TakeAnotherMetric) {
  const TempFolder folder;
  const auto path = folder.write("lcc.jsonl", prediction_line({{"pred", "ab"}, {"answers", {"ba"}}}));
  const auto scores =
      score_predictions(path, *longbench_task("lcc"), LongBench::kWhole, nullptr, "code_sim_levenshtein");
  EXPECT_EQ(scores.metric, "code_sim_levenshtein");
  EXPECT_EQ(scores.score, 50);
}

TEST(Predictions, AreFoundByTask) {
  const TempFolder folder;
  folder.write("trec.jsonl", prediction_line());
  folder.write("hotpotqa.jsonl", prediction_line());
  folder.write("other.jsonl", prediction_line());
  folder.write("result.json", "{}");
  std::vector<std::string> strangers;
  const auto tasks = predicted_tasks(folder.path(), strangers);
  ASSERT_EQ(tasks.size(), 2U);
  EXPECT_EQ(tasks[0]->name, "hotpotqa");
  EXPECT_EQ(tasks[1]->name, "trec");
  EXPECT_THAT(strangers, testing::ElementsAre("other.jsonl"));
  const TempFolder none;
  expect_refusal([&] { predicted_tasks(none.path(), strangers); }, "E-PR-04", "no file of a LongBench task");
  expect_refusal([&] { predicted_tasks(none / "x", strangers); }, "E-PR-03", "no such folder");
}

TEST(Rounded, IsAsPythonRounds) {
  EXPECT_EQ(rounded(2.675), 2.67);  // the double is below the half
  EXPECT_EQ(rounded(0.125), 0.12);
  EXPECT_EQ(rounded(100), 100);
}

}  // namespace
}  // namespace evictbench
