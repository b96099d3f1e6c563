// Small cases worked by hand: specs/policies_core.md, sections 5.4, 7.2 and 16.
#include <gtest/gtest.h>

#include <numeric>

#include "policies/registry.h"
#include "policies/stages.h"
#include "tests/support/fixtures.h"
#include "tests/support/stub_policies.h"
#include "tests/support/toy_prompt.h"

namespace evictbench {
namespace {

Lanes toy_kept(const std::string& spec, Budget budget) {
  return kept(*make_policy(spec), Observation(parts_of(kToy, kWindow, toy_sums())), budget);
}

TEST(Golden, Full) {
  const std::vector<int> all{0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(toy_kept("full", {1}), (Lanes{all, all}));
}

TEST(Golden, StreamingLlm) {
  EXPECT_EQ(toy_kept("streaming_llm", {5}), (Lanes{{0, 1, 2, 3, 7}, {0, 1, 2, 3, 7}}));
  EXPECT_EQ(toy_kept("streaming_llm", {5, kPublished}), (Lanes{{0, 1, 2, 3, 7}, {0, 1, 2, 3, 7}}));
  EXPECT_EQ(toy_kept("streaming_llm{sinks=0}", {3}), (Lanes{{5, 6, 7}, {5, 6, 7}}));
  EXPECT_EQ(toy_kept("streaming_llm", {2.5}),
            (Lanes{{0, 1, 2}, {0, 1}}));  // sinks first, the spare to the lower lane
}

TEST(Golden, SnapKv) {
  for (const Budget budget : {Budget{5}, Budget{5, kPublished}}) {
    EXPECT_EQ(toy_kept("snapkv{window=2,kernel=3,pool=mean}", budget),
              (Lanes{{0, 1, 2, 6, 7}, {2, 3, 4, 6, 7}}));
    EXPECT_EQ(toy_kept("snapkv{window=2,kernel=3}", budget), (Lanes{{0, 1, 2, 6, 7}, {2, 3, 4, 6, 7}}));
  }
  EXPECT_EQ(toy_kept("snapkv{window=2,kernel=3}", {1}),
            (Lanes{{7}, {7}}));  // the window shrinks to its newest
  EXPECT_EQ(toy_kept("snapkv{window=2,kernel=1}", {4}), (Lanes{{0, 1, 6, 7}, {2, 3, 6, 7}}));
}

TEST(
    Golden,
    SnapKvReducesTheGroupBeforeItPools) {  // means 4 at 2 and 4; pooled first, 3 would have 8 from both heads
  const std::vector<float> peaks{0, 0, 8, 0, 0, 0, 0, 0,  //
                                 0, 0, 0, 0, 8, 0, 0, 0};
  const Observation seen(parts_of({1, 2, 1, 4, 8}, kWindow, peaks));
  EXPECT_EQ(kept(*make_policy("snapkv{window=2,kernel=3}"), seen, {3}), (Lanes{{1, 6, 7}}));
}

TEST(Golden, SnapKvWithACachePerQueryHead) {
  const Observation seen(parts_of(kToy, kWindow, toy_sums()));
  EXPECT_EQ(kept(stubs::SnapKvQueryHeads(Pool::kMax), seen, {5, kPublished}),
            (Lanes{{0, 1, 3, 6, 7}, {0, 1, 2, 6, 7}, {2, 3, 4, 6, 7}, {1, 2, 3, 6, 7}}));
  EXPECT_EQ(kept(stubs::SnapKvQueryHeads(Pool::kMean), seen, {5, kPublished}),
            (Lanes{{0, 1, 4, 6, 7}, {0, 1, 2, 6, 7}, {2, 3, 4, 6, 7}, {1, 2, 3, 6, 7}}));
  EXPECT_EQ(
      kept(stubs::SnapKvQueryHeads(), seen, {5}),  // exact: ten entries, as five in each of two KV heads
      (Lanes{{0, 6, 7}, {0, 6, 7}, {6, 7}, {6, 7}}));
}

void expect_scores(const Scores& scores, const std::vector<float>& hundredths) {
  const auto got = scores.values.to_host<float>();
  ASSERT_EQ(got.size(), hundredths.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], hundredths[i], 0.006) << "entry " << i;
}

TEST(Golden, ToyScores) {
  const Observation seen(parts_of(kToy, kWindow, toy_sums()));
  const Scores heads = observe(seen, kWindow);
  expect_scores(pool(heads, Pool::kMean, 3, 2),
                {26.67f, 29.00f, 7.33f,  20.00f, 21.00f, 19.33f, 0,      0,      30.00f, 36.67f, 33.33f,
                 15.00f, 11.67f, 8.33f,  0,      0,      8.33f,  10.00f, 30.00f, 35.00f, 38.33f, 11.67f,
                 0,      0,      10.00f, 30.00f, 25.00f, 26.67f, 18.33f, 15.00f, 0,      0});
  expect_scores(pool(heads, Pool::kMax, 3, 2), {70, 70, 10, 48, 48, 48, 0, 0, 70, 70, 70, 20, 15, 15, 0, 0,
                                                20, 20, 80, 80, 80, 20, 0, 0, 25, 60, 60, 60, 35, 35, 0, 0});
  expect_scores(pool(group(heads), Pool::kMean, 3, 2),
                {28.33f, 32.83f, 20.33f, 17.50f, 16.33f, 13.83f, 0, 0,  //
                 9.17f, 20.00f, 27.50f, 30.83f, 28.33f, 13.33f, 0, 0});
  const Scores strided = pool(group(heads, HeadReduce::kMean, Grouping::kStrided), Pool::kMean, 3, 2);
  expect_scores(strided, {17.50f, 19.50f, 18.67f, 27.50f, 29.67f, 15.50f, 0, 0,  //
                          20.00f, 33.33f, 29.17f, 20.83f, 15.00f, 11.67f, 0, 0});
  EXPECT_EQ(lanes_of(take(rank(strided, {.window = 2}), {5, 5})), (Lanes{{1, 3, 4, 6, 7}, {1, 2, 3, 6, 7}}));
}

// A ranking of nothing, for rules that look at sizes alone.
Ranking sizes(const KvShape& shape, int window) {
  return {shape,
          Tensor(host(), DType::kI32, {shape.layers, shape.kv_heads, shape.tokens}),
          std::vector<std::int32_t>(static_cast<std::size_t>(shape.lanes()), shape.tokens),
          {.window = window}};
}

int sum(const Shares& shares) { return std::accumulate(shares.begin(), shares.end(), 0); }

TEST(Golden, PyramidTable) {  // 5.4: L = 32, W = 8, beta = 20
  struct Row {
    int budget, max, min, step, first, last, sum, nominal;
    double excess;
  };
  const Row rows[] = {
      {64, 110, 2, 3, 110, 17, 2032, 1792, 13.4},           {96, 172, 4, 5, 172, 17, 3024, 2816, 7.4},
      {128, 234, 6, 7, 234, 17, 4016, 3840, 4.6},           {256, 484, 12, 15, 484, 19, 8048, 7936, 1.4},
      {512, 983, 25, 30, 983, 53, 16576, 16128, 2.8},       {1024, 1982, 50, 62, 1982, 60, 32672, 32512, 0.5},
      {2048, 3978, 102, 125, 3978, 103, 65296, 65280, 0.02}};
  const Ranking deep = sizes({32, 1, 1, 4, 8192}, 8);
  for (const Row& row : rows) {
    const double budget = row.budget;
    const Shares floored = pyramid(deep, {budget, kPublished}, 20);
    const int past = sum(floored) - 32 * 8;
    EXPECT_EQ(floored.front() - 8, row.max) << row.budget;
    EXPECT_EQ(2 * (row.budget - 8) - (floored.front() - 8), row.min) << row.budget;
    for (std::size_t layer = 1; layer < 32; ++layer) EXPECT_EQ(floored[layer - 1] - floored[layer], row.step);
    EXPECT_EQ(floored.front() - 8, row.first) << row.budget;
    EXPECT_EQ(floored.back() - 8, row.last) << row.budget;
    EXPECT_EQ(past, row.sum) << row.budget;
    EXPECT_EQ(32 * (row.budget - 8), row.nominal);
    EXPECT_NEAR(100.0 * (past - row.nominal) / row.nominal, row.excess, row.budget == 2048 ? 0.005 : 0.05);
    EXPECT_EQ(sum(pyramid(deep, {budget}, 20)), 32 * row.budget) << "exact spends no more";
  }
}

TEST(Golden, PyramidSchedules) {  // 16.3
  for (const Budget::Rule rule : {Budget::Rule::kExact, kPublished}) {
    EXPECT_EQ(pyramid(sizes({3, 1, 1, 4, 8}, 2), {5, rule}, 20), (Shares{8, 5, 2}));
    EXPECT_EQ(pyramid(sizes({3, 1, 1, 4, 10}, 2), {8, rule}, 20), (Shares{8, 8, 8}))
        << "short prompt: uniform";
    EXPECT_EQ(pyramid(sizes({32, 1, 1, 4, 3000}, 8), {2048, rule}, 20), Shares(32, 2048))
        << "3000 < 2 * 2040";
    EXPECT_EQ(pyramid(sizes({32, 1, 1, 4, 2000}, 8), {2048, rule}, 20), Shares(32, 2000)) << "keeps all";
    EXPECT_EQ(pyramid(sizes({1, 1, 1, 4, 3000}, 8), {64, rule}, 20), (Shares{64})) << "a single layer";
  }
}

TEST(Golden, PyramidKv) {  // 16.3 with the scores of 16.1
  KvShape three = kToy;
  three.layers = 3;
  const Observation seen(parts_of(three, kWindow, toy_sums(3)));
  const std::vector<int> all{0, 1, 2, 3, 4, 5, 6, 7};
  for (const Budget budget : {Budget{5}, Budget{5, kPublished}})
    EXPECT_EQ(kept(*make_policy("pyramidkv{window=2,kernel=3,pool=mean}"), seen, budget),
              (Lanes{all, all, {0, 1, 2, 6, 7}, {2, 3, 4, 6, 7}, {6, 7}, {6, 7}}));
}

struct Contest {
  Contest(const KvShape& shape, std::span<const float> table)
      : scores(scores_of(shape, table)), ranking(rank(scores, {})) {}
  Shares shares(Budget budget, double alpha) const {
    return adaptive(scores, ranking, uniform(ranking, budget), budget, alpha);
  }

