#include "reports/overview.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reports/aggregate.h"

namespace evictbench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Record answered(const std::string& task, const std::string& policy, double budget, int example, double score,
                double kl) {
  Record r;
  r.task = task;
  r.example = task + std::to_string(example);
  r.question = "inside";
  r.first_token = "full";
  r.compute = "f32";
  r.policy = r.policy_name = policy;
  r.budget_unit = policy == "full" ? "full" : "entries";
  r.budget = budget;
  r.point = policy + std::to_string(budget);
  r.prompt_hash = "hash of " + r.example;
  r.scores["f1"] = score;
  r.asked = r.kept = policy == "full" ? 40 : 8;
  r.full_entries = 40;
  r.retained_bytes = 100 * r.kept;
  r.kept_by_layer = {r.kept};
  r.fidelity = Fidelity{3, kl, 1, kl, 1, {1}};
  return r;
}

// Two tasks of a benchmark, of one and of three examples, and a task that belongs to none.
std::vector<Record> some_records() {
  std::vector<Record> records;
  const auto add = [&](const char* task, int example, double full, double good, double bad) {
    records.push_back(answered(task, "full", 0, example, full, 0));
    records.push_back(answered(task, "good", 8, example, good, 0.01 + 0.001 * example));
    records.push_back(answered(task, "bad", 8, example, bad, 1 + 0.1 * example));
  };
  for (int i = 0; i < 3; ++i) add("bench/long", i, 1, 0.5, 0.25 * i);
  for (int i = 0; i < 2; ++i) add("bench/short", i, 0.5, 0.5, 0);
  add("alone", 0, 1, 1, 1);
  records.push_back(answered("bench/long", "good", 16, 0, 1, 0));  // not of every task
  return records;
}

const PointSummary& point_of(const Setting& setting, const std::string& policy) {
  for (const PointSummary& point : setting.points)
    if (point.policy == policy) return point;
  throw std::runtime_error("no point of " + policy);
}

TEST(Overview, EveryTaskCountsTheSame) {
  const Aggregate all = aggregate(some_records(), {});
  ASSERT_EQ(all.overviews.size(), 1u);
  const Overview& bench = all.overviews[0];
  EXPECT_EQ(bench.benchmark, "bench");
  EXPECT_EQ(bench.mean.task, "bench, mean of 2 tasks");
  ASSERT_EQ(bench.mean.points.size(), 3u) << "full, and two policies at 8; not the point that one task lacks";
  const auto score = [&](const std::string& policy) {
    return point_of(bench.mean, policy).scores.at(bench.mean.main_score);
  };
  EXPECT_DOUBLE_EQ(score("full").mean.mean, 0.75);
  EXPECT_DOUBLE_EQ(score("good").mean.mean, 0.5);
  EXPECT_DOUBLE_EQ(score("bad").mean.mean, 0.125) << "not 0.15, the mean over examples";
  EXPECT_DOUBLE_EQ(score("good").gap->mean, -0.25);
  EXPECT_EQ(score("bad").mean.count, 5u);
  EXPECT_DOUBLE_EQ(point_of(bench.mean, "bad").fidelity->kl.mean, (1.1 + 1.05) / 2);
  EXPECT_DOUBLE_EQ(point_of(bench.mean, "bad").kept_share, 0.2);
  EXPECT_EQ(point_of(bench.mean, "bad").answered, 5u);
}

TEST(Overview, ProtocolsAreNotMixed) {
  std::vector<Record> records = some_records(), more = records;
  for (Record& record : more) record.question = "after";
  records.insert(records.end(), more.begin(), more.end());
  const Aggregate all = aggregate(records, {});
  ASSERT_EQ(all.overviews.size(), 2u);
  EXPECT_EQ(all.overviews[0].mean.question, "inside");
  EXPECT_EQ(all.overviews[1].mean.question, "after");
  EXPECT_EQ(all.overviews[1].mean.points.size(), 3u);
}

TEST(Overview, APointThatFailedInATaskHasNoMean) {
  std::vector<Record> records = some_records();
  for (Record& record : records)
    if (record.task == "bench/short" && record.policy == "bad") {
      record.error = "out of memory";
      record.scores.clear();
      record.fidelity.reset();
    }
  const Aggregate all = aggregate(records, {});
  EXPECT_EQ(all.overviews.at(0).mean.points.size(), 2u);
}

TEST(Overview, TablesHaveATaskInEveryColumn) {
  const Aggregate all = aggregate(some_records(), {});
  const Overview& bench = all.overviews.at(0);
  const auto tables = task_tables(all, bench);
  ASSERT_EQ(tables.size(), 1u);
  EXPECT_EQ(tables[0].budget, "8");
  EXPECT_THAT(tables[0].tasks, ElementsAre("long", "short"));
  std::vector<std::string> cells;
  for (std::size_t row = 0; row < 3; ++row)
    for (std::size_t column = 0; column < 3; ++column) {
      const TaskCell cell = cell_of(all, bench, tables[0], row, column);
      cells.push_back(cell.text + (cell.best ? "!" : ""));
    }
  EXPECT_THAT(cells, ElementsAre("100.0", "50.0", "75.0",      // full
                                 "25.0", "0.0", "12.5",        // bad
                                 "50.0!", "50.0!", "50.0!"));  // good
}

TEST(Overview, NothingIsBestWhereAllAreEqual) {
  std::vector<Record> records = some_records();
  for (Record& record : records)
    if (record.task == "bench/short") record.scores["f1"] = 0;
  const Aggregate all = aggregate(records, {});
  const auto tables = task_tables(all, all.overviews.at(0));
  for (std::size_t row = 0; row < 3; ++row)
    EXPECT_FALSE(cell_of(all, all.overviews[0], tables.at(0), row, 1).best);
}

TEST(Overview, IntervalsTellPoliciesApart) {
  std::vector<Record> records;
  for (const char* task : {"bench/a", "bench/b"})
    for (int i = 0; i < 20; ++i) {
      const double noise = i % 2;
      records.push_back(answered(task, "near", 8, i, noise, 0.01 + 0.001 * noise));
      records.push_back(answered(task, "far", 8, i, noise, 1 + 0.1 * noise));
    }
  const Aggregate all = aggregate(records, {});
  const ToldApart told = told_apart(all.overviews.at(0).mean);
  EXPECT_EQ(told.pairs, 1u);
  EXPECT_EQ(told.by_score, 0u);
  EXPECT_EQ(told.by_kl, 1u);
  EXPECT_THAT(told_apart_text(all.overviews[0].mean),
              HasSubstr("fidelity discriminates more than the score"));
  for (Record& record : records) record.fidelity.reset();
  EXPECT_EQ(told_apart_text(aggregate(records, {}).overviews.at(0).mean), "");
}

}  // namespace
}  // namespace evictbench
