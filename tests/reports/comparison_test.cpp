// Paired comparisons against values worked by hand.
#include "reports/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/error.h"

namespace evictbench {
namespace {

using testing::HasSubstr;

Record answered(const std::string& task, const std::string& policy, double budget, int example,
                double score) {
  Record r;
  r.task = task;
  r.example = std::to_string(example);
  r.question = "inside";
  r.first_token = "evicted";
  r.compute = "f32";
  r.policy = policy;
  r.policy_name = policy.substr(0, policy.find('{'));
  r.budget_unit = policy == "full" ? "full" : "entries";
  r.budget = budget;
  r.point = policy + std::to_string(budget);
  r.prompt_hash = "hash of " + r.example;
  r.scores["exact"] = score;
  r.answer_ids = {static_cast<std::int32_t>(100 * score)};
  r.asked = r.kept = 8;
  r.full_entries = 40;
  r.retained_bytes = 800;
  return r;
}

// One point with these scores.
std::vector<Record> scored(const std::vector<double>& scores, const std::string& task = "niah",
                           const std::string& policy = "snapkv{window=32}", double budget = 64) {
  std::vector<Record> out;
  for (std::size_t i = 0; i < scores.size(); ++i)
    out.push_back(answered(task, policy, budget, static_cast<int>(i), scores[i]));
  return out;
}

std::vector<Record> operator+(std::vector<Record> a, const std::vector<Record>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Comparison compared(const std::vector<Record>& base, const std::vector<Record>& now,
                    const ComparisonRules& rules = {}) {
  return compare(aggregate(base, {}), aggregate(now, {}), rules);
}

const ComparedPoint& only(const Comparison& comparison) {
  EXPECT_EQ(comparison.points(), 1U);
  return comparison.settings.at(0).points.at(0);
}

Exit refusal(const std::vector<Record>& base, const std::vector<Record>& now, const ComparisonRules& rules,
             const std::string& text) {
  try {
    compared(base, now, rules);
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(text));
    return error.exit();
  }
  return Exit::kGood;
}

const std::vector<double> kMixed{1, 0, 1, 1, 0.5, 0, 1, 0.25};

TEST(Comparison, OfTheSameIsNothing) {
  const ComparedPoint point = only(compared(scored(kMixed), scored(kMixed)));
  EXPECT_EQ(point.label, "snapkv at 64");
  EXPECT_EQ(point.pairs, kMixed.size());
  EXPECT_EQ(point.same_answers, kMixed.size());
  EXPECT_DOUBLE_EQ(point.base, 4.75 / 8);
  EXPECT_EQ(point.difference.mean, 0);
  EXPECT_EQ(point.p, 1);
  EXPECT_EQ(point.base_bytes, 800);
  EXPECT_FALSE(point.is_regression() || point.higher);
}

TEST(Comparison, ADropBeyondChanceIsARegressionUnlessItIsTolerated) {
  const std::vector<Record> base = scored(std::vector<double>(20, 1));
  std::vector<double> scores(20, 1);
  for (int i = 0; i < 8; ++i) scores[static_cast<std::size_t>(i)] = 0;
  const ComparedPoint point = only(compared(base, scored(scores)));
  EXPECT_DOUBLE_EQ(point.p, 2.0 / 256);  // 8 of 8 fell
  EXPECT_EQ(point.corrected_p, point.p);
  EXPECT_EQ(point.worse, 8U);
  EXPECT_NEAR(point.difference.mean, -.4, 1e-15);
  EXPECT_TRUE(point.lower && point.is_regression());
  EXPECT_FALSE(only(compared(base, scored(scores), {.score_tolerance = 0.5})).lower);
  const ComparedPoint back = only(compared(scored(scores), base));
  EXPECT_TRUE(back.higher);
  EXPECT_FALSE(back.is_regression());

  scores.assign(20, 1);
  for (int i = 0; i < 5; ++i) scores[static_cast<std::size_t>(i)] = 0;
  EXPECT_DOUBLE_EQ(only(compared(base, scored(scores))).p, 2.0 / 32);  // 5 of 5: may be chance
  EXPECT_FALSE(only(compared(base, scored(scores))).lower);
}

TEST(Comparison, ManyPointsAreCorrectedForIfTheyCanDiffer) {
  const std::vector<double> seven{1, 1, 1, 1, 1, 1, 1, 0, 0, 0}, none(10, 0), same(10, 1);
  const std::vector<double> before{1, 1, 1, 0, 0, 0, 1, 1, 1, 1}, after{0, 0, 0, 1, 1, 1, 1, 1, 1, 1};
  std::vector<Record> base = scored(seven, "niah", "snapkv", 1), now = scored(none, "niah", "snapkv", 1);
  for (int budget = 2; budget <= 3; ++budget) {
    base = base + scored(same, "niah", "snapkv", budget);
    now = now + scored(same, "niah", "snapkv", budget);
  }
  EXPECT_DOUBLE_EQ(compared(base, now).settings[0].points[0].corrected_p,
                   2.0 / 128);  // nothing else can differ
  for (int budget = 4; budget <= 7; ++budget) {
    base = base + scored(before, "niah", "snapkv", budget);
    now = now + scored(after, "niah", "snapkv", budget);
  }
  const Comparison all = compared(base, now);
  ASSERT_EQ(all.points(), 7U);
  const ComparedPoint& fallen = all.settings[0].points[0];
  EXPECT_DOUBLE_EQ(fallen.p, 2.0 / 128);
  EXPECT_DOUBLE_EQ(fallen.corrected_p, 10.0 / 128);
  EXPECT_EQ(all.regressions(), 0U);
}

TEST(Comparison, GradedScoresThatFallEverywhereAreSeenAmongAThousandPoints) {
  std::vector<double> high, low;
  for (int i = 0; i < 20; ++i) {
    high.push_back(1 - 0.01 * i);
    low.push_back(0.02 * i);
  }
  std::vector<Record> base, now;
  for (int budget = 1; budget <= 1000; ++budget) {
    base = base + scored(high, "niah", "snapkv", budget);
    now = now + scored(low, "niah", "snapkv", budget);
  }
  EXPECT_EQ(compared(base, now).regressions(), 1000U);
}

TEST(Comparison, OneByteMoreIsARegression) {
  std::vector<Record> now = scored(kMixed);
  ++now[3].retained_bytes;
  EXPECT_EQ(only(compared(scored(kMixed), now)).more_bytes, 1U);
  EXPECT_EQ(compared(scored(kMixed), now).regressions(), 1U);
  EXPECT_EQ(compared(scored(kMixed), now, {.memory_tolerance = 0.01}).regressions(), 0U);
  EXPECT_EQ(compared(scored(kMixed), now, {.memory_tolerance = std::nullopt}).regressions(), 0U);
  now[3].retained_bytes -= 2;
  EXPECT_EQ(compared(scored(kMixed), now).regressions(), 0U);
}

TEST(Comparison, WhatFailsNowIsARegressionAndNoPair) {
  std::vector<Record> now = scored(kMixed);
  now[0].error = "out of memory";
  now[0].scores.clear();
  const ComparedPoint point = only(compared(scored(kMixed), now));
  EXPECT_EQ(point.failed, 1U);
  EXPECT_EQ(point.pairs, kMixed.size() - 1);
  EXPECT_TRUE(point.is_regression());
  EXPECT_EQ(only(compared(now, scored(kMixed))).pairs, kMixed.size() - 1);  // what failed before is no pair
  EXPECT_EQ(compared(now, scored(kMixed)).regressions(), 0U);
}

TEST(Comparison, RefusesWhatIsNotComparable) {
  const std::vector<Record> base = scored(kMixed);
  std::vector<Record> now = base;
  now.pop_back();
  EXPECT_EQ(refusal(base, now, {}, "1 answers without a partner, niah 7 of snapkv at 64 the first"),
            Exit::kNotComparable);
  EXPECT_EQ(only(compared(base, now, {.partial = true})).pairs, kMixed.size() - 1);
  EXPECT_EQ(only(compared(now, base)).pairs, kMixed.size() - 1);  // more answers do no harm
  now = base;
  now[2].prompt_hash = "another";
  EXPECT_EQ(refusal(base, now, {.partial = true}, "1 examples whose prompts differ"), Exit::kNotComparable);
  EXPECT_EQ(refusal(base, scored(kMixed, "other"), {.partial = true}, "nothing that both have"),
            Exit::kNotComparable);
  now = base;
  now[1].compute = "bf16dot";
  EXPECT_EQ(refusal(base, now, {}, "more than one compute mode"), Exit::kNotComparable);
  now = base;
  now[1].scores = {{"f1", 1}};
  EXPECT_EQ(refusal(base, now, {}, "no score 'exact'"), Exit::kNotComparable);
}

TEST(Comparison, OnePolicyTakesThePlaceOfAnother) {
  const std::vector<Record> snapkv = scored({1, 0, 1}), adakv = scored({1, 1, 0}, "niah", "adakv{alpha=0.2}");
  const std::vector<Record> both = snapkv + adakv;
  const ComparedPoint point = only(compared(both, both, {.instead = {{"snapkv", "adakv"}}}));
  EXPECT_EQ(point.label, "snapkv -> adakv at 64");
  EXPECT_EQ(point.better, 1U);
  EXPECT_EQ(point.worse, 1U);
  EXPECT_EQ(refusal(both, both, {.instead = {{"snapkv", "h2o"}}}, "\"h2o\", which the results do not have"),
            Exit::kUsage);
  EXPECT_EQ(refusal(both, both, {.instead = {{"snapkv", "adakv"}, {"snapkv", "snapkv"}}}, "\"snapkv\" twice"),
            Exit::kUsage);
  const std::vector<Record> narrow = scored({1, 0, 1}, "niah", "snapkv{window=16}");
  EXPECT_EQ(only(compared(snapkv, narrow, {.instead = {{"snapkv", "snapkv"}}})).label,
            "snapkv{window=32} -> snapkv{window=16} at 64");
  const std::vector<Record> twice = both + scored({1, 1, 1}, "niah", "snapkv{window=16}");
  EXPECT_EQ(refusal(twice, both, {.instead = {{"snapkv", "adakv"}}}, "\"snapkv\", which is 2 policies"),
            Exit::kUsage);
  EXPECT_EQ(only(compared(twice, both, {.instead = {{"snapkv{window=16}", "adakv"}}})).worse, 1U);
}

TEST(Comparison, ABenchmarkHasTheMeanOfItsTasks) {
  const auto records = [](std::vector<double> a, std::vector<double> b) {
    return scored(a, "longbench/a") + scored(b, "longbench/b") + scored({1}, "longbench/b", "adakv");
  };
  const Comparison all =
      compared(records({1, 1, 1, 1}, {0, 1}), records({1, 1, 0, 1}, {1, 1}));  // -1/4 and +1/2
  ASSERT_EQ(all.settings.size(), 3U);
  EXPECT_EQ(all.settings[2].task, "longbench (mean of 2 tasks)");
  ASSERT_EQ(all.settings[2].points.size(), 1U);  // adakv has no answer to a
  const ComparedPoint& mean = all.settings[2].points[0];
  EXPECT_DOUBLE_EQ(mean.base, 0.75);
  EXPECT_DOUBLE_EQ(mean.now, 0.875);
  EXPECT_DOUBLE_EQ(mean.difference.mean, 0.125);
  EXPECT_EQ(mean.pairs, 6U);
  EXPECT_DOUBLE_EQ(mean.p, 1);  // +1/4 and -1/8: no choice of signs gives a sum that is nearer to 0
}

TEST(Comparison, IsToldAsTableJsonAndJUnit) {
  const std::vector<Record> base = scored(std::vector<double>(20, 1), "a<b"),
                            now = scored(std::vector<double>(20, 0), "a<b");
  Comparison comparison = compared(base, now);
  comparison.base_peak = 1024;
  comparison.more_peak = true;
  EXPECT_THAT(comparison_table(comparison), HasSubstr("memory: 1.00 KiB -> not known  WORSE"));
  EXPECT_THAT(comparison_table(comparison), HasSubstr("WORSE: lower"));
  const auto json = nlohmann::json::parse(comparison_json(comparison));
  EXPECT_EQ(json["points"], 1);
  EXPECT_EQ(json["regressions"], 1);
  EXPECT_EQ(json["more_peak"], true);
  EXPECT_EQ(json["now_peak"], nullptr);
  EXPECT_EQ(json["settings"][0]["points"][0]["policy_now"], "snapkv{window=32}");
  EXPECT_EQ(json["settings"][0]["points"][0]["difference"], -1);
  EXPECT_EQ(json["settings"][0]["points"][0]["regression"], true);
  const std::string junit = comparison_junit(comparison);
  EXPECT_THAT(junit, HasSubstr("tests=\"2\" failures=\"2\""));
  EXPECT_THAT(junit, HasSubstr("classname=\"a&lt;b, question inside"));
  EXPECT_THAT(junit, HasSubstr("<failure message=\"lower\">"));
}

}  // namespace
}  // namespace evictbench
