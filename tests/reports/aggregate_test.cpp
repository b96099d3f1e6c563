#include "reports/aggregate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "core/error.h"
#include "reports/pivot.h"
#include "reports/sufficient.h"

namespace evictbench {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

Record answered(const std::string& policy, double budget, const std::string& example, double score) {
  Record r;
  r.task = "niah";
  r.example = example;
  r.question = "inside";
  r.first_token = "evicted";
  r.compute = "f32";
  r.policy = r.policy_name = policy;
  r.budget_unit = policy == "full" ? "full" : "entries";
  r.budget = budget;
  r.point = policy + std::to_string(budget);
  r.prompt_hash = "hash of " + example;
  r.scores["f1"] = score;
  r.answer_ids = {static_cast<std::int32_t>(100 * score)};
  r.asked = 10;
  r.kept = 8;
  r.full_entries = 40;
  r.retained_bytes = 800;
  r.kept_by_layer = {6, 2};
  return r;
}

Record failed(Record r) {
  r.scores.clear();
  r.answer_ids.clear();
  r.error = "out of memory";
  r.asked = r.kept = r.retained_bytes = 0;
  r.kept_by_layer.clear();
  return r;
}

TEST(Sufficient, TheSmallestBudgetFromWhichOnAllSuffice) {
  std::vector<Record> records;
  const auto run = [&](const std::string& policy, double budget, std::vector<double> scores) {
    for (std::size_t i = 0; i < scores.size(); ++i) {
      records.push_back(answered(policy, budget, std::string(1, static_cast<char>('a' + i)), scores[i]));
      records.back().kept = static_cast<std::int64_t>(budget);
    }
  };
  run("full", 0, {1, 0.5});
  run("dips", 1, {1, 0.5});
  run("dips", 2, {0.9, 0.5});  // 93 %: that a smaller budget did better is luck
  run("dips", 10, {1, 0.46});  // 97.3 %
  run("fails", 10, {1, 0.45});
  run("good", 1, {0, 0});
  run("good", 2, {1, 0.5});
  run("good", 10, {1, 1});
  records.push_back(answered("good", 2, "only here", 0));
  const Aggregate all = aggregate(records, {});
  const auto found = sufficient_budgets(all.settings[0]);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].policy, "dips");
  ASSERT_NE(found[0].point, nullptr);
  EXPECT_EQ(found[0].point->budget, 10);
  EXPECT_EQ(found[1].point, nullptr);
  EXPECT_EQ(found[1].largest->budget, 10);
  ASSERT_NE(found[2].point, nullptr);
  EXPECT_EQ(found[2].point->budget, 2);
}

TEST(Sufficient, NothingIsSaidWithoutAFullCacheThatScores) {
  EXPECT_TRUE(sufficient_budgets(aggregate({{answered("snapkv", 4, "a", 1)}}, {}).settings[0]).empty());
  const std::vector<Record> zero{answered("full", 0, "a", 0), answered("snapkv", 4, "a", 0)};
  EXPECT_TRUE(sufficient_budgets(aggregate(zero, {}).settings[0]).empty());
}

TEST(Aggregate, MeansMatchTheHand) {
  std::vector<Record> records = {answered("full", 0, "a", 1.0),    answered("full", 0, "b", 0.5),
                                 answered("full", 0, "c", 1.0),    answered("snapkv", 64, "a", 0.5),
                                 answered("snapkv", 64, "b", 0.5), failed(answered("snapkv", 64, "c", 0))};
  records[3].kept = 20;
  records[3].kept_by_layer = {10, 10};
  records[4].full_entries = 80;
  const Aggregate all = aggregate(records, {});
  ASSERT_EQ(all.settings.size(), 1u);
  ASSERT_EQ(all.settings[0].points.size(), 2u);
  EXPECT_EQ(all.settings[0].main_score, "f1");
  const PointSummary& full = all.settings[0].points[0];
  EXPECT_TRUE(full.is_full());
  EXPECT_DOUBLE_EQ(full.scores.at("f1").mean.mean, 2.5 / 3);
  const PointSummary& point = all.settings[0].points[1];
  EXPECT_EQ(point.answered, 2u);
  EXPECT_EQ(point.failed, 1u);
  EXPECT_EQ(point.scores.at("f1").mean.count, 2u);
  EXPECT_DOUBLE_EQ(point.scores.at("f1").mean.mean, 0.5);
  EXPECT_DOUBLE_EQ(point.scores.at("f1").gap->mean, -0.25);  // (0.5 - 1 + 0.5 - 0.5) / 2
  EXPECT_EQ(point.scores.at("f1").gap->count, 2u);
  EXPECT_EQ(point.same_answers, 1u);
  EXPECT_DOUBLE_EQ(point.asked, 10);
  EXPECT_DOUBLE_EQ(point.kept, 14);          // (20 + 8) / 2
  EXPECT_DOUBLE_EQ(point.kept_share, 0.3);   // (20 / 40 + 8 / 80) / 2
  EXPECT_DOUBLE_EQ(point.full_entries, 60);  // (40 + 80) / 2
  EXPECT_DOUBLE_EQ(point.retained_bytes, 800);
  EXPECT_DOUBLE_EQ(point.layer_share[0], 0.325);  // (10 / 20 + 6 / 40) / 2
  EXPECT_DOUBLE_EQ(point.layer_share[1], 0.275);  // (10 / 20 + 2 / 40) / 2
  EXPECT_EQ(point.overspent, 1u);
  EXPECT_THAT(all.notes, Contains(HasSubstr("examples failed: snapkv at 64 (1 of 3)")));
  EXPECT_THAT(all.notes, Contains(HasSubstr("more was kept than was asked: snapkv at 64 (1 of 3)")));
}

