// H2O, TOVA, CAKE, HeadKV and CompressKV in small cases worked by hand: specs/policies_core.md, sections 8, 9 and 16.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>
#include <sstream>

#include "policies/calibration.h"
#include "policies/stages.h"
#include "tests/support/temp_folder.h"
#include "tests/support/toy_prompt.h"

namespace evictbench {
namespace {

// A ranking of nothing, for rules that look at sizes alone.
Ranking sizes(int layers, int tokens, int window) {
  return {{layers, 1, 1, 4, tokens},
          Tensor(host(), DType::kI32, {layers, 1, tokens}),
          Shares(static_cast<std::size_t>(layers), tokens),
          {.window = window}};
}

int sum(const Shares& shares) { return std::accumulate(shares.begin(), shares.end(), 0); }

Lanes kept_with(const std::string& spec, const KvShape& shape, const std::vector<float>& sums,
                Budget budget) {
  return kept(*make_policy(spec), Observation(parts_of(shape, kWindow, sums)), budget);
}

TEST(Golden, H2o) {         // 16.2: rows 0..5 look at everything alike, then the window of 16.1
  std::vector<float> sums;  // [H, T]
  for (int h = 0; h < 4; ++h)
    for (int t = 0; t < 8; ++t) {
      float uniform = 0;
      for (int row = t; row < 6; ++row) uniform += 100.0f / static_cast<float>(row + 1);
      sums.push_back(uniform + static_cast<float>(kRows[0][h][t] + kRows[1][h][t]));
    }
  KvShape alone = kToy;
  alone.kv_heads = 4;  // query-head units
  for (const Budget budget : {Budget{5}, Budget{5, kPublished}}) {
    const auto h2o = [&](const KvShape& shape) {
      return kept(*make_policy("h2o{window=2}"), Observation(parts_of(shape, {Stat::kColumnSums}, sums)),
                  budget);
    };
    EXPECT_EQ(h2o(alone), (Lanes{{0, 1, 2, 6, 7}, {0, 1, 2, 6, 7}, {0, 1, 3, 6, 7}, {0, 1, 2, 6, 7}}));
    EXPECT_EQ(h2o(kToy), (Lanes{{0, 1, 2, 6, 7}, {0, 1, 2, 6, 7}}));
  }
}

TEST(Golden, Tova) {  // means .3 .4 .15 .15 of two heads; a tie, of which the lower stays
  const Stat last{Stat::kWindowAttention, 1};
  const std::vector<float> rows{50, 20, 20, 10, 10, 60, 10, 20};
  const auto tova = [&](double budget) {
    return kept(*make_policy("tova"), Observation(parts_of({1, 2, 2, 4, 4}, last, rows)), {budget});
  };
  EXPECT_EQ(tova(2), (Lanes{{1, 3}, {1, 3}})) << "the same tokens for both lanes, though the heads differ";
  EXPECT_EQ(tova(3), (Lanes{{0, 1, 3}, {0, 1, 3}}));
  EXPECT_EQ(tova(1.5), (Lanes{{1, 3}, {3}}));
}

// 16.6: layer 0 is 16.1, in layer 1 every head has the same two rows.
Observation::Parts cake_parts() {
  constexpr int second[2][8] = {{12, 10, 14, 10, 8, 6, 40, 0}, {8, 12, 10, 12, 10, 8, 20, 20}};
  Observation::Parts parts = random_parts({2, 4, 2, 4, 8}, {}, 1);
  std::vector<float> sums, variances, entropies;
  for (int layer = 0; layer < 2; ++layer)
    for (int h = 0; h < 4; ++h)
      for (int t = 0; t < 8; ++t) {
        const double a = (layer ? second[0][t] : kRows[0][h][t]) / 100.0,
                     b = (layer ? second[1][t] : kRows[1][h][t]) / 100.0;
        sums.push_back(static_cast<float>(a + b));
        variances.push_back(static_cast<float>((a - b) * (a - b) / 2));
        entropies.push_back(static_cast<float>(-a * std::log(a + 1e-10) - b * std::log(b + 1e-10)));
      }
  for (const auto& [reduction, table] : {std::pair{Reduction::kSum, &sums},
                                         {Reduction::kVariance, &variances},
                                         {Reduction::kEntropy, &entropies}})
    parts.given.emplace(Stat{Stat::kWindowAttention, 2, reduction},
                        Tensor::from_host<float>(host(), *table, {2, 4, 8}));
  return parts;
}

TEST(Golden, Cake) {  // 16.6
  const Observation seen(cake_parts());
  const Stat variance{Stat::kWindowAttention, 2, Reduction::kVariance},
      entropy{Stat::kWindowAttention, 2, Reduction::kEntropy};
  const auto v = layer_sums(seen, variance, 2), e = layer_sums(seen, entropy, 2);
  EXPECT_NEAR(e[0], 10.043946, 1e-5);
  EXPECT_NEAR(e[1], 10.938257, 1e-5);
  EXPECT_NEAR(v[0], .03665, 1e-7);
  EXPECT_NEAR(v[1], .0096, 1e-7);
  const std::vector<int> five{0, 1, 2, 3, 4, 6, 7};
  for (const Budget budget :
       {Budget{5}, Budget{5, kPublished}})  // 4.67 and 1.33 past tokens: 5 and 1 both ways
    EXPECT_EQ(kept(*make_policy("cake{window=2}"), seen, budget), (Lanes{five, five, {2, 6, 7}, {2, 6, 7}}));
  const std::vector<int> all{0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(kept(*make_policy("cake{window=2}"), seen, {6, kPublished}), (Lanes{all, all, all, all}))
      << "published, 8 <= 6 + 2 leaves the prompt whole";
}

TEST(Golden, CakeSpreadsWhatIsAboveThePromptEvenly) {
  const std::vector<double> preference{6, 2, 1, 1};
  EXPECT_EQ(by_preference(sizes(4, 151, 1), {101}, preference), (Shares{151, 111, 71, 71}));
  EXPECT_EQ(by_preference(sizes(4, 151, 1), {101, kPublished}, preference), (Shares{151, 111, 71, 71}));
  EXPECT_EQ(by_preference(sizes(2, 90, 2), {50}, std::vector<double>{0, 0}), (Shares{50, 50}))
      << "no preference";
}

TEST(Golden, CakeCascadeUnderspendsWhereALaterExcessComesTooLate) {
  const std::vector<double> preference{1, 1, 1, 0, 1000};
  const Shares cascade = by_preference(sizes(5, 11, 1), {7, kPublished}, preference);
  EXPECT_EQ(cascade, (Shares{7, 6, 6, 1, 11}));
  EXPECT_EQ(sum(by_preference(sizes(5, 11, 1), {7}, preference)), 35) << "exact spends all";
}

std::string one_layer_of_heads(const TempFolder& folder) {
  return folder.write("heads.json", R"({"0-0": [4], "0-1": [1], "0-2": [3], "0-3": [2]})");
}

TEST(Golden, HeadKv) {  // 16.5
  const TempFolder folder;
  const std::string spec =
      "headkv{window=2,kernel=3,beta=1.5,head_scores=" + one_layer_of_heads(folder) + "}";
  KvShape alone = kToy;
  alone.kv_heads = 4;  // query-head units
  EXPECT_EQ(kept_with(spec, alone, toy_sums(), {5, kPublished}),
            (Lanes{{0, 1, 3, 4, 6, 7}, {0, 1, 6, 7}, {2, 3, 4, 6, 7}, {1, 2, 3, 6, 7}}));
  // Groups: .5 and .5 of a pool of 4, a floor of 1: three past tokens each, as SnapKV.
  EXPECT_EQ(kept_with(spec, kToy, toy_sums(), {5, kPublished}), (Lanes{{0, 1, 2, 6, 7}, {2, 3, 4, 6, 7}}));
  // Exact in query-head units: 1 + (.4 .1 .3 .2) x 8 = 4.2 1.8 3.4 2.6 past tokens, 12 in all.
  EXPECT_EQ(kept_with(spec, alone, toy_sums(), {5}),
            (Lanes{{0, 1, 3, 4, 6, 7}, {0, 1, 6, 7}, {2, 3, 4, 6, 7}, {1, 2, 3, 6, 7}}));
}

TEST(Golden,
     HeadKvTable) {  // 8.1: of 2 units, one without a score takes the floor, the other the pool as well
  const int budgets[] = {64, 128, 256, 512, 1024};
  const double betas[] = {1.005, 1.01, 1.1, 1.2, 1.5, 2, 5, 10};
  const int shares[5][8] = {{55, 55, 50, 46, 37, 28, 11, 5},
                            {119, 118, 109, 100, 80, 60, 24, 12},
                            {246, 245, 225, 206, 165, 124, 49, 24},
                            {501, 499, 458, 420, 336, 252, 100, 50},
                            {1010, 1005, 923, 846, 677, 508, 203, 101}};
  const int floors[5][8] = {{1, 1, 6, 10, 19, 28, 45, 51},
                            {1, 2, 11, 20, 40, 60, 96, 108},
                            {2, 3, 23, 42, 83, 124, 199, 224},
                            {3, 5, 46, 84, 168, 252, 404, 454},
                            {6, 11, 93, 170, 339, 508, 813, 915}};
  const std::vector<double> weights{0, 1};
  for (int c = 0; c < 5; ++c)
    for (int b = 0; b < 8; ++b) {
      const Budget budget{static_cast<double>(budgets[c]), kPublished};
      EXPECT_EQ(by_heads(sizes(2, 9000, 8), budget, weights, betas[b]),
                (Shares{8 + floors[c][b], 8 + floors[c][b] + 2 * shares[c][b]}))
          << budgets[c] << " " << betas[b];
      EXPECT_EQ(sum(by_heads(sizes(2, 9000, 8), {budget.entries}, weights, betas[b])), 2 * budgets[c]);
    }
  EXPECT_EQ(by_heads(sizes(2, 9000, 0), {110, kPublished}, weights, 1.1), (Shares{11, 11 + 2 * 99}))
      << "110 // 1.1 is 99";
  EXPECT_EQ(by_heads(sizes(2, 9000, 0), {120, kPublished}, weights, 1.2), (Shares{20, 20 + 2 * 100}));
}

TEST(Golden, HeadKvGivesTheSurplusOfShortPromptsToTheOthers) {
  const std::vector<double> one{1, 0, 0, 0};
  EXPECT_EQ(by_heads(sizes(4, 40, 8), {20}, one, 1), (Shares{40, 14, 13, 13}));
  EXPECT_EQ(by_heads(sizes(4, 40, 8), {20, kPublished}, one, 1), (Shares{40, 8, 8, 8}))
      << "published, it is lost";
}

TEST(Golden, CompressKv) {  // 16.1: heads 2 and 0 choose for both lanes
  const TempFolder folder;
  const std::string order = folder.write("order.json", R"({"0": [2, 0, 1, 3]})"),
                    spec = "compresskv{window=2,kernel=3,heads=2,head_scores=" + order + "}";
  for (const Budget budget : {Budget{5}, Budget{5, kPublished}})
    EXPECT_EQ(kept_with(spec, kToy, toy_sums(), budget), (Lanes{{1, 3, 4, 6, 7}, {1, 3, 4, 6, 7}}));
  // Each head is pooled by itself: plateaus of heads 2 and 0 meet at 3 and 4.
  EXPECT_EQ(kept_with("compresskv{window=2,kernel=3,pool=max,heads=2,head_scores=" + order + "}", kToy,
                      toy_sums(), {4}),
            (Lanes{{3, 4, 6, 7}, {3, 4, 6, 7}}));
}

TEST(Golden, CompressKvLayers) {  // 16.7
  EXPECT_EQ(by_layers(sizes(4, 500, 8), {40, kPublished}, std::vector<double>{.1, .4, .3, .2}),
            (Shares{35, 45, 42, 38}));
  EXPECT_EQ(by_layers(sizes(4, 500, 8), {40}, std::vector<double>{.1, .4, .3, .2}), (Shares{35, 45, 42, 38}));
  EXPECT_EQ(by_layers(sizes(3, 500, 8), {41, kPublished}, std::vector<double>{.35, .35, .30}),
            (Shares{42, 41, 40}));
  for (const double few : {32, 20, 5}) {
    EXPECT_EQ(by_layers(sizes(2, 500, 8), {few, kPublished}, std::vector<double>{.9, .1}), (Shares{32, 32}));
    const auto same = static_cast<std::int32_t>(few);
    EXPECT_EQ(by_layers(sizes(2, 500, 8), {few}, std::vector<double>{.9, .1}), (Shares{same, same}));
  }
  EXPECT_EQ(by_layers(sizes(4, 9000, 8), {100}, std::vector<double>{1, 0, 0, 0}), (Shares{300, 34, 33, 33}))
      << "32 + 272 is above 3 x 100";
  EXPECT_EQ(by_layers(sizes(4, 9000, 8), {100, kPublished}, std::vector<double>{1, 0, 0, 0}),
            (Shares{300, 34, 33, 33}));
}

// --- the published files ----------------------------------------------------------------------------------------------

const std::string kFiles = EVICTBENCH_SOURCE_DIR "/../shared/data/head_scores/";

Options::File published(const std::string& name) {
  std::ifstream in(kFiles + name);
  std::stringstream text;
  text << in.rdbuf();
  return {name, text.str()};
}

Shares real_layers(const std::string& model, int budget) {
  const LayerScores scores = read_layer_scores(published(model + "_layer_score.jsonl"));
  const KvShape shape{32, 32, 8, 128, 20000};
  return by_layers(sizes(32, 20000, 8), {static_cast<double>(budget), kPublished}, scores.of(shape));
}

TEST(Golden, CompressKvLayersOfPublishedFiles) {  // 9.3
  if (!std::ifstream(kFiles + "Llama-3.1-8B-Instruct_layer_score.jsonl"))
    GTEST_SKIP() << "no published score files in ../shared";
  const std::string llama = "Llama-3.1-8B-Instruct", mistral = "Mistral-7B-Instruct-v0.3";
  EXPECT_EQ(real_layers(llama, 128),
            (Shares{89,  90,  143, 118, 118, 145, 112, 126, 169, 163, 168, 153, 88,  165, 147, 148,
                    125, 141, 138, 143, 161, 109, 138, 147, 136, 121, 119, 130, 100, 88,  104, 54}));
  EXPECT_EQ(real_layers(llama, 256),
            (Shares{164, 168, 292, 234, 233, 296, 219, 252, 350, 338, 346, 315, 162, 340, 300, 302,
                    249, 286, 280, 292, 333, 213, 280, 301, 276, 239, 235, 261, 191, 163, 199, 83}));
  EXPECT_EQ(real_layers(mistral, 128),
            (Shares{128, 73,  149, 83,  124, 122, 121, 161, 100, 170, 106, 144, 173, 99, 151, 170,
                    141, 108, 155, 132, 135, 127, 132, 113, 126, 127, 130, 91,  129, 99, 119, 158}));
  const Shares large = real_layers(llama, 2048), other = real_layers(mistral, 256);
  EXPECT_EQ(std::ranges::min(large), 486);
  EXPECT_EQ(large[31], 486);
  EXPECT_EQ(std::ranges::max(large), 2885);
  EXPECT_EQ(large[8], 2885);
  EXPECT_EQ(std::ranges::min(other), 126);
  EXPECT_EQ(other[1], 126);
  EXPECT_EQ(std::ranges::max(other), 358);
  EXPECT_EQ(other[12], 358);
  for (const int budget : {33, 64, 128, 256, 512, 1024, 2048}) {
    EXPECT_EQ(sum(real_layers(llama, budget)), 32 * budget);
    EXPECT_EQ(sum(real_layers(mistral, budget)), 32 * budget);
  }
}

TEST(Golden, PublishedHeadFiles) {  // 8.2, 11.1, 11.3
  if (!std::ifstream(kFiles + "Llama-3.1-8B-Instruct_layer_score.jsonl"))
    GTEST_SKIP() << "no published score files in ../shared";
  const KvShape shape{32, 32, 8, 128, 20000}, units{32, 32, 32, 128, 200000};
  const HeadOrder llama = read_head_order(published("Llama-3.1-8B-Instruct_head_idx.json")),
                  mistral = read_head_order(published("Mistral-7B-Instruct-v0.3_head_idx.json"));
  const auto best = [&](const HeadOrder& order, int layer) {
    const auto heads = order.best(shape, 4);
    return std::vector<int>(heads.begin() + layer * 4, heads.begin() + layer * 4 + 4);
  };
  EXPECT_EQ(best(llama, 0), (std::vector<int>{11, 25, 23, 27}));
  EXPECT_EQ(best(llama, 8), (std::vector<int>{11, 1, 8, 9}));
  EXPECT_EQ(best(llama, 15), (std::vector<int>{30, 1, 29, 3}));
  EXPECT_EQ(best(mistral, 31), (std::vector<int>{4, 31, 17, 16}));

  struct Row {
    const char* file;
    double sum, top;
    int head, scoring;
  };
  const Row rows[] = {
      {"Llama-3.1-8B-Instruct_classic_heads.json", 19.73, .902, 15 * 32 + 30, 342},
      {"Meta-Llama-3-8B-Instruct_retrieval_heads.json", 19.80, 1.009, 15 * 32 + 30, 296},
      {"Meta-Llama-3-8B-Instruct_retrieval_reasoning_heads.json", 22.87, .344, 15 * 32 + 30, 1022},
      {"Mistral-7B-Instruct-v0.2_retrieval_heads.json", 17.68, .885, 18 * 32 + 0, 323},
      {"Mistral-7B-Instruct-v0.2_retrieval_reasoning_heads.json", 19.83, .318, 18 * 32 + 0, 1020}};
  for (const Row& row : rows) {
    const HeadScores scores = read_head_scores(published(row.file));
    EXPECT_NEAR(std::accumulate(scores.means.begin(), scores.means.end(), 0.0), row.sum, .005) << row.file;
    EXPECT_EQ(std::ranges::max_element(scores.means) - scores.means.begin(), row.head) << row.file;
    EXPECT_NEAR(std::ranges::max(scores.means), row.top, .0005) << row.file;
    EXPECT_EQ(std::ranges::count_if(scores.means, [](double m) { return m > 0; }), row.scoring) << row.file;
  }

  // 8.2, in query-head units: C = 128, beta = 1.005; a prompt so long that nothing is cut.
  const auto caps = [&](const char* file, double budget) {
    const auto weights = read_head_scores(published(file)).lane_weights(units, 1);
    Shares past =
        by_heads({units, Tensor(host(), DType::kI32, {1, 1, 1}), Shares(1024, units.tokens), {.window = 8}},
                 {budget, kPublished}, weights, 1.005);
    for (std::int32_t& share : past) share -= 8;
    return past;
  };
  const Shares reason = caps("Meta-Llama-3-8B-Instruct_retrieval_reasoning_heads.json", 128),
               copy = caps("Meta-Llama-3-8B-Instruct_retrieval_heads.json", 128);
  EXPECT_EQ(std::ranges::max(reason), 1835);
  EXPECT_EQ(reason[15 * 32 + 30], 1835);
  EXPECT_EQ(std::ranges::count_if(reason, [](int x) { return x <= 2; }), 219);
  std::vector<int> layers;
  for (int l = 0; l < 32; ++l)
    layers.push_back(std::accumulate(reason.begin() + l * 32, reason.begin() + l * 32 + 32, 0));
  EXPECT_EQ(std::ranges::min(layers), 173);
  EXPECT_EQ(std::ranges::max(layers), 9772);
  EXPECT_EQ(std::ranges::max(copy), 6208);
  EXPECT_EQ(std::ranges::count(copy, 1), 728);
  EXPECT_EQ(std::ranges::count_if(copy, [](int x) { return x > 2000; }), 15);
  EXPECT_EQ(caps("Meta-Llama-3-8B-Instruct_retrieval_heads.json", 1024)[15 * 32 + 30], 52691);
}

}  // namespace
}  // namespace evictbench