  Scores scores;
  Ranking ranking;
};

TEST(Golden, AdaContest) {  // 16.4
  const Contest two({1, 2, 2, 4, 6}, std::vector<float>{.50f, .40f, .30f, .20f, .05f, .05f, .25f, .15f, .10f,
                                                        .05f, .05f, .02f});
  EXPECT_EQ(two.shares({3, kPublished}, 0), (Shares{4, 2}));
  EXPECT_EQ(two.shares({3, kPublished}, .2), (Shares{3, 2})) << "loses one";
  EXPECT_EQ(two.shares({3, kPublished}, .5), (Shares{3, 2}));
  EXPECT_EQ(two.shares({3}, 0), (Shares{4, 2}));
  EXPECT_EQ(two.shares({3}, .2), (Shares{4, 2})) << "3.8 and 2.2";
  EXPECT_EQ(two.shares({3}, 1), (Shares{3, 3}));
  EXPECT_EQ(lanes_of(take(two.ranking, two.shares({3}, 0))), (Lanes{{0, 1, 2, 3}, {0, 1}}));

  const Contest normalised({1, 2, 2, 4, 6},
                           std::vector<float>{.40f, .32f, .24f, .16f, .04f, .04f,  //
                                              .2016f, .1210f, .0806f, .0403f, .0403f, .0161f});
  EXPECT_EQ(normalised.shares({3, kPublished}, 0), (Shares{4, 2}));
}

TEST(Golden, AdaBlendRounding) {  // B = 10, won 14 and 6: 13.2 and 6.8
  std::vector<float> table;
  for (int i = 0; i < 40; ++i) table.push_back(i < 20 ? (i < 14 ? 9.0f : 1.0f) : (i < 26 ? 9.0f : 1.0f));
  const Contest large({1, 2, 2, 4, 20}, table);
  EXPECT_EQ(large.shares({10, kPublished}, 0), (Shares{14, 6}));
  EXPECT_EQ(large.shares({10, kPublished}, .2), (Shares{13, 7}));
  EXPECT_EQ(large.shares({10}, .2), (Shares{13, 7}));
}

TEST(Golden,
     AdaLeakage) {  // 7.2: published loses frac(alpha B) a head, give or take rounding; exact loses nothing
  std::mt19937 rng(5);
  for (const int B : {96, 992}) {
    const KvShape shape{1, 8, 8, 4, 2000};
    const Contest eight(shape, random_tensor({8 * 2000}, rng).to_host<float>());
    const double budget = B, expected = 8 * (0.8 * B + std::trunc(0.2 * B));
    EXPECT_NEAR(sum(eight.shares({budget, kPublished}, .2)), expected, 8 * 0.5);
    EXPECT_EQ(sum(eight.shares({budget}, .2)), 8 * B);
  }
}

TEST(Golden, AdaOverEqualHeads) {  // nothing to win: 403.2 + 100 published, 504 exact
  const Contest equal({1, 4, 4, 4, 1000}, std::vector<float>(4000, 1.0f));
  EXPECT_EQ(equal.shares({504, kPublished}, 1), Shares(4, 504));
  EXPECT_EQ(sum(equal.shares({504}, .2)), 4 * 504);
  std::vector<float> table;  // the heads' best 504 are the same in each
  for (int i = 0; i < 4000; ++i) table.push_back(i % 1000 < 504 ? 2.0f : 1.0f);
  EXPECT_EQ(Contest({1, 4, 4, 4, 1000}, table).shares({504, kPublished}, .2), Shares(4, 503));
  EXPECT_EQ(Contest({1, 4, 4, 4, 1000}, table).shares({504}, .2), Shares(4, 504));
}

TEST(Golden, AdaKv) {
  const std::string ada = "adakv{window=2,kernel=3";
  const Lanes three{{0, 1, 2, 6, 7}, {2, 3, 4, 6, 7}};
  EXPECT_EQ(toy_kept(ada + ",alpha=0}", {5}), three);
  EXPECT_EQ(toy_kept(ada + ",alpha=0}", {5, kPublished}), three);
  EXPECT_EQ(toy_kept(ada + "}", {5}), three);
  EXPECT_EQ(toy_kept(ada + "}", {5, kPublished}), (Lanes{{0, 1, 6, 7}, {2, 3, 6, 7}}))
      << "loses .6 of an entry a head";
}

TEST(Golden,
     AdaKvOverAPyramid) {  // layers as the pyramid says (6, 3, 0 past tokens), heads compete inside them
  KvShape three = kToy;
  three.layers = 3;
  std::vector<float> sums = toy_sums(3);
  for (std::size_t i = 32; i < 48; ++i) sums[i] += 100;  // in layer 1 the first KV head wins everything
  const Observation seen(parts_of(three, kWindow, sums));
  const std::vector<int> all{0, 1, 2, 3, 4, 5, 6, 7};
  const std::string spec = "adakv{window=2,kernel=1,alpha=0,base=pyramidkv";
  EXPECT_EQ(kept(*make_policy(spec + "}"), seen, {5}), (Lanes{all, all, all, {6, 7}, {6, 7}, {6, 7}}));
  EXPECT_EQ(kept(*make_policy(spec + ",beta=1}"), seen, {5}),  // a flat pyramid
            kept(*make_policy("adakv{window=2,kernel=1,alpha=0}"), seen, {5}));
}

TEST(Golden, KeyNormKeepsTheShortestKeys) {
  Observation::Parts parts = random_parts({1, 1, 1, 2, 5}, {}, 1);
  const float norms[] = {5, 1, 3, 1, 4};
  for (int t = 0; t < 5; ++t)
    for (int d = 0; d < 2; ++d)
      parts.cache.lane_keys<float>(0)[key_index(t, 2, d)] = d == t % 2 ? norms[t] : 0;
  EXPECT_EQ(kept(*make_policy("knorm"), Observation(std::move(parts)), {3}), (Lanes{{1, 2, 3}}));
}

}  // namespace
}  // namespace evictbench