TEST(Aggregate, ACacheForEveryQueryHeadMayBeLargerThanTheFullOne) {  // and yet a part of each was evicted
  std::vector<Record> records = {answered("full", 0, "a", 1.0), answered("snapkv", 64, "a", 0.5)};
  const auto unevicted = [&](std::int64_t kept) {
    records[1].kept = kept;
    return aggregate(records, {}).settings[0].points[1].unevicted;
  };
  EXPECT_EQ(unevicted(records[1].full_entries), 1u);
  EXPECT_EQ(unevicted(records[1].full_entries - 1), 0u);
  EXPECT_EQ(unevicted(records[1].full_entries + 1), 0u);
}

TEST(Aggregate, FidelityIsTheMeanOfTheExamplesThatHaveIt) {
  std::vector<Record> records{answered("full", 0, "a", 1), answered("snapkv", 8, "a", 1),
                              answered("snapkv", 8, "b", 0), answered("snapkv", 8, "c", 0)};
  EXPECT_FALSE(aggregate(records, {}).settings[0].points[1].fidelity);
  records[1].fidelity = Fidelity{4, 0.5, 1, 0.25, 0.5, {0.25, 0.75}};
  records[2].fidelity = Fidelity{2, 1.5, 0, -0.75, 1, {1, 1}};
  const Aggregate all = aggregate(records, {});
  EXPECT_FALSE(all.settings[0].points[0].fidelity);
  const FidelitySummary& fidelity = all.settings[0].points[1].fidelity.value();
  EXPECT_EQ(fidelity.tokens, 6u);
  EXPECT_EQ(fidelity.kl.count, 2u);
  EXPECT_EQ(fidelity.kl.mean, 1);
  EXPECT_EQ(fidelity.kl.interval->low, 0.5);
  EXPECT_EQ(fidelity.kl.interval->high, 1.5);
  EXPECT_EQ(fidelity.agreement.mean, 0.5);
  EXPECT_EQ(fidelity.delta_nll.mean, -0.25);
  EXPECT_EQ(fidelity.mass.mean, 0.75);
  EXPECT_EQ(fidelity.layer_mass, (std::vector{0.625, 0.875}));
}

TEST(Aggregate, PairsOnlyEqualPrompts) {
  std::vector<Record> records = {answered("full", 0, "a", 1.0), answered("full", 0, "b", 0.0),
                                 answered("snapkv", 64, "a", 0.25), answered("snapkv", 64, "b", 1.0)};
  records[3].prompt_hash = "another prompt";
  const Aggregate all = aggregate(records, {});
  const PointSummary& point = all.settings[0].points[1];
  EXPECT_EQ(point.unpaired, 1u);
  EXPECT_EQ(point.scores.at("f1").gap->count, 1u);
  EXPECT_DOUBLE_EQ(point.scores.at("f1").gap->mean, -0.75);
  EXPECT_FALSE(point.scores.at("f1").gap->interval);
}

TEST(Aggregate, SettingsNeverMix) {
  std::vector<Record> records;
  for (int i = 0; i < 5; ++i) records.push_back(answered("snapkv", 64, "a", 0.1 * i));
  records[1].task = "qa";
  records[2].question = "after";
  records[3].first_token = "full";
  records[4].compute = "bf16";
  const Aggregate all = aggregate(records, {});
  EXPECT_EQ(all.settings.size(), 5u);
  for (const Setting& setting : all.settings) EXPECT_EQ(setting.points[0].answered, 1u);
}

