// The masking ablation, held to a model whose copying heads are known (tests/models/copying).
#include "harness/ablation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "harness/evaluate.h"
#include "models/decoder.h"
#include "policies/registry.h"
#include "tests/support/copying_model.h"
#include "tests/support/fixtures.h"
#include "tests/support/random_decoder.h"
#include "tests/support/refusal.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

class Ablating : public testing::Test {
 protected:
  // Mean of `exact` under each mask.
  std::vector<double> accuracy(std::span<const Ablation::Mask> masks) const {
    std::vector<double> out(masks.size());
    const PlanTask& task = run_.plan.tasks[0];
    for (const Example& example : task.examples) {
      const auto answered = answer_masked(host(), *model_, run_, task, example, masks);
      for (std::size_t m = 0; m < masks.size(); ++m) out[m] += answered.scores[m].at("exact");
    }
    for (double& right : out) right /= static_cast<double>(task.examples.size());
    return out;
  }

  TempFolder folder_;
  Prepared run_{load_tasks(folder_.write("needles.yaml", copying::needles()), {}, copying::model())};
  std::unique_ptr<const Model> model_ = run_.checkpoint.load(host());
};

// Best first: the copying heads, then the rest as they come.
HeadRanking known_ranking(const std::string& kind) {
  std::vector<int> heads = copying::kHeads;
  for (int head = 0; head < copying::kAllHeads; ++head)
    if (std::ranges::find(copying::kHeads, head) == copying::kHeads.end()) heads.push_back(head);
  return {kind, heads};
}

TEST_F(Ablating, TheModelAnswersEveryNeedle) {
  const Ablation::Mask none{"none", 0, 0, {}};
  EXPECT_EQ(accuracy(std::span(&none, 1)), std::vector<double>{1});
}

TEST_F(Ablating, TheCopyingHeadsAndOnlyTheyAreNeeded) {
  std::vector<Ablation::Mask> masks{{"copying", 3, 0, copying::kHeads}, {"all others", 13, 0, {}}};
  for (int head = 0; head < copying::kAllHeads; ++head)
    if (std::ranges::find(copying::kHeads, head) == copying::kHeads.end()) masks[1].heads.push_back(head);
  for (const int spared : copying::kHeads) {  // each of the three suffices
    masks.push_back({"two", 2, 0, {}});
    for (const int head : copying::kHeads)
      if (head != spared) masks.back().heads.push_back(head);
  }
  EXPECT_EQ(accuracy(masks), (std::vector<double>{0, 1, 1, 1, 1}));
}

TEST_F(Ablating, TopHeadsBreakRetrievalAndRandomOnesDoNot) {
  const HeadRanking ranking = known_ranking("copy");
  const auto masks = make_masks(std::span(&ranking, 1), {.counts = {1, 2, 3, 4}, .draws = 10, .seed = 1});
  const auto means = accuracy(masks);
  for (std::size_t m = 0; m < masks.size(); ++m)
    EXPECT_EQ(means[m], masks[m].kind == "copy" && masks[m].count >= 3 ? 0 : 1)
        << masks[m].kind << " " << masks[m].count << " draw " << masks[m].draw;
}

// A random decoder of 3 layers of 4 heads, against a tap that masks every row of a single point by itself.
class MaskedHeads : public testing::Test {
 protected:
  MaskedHeads() {
    for (int i = 0; i < 60; ++i) prompt_.push_back((i * 7 + i * i) % 262);
    for (const auto& heads : masks_)
      points_.push_back({.name = "", .policy = make_policy("full"), .unit = "full", .masked_heads = heads});
  }

  std::vector<Answer> together(Device& device, const Tokens& end_tokens = {}) const {
    return evaluate(device, model_, {prompt_, {}}, points_, {}, {.max_new = 12, .end_tokens = end_tokens});
  }

  // What the tap does at each step: heads `masked` look at nothing in particular. Counts the rows that are uniform.
  static AttentionTap tap(const std::set<int>& masked, int& uniform) {
    return {.row =
                [&masked, &uniform](const AttentionRow& row) {
                  const auto [least, most] = std::ranges::minmax(row.probabilities);
                  uniform += masked.contains(row.layer * 4 + row.head) && most - least < 1e-6f;
                },
            .queries =
                [&masked](int layer, Tensor& queries) {
                  for (int n = 0; n < queries.dim(0); ++n)
                    for (int h = 0; h < 4; ++h)
                      if (masked.contains(layer * 4 + h))
                        std::fill_n(queries.row<float>(std::ptrdiff_t{n} * 4 + h), queries.dim(2), 0.0f);
                }};
  }

  Tokens alone(const std::vector<int>& heads) const {
    const std::set<int> masked(heads.begin(), heads.end());
    int uniform = 0;
    const AttentionTap watched = tap(masked, uniform);
    PassOptions options;
    options.tap = &watched;
    const auto snapshot = model_.prefill(host(), std::span(prompt_).first(59), {});
    const Kept everything{Selection::everything(3, 2, 59), {}, {}};
    RaggedCache cache(snapshot, std::span(&everything, 1), 59, 13);
    Tokens answer, fed{prompt_.back()};
    while (answer.size() < 12) {
      const Tensor logits = model_.extend(host(), cache, std::span(&fed, 1), options);
      answer.push_back(host().ops().best(host(), logits)[0]);
      fed = {answer.back()};
    }
    EXPECT_EQ(uniform, 12 * std::ssize(heads));
    return answer;
  }