TEST(Aggregate, PointsThatDifferOnlyInTheirHashStayApart) {
  std::vector<Record> records = {answered("headkv", 64, "a", 0), answered("headkv", 64, "a", 1)};
  records[1].point = "other head scores";
  const Aggregate all = aggregate(records, {});
  ASSERT_EQ(all.settings[0].points.size(), 2u);
  EXPECT_EQ(pivot_of(all, all.settings[0]).rows.size(), 2u);
}

TEST(Aggregate, AnExampleTwiceIsRefused) {
  std::vector<Record> records = {answered("snapkv", 64, "a", 0), answered("snapkv", 64, "b", 0),
                                 answered("snapkv", 64, "a", 1)};
  EXPECT_THROW(aggregate(records, {}), Error);
}

TEST(Aggregate, AFailedPointIsAHoleAndNotZero) {
  const std::vector<Record> records = {answered("full", 0, "a", 1), failed(answered("snapkv", 64, "a", 0))};
  const Aggregate all = aggregate(records, {});
  const PointSummary& point = all.settings[0].points[1];
  EXPECT_TRUE(point.scores.empty());
  EXPECT_TRUE(point.layer_share.empty());
  EXPECT_FALSE(main_score(all.settings[0], point));
  EXPECT_EQ(rank_in_column(all.settings[0], pivot_of(all, all.settings[0]), 0, 0), 0);
}

TEST(Aggregate, BudgetsAreInOrderOfTheNumberAndFullComesFirst) {
  std::vector<Record> records;
  for (const double budget : {1024, 64, 256}) records.push_back(answered("adakv", budget, "a", 1));
  records.push_back(answered("full", 0, "a", 1));
  std::vector<double> budgets;
  const Aggregate all = aggregate(records, {});
  for (const PointSummary& point : all.settings[0].points) budgets.push_back(point.budget);
  EXPECT_THAT(budgets, ElementsAre(0, 64, 256, 1024));
}

TEST(Aggregate, LabelsTellPoliciesOfOneNameApart) {
  std::vector<Record> records;
  for (const char* policy : {"snapkv{kernel=7,window=16}", "snapkv{kernel=7,window=32}",
                             "adakv{base=snapkv{kernel=7,window=32}}"}) {
    records.push_back(answered(policy, 64, "a", 1));
    records.back().policy_name = records.back().policy.substr(0, records.back().policy.find('{'));
  }
  const Aggregate all = aggregate(records, {});
  EXPECT_EQ(all.labels.at("snapkv{kernel=7,window=16}"), "snapkv window=16*");
  EXPECT_EQ(all.labels.at("snapkv{kernel=7,window=32}"), "snapkv window=32*");
  EXPECT_EQ(all.labels.at("adakv{base=snapkv{kernel=7,window=32}}"), "adakv");
}

TEST(Aggregate, OptionsThatWereComparedAreNamed) {
  const auto with = [](const std::vector<std::string>& policies) {
    std::vector<Record> records;
    for (const std::string& policy : policies) {
      records.push_back(answered(policy, 64, "a", 1));
      records.back().policy_name = policy.substr(0, policy.find('{'));
    }
    return records;
  };
  const auto grid = with({"headkv{beta=1.005,window=8}", "headkv{beta=1.1,window=8}", "cake{window=32}",
                          "adakv{alpha=0.2,base=snapkv}", "adakv{alpha=0.2,base=pyramidkv,beta=20}"});
  const Aggregate all = aggregate(grid, {});
  EXPECT_EQ(all.compared.size(), 4u);
  EXPECT_THAT(all.compared.at("headkv{beta=1.1,window=8}"), ElementsAre("beta"));
  EXPECT_THAT(all.compared.at("adakv{alpha=0.2,base=pyramidkv,beta=20}"), ElementsAre("base"));
  EXPECT_EQ(all.labels.at("headkv{beta=1.1,window=8}"), "headkv beta=1.1*");
  EXPECT_EQ(all.labels.at("cake{window=32}"), "cake");
  EXPECT_THAT(all.notes,
              testing::Contains(testing::HasSubstr(
                  "* options compared on the scored data: adakv (base), headkv (beta). The best")));

  const auto one_each = with(
      {"headkv{beta=1.1,window=8}", "cake{window=32}", "snapkv@compresskv{window=8}", "snapkv{window=32}"});
  const Aggregate plain = aggregate(one_each, {});
  EXPECT_TRUE(plain.compared.empty()) << "a published variant is another policy";
  EXPECT_THAT(plain.notes, testing::Each(testing::Not(testing::HasSubstr("compared"))));
}

TEST(Aggregate, LeaksAreMarkedWhereTheyAre) {
  std::vector<Record> records;
  for (const std::string policy : {"compresskv", "snapkv", "full"})
    for (const std::string task : {"niah", "qa"})
      for (const std::string example : {"a", "b"}) {
        records.push_back(answered(policy, 64, example, 1));
        records.back().task = task;
      }
  const std::vector<Leak> leaks{{"compresskv", "qa", 1}};
  const Aggregate all = aggregate(records, {}, leaks);
  EXPECT_EQ(all.labels.at("compresskv"), "compresskv (leak)");
  EXPECT_EQ(all.labels.at("snapkv"), "snapkv");
  for (const Setting& setting : all.settings)
    for (const PointSummary& point : setting.points)
      EXPECT_EQ(point.leaked, point.policy == "compresskv" && setting.task == "qa" ? 1u : 0u);
  EXPECT_THAT(all.notes,
              testing::Contains("qa: leakage, a score file was measured on examples that are scored here: "
                                "compresskv (leak) at 64 (1 of 2)."));
  EXPECT_THAT(aggregate(records, {}).notes, testing::Each(testing::Not(testing::HasSubstr("leak"))));
}

TEST(Aggregate, CellsSplitByLengthAndDepth) {
  std::vector<Record> records;
  for (int i = 0; i < 6; ++i) {
    records.push_back(answered("snapkv", 64, std::to_string(i), i < 3 ? 1 : 0.5));
    records.back().length = i % 2 == 0 ? 512 : 1024;
    records.back().depth = i < 3 ? 0 : 50;
  }
  const Aggregate all = aggregate(records, {});
  const auto& cells = all.settings[0].points[0].cells;
  ASSERT_EQ(cells.size(), 4u);
  EXPECT_EQ(cells[0].length, 512);
  EXPECT_EQ(cells[0].depth, 0);
  EXPECT_EQ(cells[0].answered, 2u);  // examples 0 and 2
  EXPECT_EQ(cells[1].answered, 1u);  // example 4
  EXPECT_DOUBLE_EQ(cells[1].scores.at("f1"), 0.5);
}

TEST(Statistics, WilsonMatchesPublishedFigures) {
  std::vector<double> scores(10, 1.0);
  EXPECT_NEAR(estimate_score(scores, 1).interval->low, 0.7225, 5e-5);
  EXPECT_EQ(estimate_score(scores, 1).interval->high, 1);
  scores[0] = scores[1] = 0;
  EXPECT_NEAR(estimate_score(scores, 1).interval->low, 0.4902, 5e-5);
  EXPECT_NEAR(estimate_score(scores, 1).interval->high, 0.9433, 5e-5);
  EXPECT_EQ(estimate_score(scores, 1).method, "wilson");
}

TEST(Statistics, BootstrapAgreesWithNormalTheoryOnManyValues) {
  std::mt19937 random(7);
  std::vector<double> values(400);
  double sum = 0, squares = 0;
  for (double& value : values) {
    value = static_cast<double>(random() % 1000) / 1000;
    sum += value;
    squares += value * value;
  }
  const double mean = sum / 400, half = 1.96 * std::sqrt((squares / 400 - mean * mean) / 400);
  for (std::uint64_t key = 0; key < 20; ++key) {
    const Estimate estimate = estimate_score(values, key);
    EXPECT_EQ(estimate.method, "bootstrap");
    EXPECT_NEAR(estimate.interval->low, mean - half, 0.15 * half);
    EXPECT_NEAR(estimate.interval->high, mean + half, 0.15 * half);
  }
}

TEST(Statistics, FewValuesHaveNoInterval) {
  EXPECT_EQ(estimate_score({}, 1).count, 0u);
  const std::vector<double> one = {0.5};
  EXPECT_EQ(estimate_score(one, 1).mean, 0.5);
  EXPECT_FALSE(estimate_score(one, 1).interval);
}

TEST(Statistics, KeysOfNamesDoNotRunTogether) { EXPECT_NE(key_of({"ab", "c"}), key_of({"a", "bc"})); }

}  // namespace
}  // namespace evictbench