  const RandomShape shape_{.layers = 3, .q_heads = 4, .kv_heads = 2, .tied = false};
  const Decoder model_{host(), config_of(shape_), usual_names(config_of(shape_)), RandomWeights(shape_, 11)};
  const std::vector<std::vector<int>> masks_{{}, {1, 6, 7}, {0, 1, 2, 3}, {11}};
  Tokens prompt_;
  std::vector<Point> points_;
};

TEST_F(MaskedHeads, AreMaskedFromTheLastPromptTokenOnAndInTheirOwnPointAlone) {
  CpuDevice threads(3);
  const auto answers = together(host()), threaded = together(threads);
  std::set<Tokens> distinct;
  for (std::size_t m = 0; m < masks_.size(); ++m) {
    const Tokens answer = alone(masks_[m]);
    EXPECT_EQ(answers[m].tokens, answer) << "mask " << m;
    EXPECT_EQ(threaded[m].tokens, answer) << "mask " << m;
    distinct.insert(answer);
  }
  EXPECT_EQ(distinct.size(), masks_.size()) << "every mask matters";
}

// The rows of a batch move up where a point has ended.
TEST_F(MaskedHeads, StayTheirPointsOwnWhenOthersEnd) {
  const auto answers = together(host());
  const std::int32_t end = answers[0].tokens[3];  // which no other answer holds
  const auto ended = together(host(), {end});
  EXPECT_EQ(ended[0].tokens.size(), 3u);
  for (std::size_t m = 1; m < masks_.size(); ++m) {
    EXPECT_EQ(std::ranges::count(answers[m].tokens, end), 0);
    EXPECT_EQ(ended[m].tokens, answers[m].tokens) << "mask " << m;
  }
}

// --- which heads are masked

TEST(Masks, AreTheBestOfEachKindAndRandomOthers) {
  const std::vector<HeadRanking> rankings{{"a", {3, 1, 0, 2, 4, 5, 6, 7, 8, 9}},
                                          {"b", {3, 5, 0, 1, 2, 4, 6, 7, 8, 9}}};
  const auto masks = make_masks(rankings, {.counts = {1, 2}, .draws = 12, .seed = 7});
  ASSERT_EQ(masks.size(), 1 + 2 * 2 + 12 * 2u);
  EXPECT_TRUE(masks[0].heads.empty());
  EXPECT_EQ(masks[1].heads, std::vector<int>{3});
  EXPECT_EQ(masks[2].heads, (std::vector<int>{3, 1}));
  EXPECT_EQ(masks[4].heads, (std::vector<int>{3, 5}));
  std::set<std::vector<int>> draws;
  for (std::size_t m = 5; m < masks.size(); m += 2) {
    const std::vector<int>&one = masks[m].heads, &two = masks[m + 1].heads;
    ASSERT_EQ(one.size(), 1u);
    ASSERT_EQ(two.size(), 2u);
    EXPECT_EQ(one[0], two[0]) << "a draw is one order";
    EXPECT_NE(two[0], two[1]);
    for (const int head : two) EXPECT_FALSE((std::set<int>{1, 3, 5}).contains(head)) << head;
    draws.insert(two);
  }
  EXPECT_GT(draws.size(), 6u) << "draws differ";
  const auto again = make_masks(rankings, {.counts = {1, 2}, .draws = 12, .seed = 7});
  for (std::size_t m = 0; m < masks.size(); ++m) EXPECT_EQ(masks[m].heads, again[m].heads);
  const auto other = make_masks(rankings, {.counts = {1, 2}, .draws = 12, .seed = 8});
  EXPECT_FALSE(std::ranges::equal(masks, other, {}, &Ablation::Mask::heads, &Ablation::Mask::heads));
}

// Every head is as likely to be drawn as another.
TEST(Masks, ADrawIsFair) {
  std::vector<int> order(20);
  std::iota(order.begin(), order.end(), 0);
  const HeadRanking ranking{"a", order};
  std::vector<int> drawn(20);
  for (const auto& mask : make_masks(std::span(&ranking, 1), {.counts = {4}, .draws = 4000, .seed = 3}))
    if (mask.kind == "random")
      for (const int head : mask.heads) ++drawn[static_cast<std::size_t>(head)];
  for (int head = 0; head < 20; ++head)
    EXPECT_NEAR(drawn[static_cast<std::size_t>(head)], head < 4 ? 0 : 1000, 110) << head;  // 4 sigma
}

TEST(Masks, LeaveEnoughHeadsToDrawFrom) {
  const std::vector<HeadRanking> rankings{{"a", {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
                                          {"b", {9, 8, 7, 6, 5, 4, 3, 2, 1, 0}}};
  EXPECT_EQ(usual_counts(rankings), (std::vector<int>{1, 2}));  // 3 of each leave 4; 4 leave 2
  EXPECT_EQ(make_masks(rankings, {.counts = {3}, .draws = 1}).size(), 4u);
  expect_refusal(
      [&] {
        make_masks(rankings, {.counts = {1, 4}, .draws = 10});
      },
      "E-AB-01", "at most 3 of this model's 10 heads", Exit::kUsage);
}

}  // namespace
}  // namespace evictbench
