// Published variants on cases worked by hand: specs/policies_core.md, sections 5, 7.4, 9.6 and 16.
#include <gtest/gtest.h>

#include <map>

#include "policies/registry.h"
#include "policies/stages.h"
#include "tests/support/fixtures.h"
#include "tests/support/temp_folder.h"
#include "tests/support/toy_prompt.h"

namespace evictbench {
namespace {

constexpr auto kExact = Budget::Rule::kExact;

// By the policy's own rule.
Lanes toy_kept(const std::string& spec, double entries) {
  const auto policy = make_policy(spec);
  return kept(*policy, Observation(parts_of(kToy, kWindow, toy_sums())), {entries, policy->rule()});
}

struct HeadFile {
  explicit HeadFile(const std::string& text) : path(folder.write("heads.json", text)) {}
  TempFolder folder;
  std::string path;
};

// policies_core 4.4 and 12: windows, kernels and pooling of the repositories.
TEST(Published, DefaultsAreTheRepositories) {
  const std::string of_snapkv = "kernel=7,pool=max,window=32}", of_factory = "kernel=7,pool=max,window=8}",
                    of_compresskv = "kernel=5,pool=mean,window=8}",
                    of_kvpress = "kernel=5,pool=mean,window=64}";
  const std::map<std::string, std::string> ids{
      {"snapkv@snapkv", "{" + of_snapkv},
      {"snapkv@kvcache-factory", "{" + of_factory},
      {"snapkv@compresskv", "{" + of_compresskv},
      {"snapkv@kvpress", "{" + of_kvpress},
      {"pyramidkv@kvcache-factory", "{beta=20," + of_factory},
      {"pyramidkv@adakv", "{beta=20,first_prompt=0," + of_snapkv},
      {"pyramidkv@headkv", "{beta=20,first_prompt=0," + of_factory},
      {"pyramidkv@compresskv", "{beta=20,first_prompt=0," + of_compresskv},
      {"pyramidkv@kvpress", "{beta=20," + of_kvpress},
      {"adakv@adakv", "{alpha=0.2," + of_snapkv},
      {"adakv@kvcache-factory", "{alpha=0.2," + of_factory},
      {"adakv@compresskv", "{alpha=0.2," + of_compresskv},
      {"adakv@kvpress", "{alpha=0.2," + of_kvpress},
      {"h2o@kvcache-factory", "{window=8}"},
      {"streaming_llm@compresskv", "{window=8}"},
      {"streaming_llm@kvcache-factory", "{window=32}"},
      {"observed_attention@kvpress", ""}};
  std::size_t variants = 0;
  for (const PolicyEntry& entry : all_policies()) {
    if (entry.name.find('@') == std::string::npos || entry.name.starts_with("headkv@")) continue;
    ++variants;
    ASSERT_TRUE(ids.contains(entry.name)) << entry.name;
    EXPECT_EQ(make_policy(entry.name)->id(), entry.name + ids.at(entry.name));
  }
  EXPECT_EQ(variants, ids.size());
  const HeadFile file(R"({"0-0":[1]})");
  for (const std::string name : {"headkv@headkv", "headkv@kvcache-factory"}) {
    const std::string id = make_policy(name + "{head_scores=" + file.path + "}")->id();
    EXPECT_TRUE(id.starts_with(name + "{beta=1.01,head_scores=xxh3:")) << id;
    EXPECT_TRUE(id.ends_with(",kernel=7,pool=max,temperature=1,window=8}")) << id;
  }
}

const Lanes kOfQueryHeads{{0, 1, 3, 6, 7}, {0, 1, 2, 6, 7}, {2, 3, 4, 6, 7}, {1, 2, 3, 6, 7}};  // 16.1, max3

TEST(Published, SnapKvOfQueryHeads) {
  for (const std::string name : {"snapkv@snapkv", "snapkv@kvcache-factory"}) {
    EXPECT_EQ(toy_kept(name + "{window=2,kernel=3}", 5), kOfQueryHeads);
    EXPECT_EQ(toy_kept(name + "{window=2,kernel=3}", 5.9), kOfQueryHeads) << "whole entries";
    EXPECT_EQ(toy_kept(name + "{window=2,kernel=3,pool=mean}", 5),
              (Lanes{{0, 1, 4, 6, 7}, {0, 1, 2, 6, 7}, {2, 3, 4, 6, 7}, {1, 2, 3, 6, 7}}));
  }
}

TEST(Published, SnapKvInStrides) {
  EXPECT_EQ(toy_kept("snapkv@compresskv{window=2,kernel=3}", 5), (Lanes{{1, 3, 4, 6, 7}, {1, 2, 3, 6, 7}}));
  EXPECT_EQ(make_policy("snapkv@compresskv")->rule(), kExact) << "a budget is met to the entry";
}

TEST(Published, SnapKvOfKvpress) {
  const Lanes five{{0, 1, 2, 6, 7}, {2, 3, 4, 6, 7}};
  EXPECT_EQ(toy_kept("snapkv@kvpress{window=2,kernel=3}", 5), five);
  EXPECT_EQ(toy_kept("snapkv@kvpress{window=2,kernel=3}", 5.75), five);
  EXPECT_EQ(toy_kept("snapkv@kvpress{window=2,kernel=3}", 0.25), (Lanes{{7}, {7}})) << "one at least";
}

TEST(Published,
     SnapKvOfKvpressPoolsBeforeItReducesTheGroup) {       // 3 has 8 from both heads; means first, it has 4
  const std::vector<float> peaks{0, 0, 8, 0, 0, 0, 0, 0,  //
                                 0, 0, 0, 0, 8, 0, 0, 0};
  const Observation seen(parts_of({1, 2, 1, 4, 8}, kWindow, peaks));
  EXPECT_EQ(kept(*make_policy("snapkv@kvpress{window=2,kernel=3,pool=max}"), seen, {3, kPublished}),
            (Lanes{{3, 6, 7}}));
}

TEST(Published, StreamingLlmKeepsTheBeginning) {
  for (const std::string name : {"streaming_llm@compresskv", "streaming_llm@kvcache-factory"})
    EXPECT_EQ(toy_kept(name + "{window=2}", 5), (Lanes{{0, 1, 2, 6, 7}, {0, 1, 2, 6, 7}})) << name;
  EXPECT_EQ(toy_kept("streaming_llm@compresskv", 5), (Lanes{{3, 4, 5, 6, 7}, {3, 4, 5, 6, 7}}));
  const KvShape longer{1, 1, 1, 4, 400};
  const Observation seen(random_parts(longer, {}, 1));
  for (const auto& [name, recent] :
       {std::pair{"streaming_llm@compresskv", 8}, {"streaming_llm@kvcache-factory", 32}}) {
    const auto slots = kept(*make_policy(name), seen, {256}).at(0);
    ASSERT_EQ(slots.size(), 256u);
    EXPECT_EQ(slots[static_cast<std::size_t>(255 - recent)], 255 - recent) << name << ": the first C - R";
    EXPECT_EQ(slots[static_cast<std::size_t>(256 - recent)], 400 - recent) << name << ": the last R";
  }
}

TEST(Published, H2oOfQueryHeads) {                                               // 16.2, in hundredths
  const std::vector<float> sums{315, 155, 102, 66.67f,  84.67f, 26.67f, 35, 15,  //
                                265, 215, 115, 71.67f,  51.67f, 26.67f, 35, 20,  //
                                265, 150, 100, 141.67f, 56.67f, 31.67f, 35, 20,  //
                                270, 150, 155, 71.67f,  46.67f, 51.67f, 35, 20};
  const Observation seen(parts_of(kToy, {Stat::kColumnSums}, sums));
  EXPECT_EQ(kept(*make_policy("h2o@kvcache-factory{window=2}"), seen, {5, kPublished}),
            (Lanes{{0, 1, 2, 6, 7}, {0, 1, 2, 6, 7}, {0, 1, 3, 6, 7}, {0, 1, 2, 6, 7}}));
  // Over 8, 7, ... 1 queries that see a token: means .3625 .2643 .1808 .1383 .1704 .0889 .1750 .1750 and
  // .3344 .2143 .2125 .2133 .1292 .1389 .1750 .2000.
  EXPECT_EQ(kept(*make_policy("observed_attention@kvpress"), seen, {5, kPublished}),
            (Lanes{{0, 1, 2, 6, 7}, {0, 1, 2, 3, 7}}));
  EXPECT_EQ(kept(*make_policy("observed_attention@kvpress"), seen, {0.5, kPublished}), (Lanes{{0}, {0}}));
}

// A ranking of nothing, for rules that look at sizes alone.
Ranking sizes(int layers, int tokens, int window) {
  return {{layers, 1, 1, 4, tokens},
          Tensor(host(), DType::kI32, {layers, 1, tokens}),
          std::vector<std::int32_t>(static_cast<std::size_t>(layers), tokens),
          {.window = window}};
}

TEST(Published, PyramidOfTheFirstPrompt) {  // 5.2 and 16.3
  EXPECT_EQ(pyramid_frozen(sizes(3, 8, 2), {5, kPublished}, 20, 0), (Shares{8, 5, 2}));
  EXPECT_EQ(pyramid_frozen(sizes(3, 10, 2), {8, kPublished}, 20, 0), (Shares{10, 8, 6})) << "never uniform";
  const Shares fresh = pyramid_frozen(sizes(32, 3000, 8), {2048, kPublished}, 20, 0);
  EXPECT_EQ(fresh.front(), 2992 + 8);
  EXPECT_EQ(fresh[1], 2992 - 61 + 8);
  EXPECT_EQ(fresh.back(), 1101 + 8);
  const Shares frozen = pyramid_frozen(sizes(32, 32000, 8), {2048, kPublished}, 20, 2000);
  for (int layer = 0; layer < 32; ++layer)
    EXPECT_EQ(frozen[static_cast<std::size_t>(layer)], 2000 + 4 * layer) << "inverted for ever";
  const Shares short_prompt = pyramid_frozen(sizes(32, 500, 8), {2048, kPublished}, 20, 2000);
  EXPECT_EQ(short_prompt, Shares(32, 500)) << "a prompt below the schedule is kept whole";
  EXPECT_EQ(pyramid_frozen(sizes(1, 3000, 8), {64, kPublished}, 20, 0), (Shares{64})) << "a single layer";
  EXPECT_EQ(pyramid_frozen(sizes(2, 100, 8), {5.5, kPublished}, 20, 0), (Shares{5, 5})) << "no past tokens";
}

TEST(Published, PyramidKvOfEveryLineage) {
  KvShape three = kToy;
  three.layers = 3;
  const Observation seen(parts_of(three, kWindow, toy_sums(3)));
  const std::vector<int> all{0, 1, 2, 3, 4, 5, 6, 7}, window{6, 7};
  Lanes query_heads(4, all);
  query_heads.insert(query_heads.end(), kOfQueryHeads.begin(), kOfQueryHeads.end());
  query_heads.insert(query_heads.end(), 4, window);
  for (const std::string name : {"pyramidkv@kvcache-factory", "pyramidkv@headkv"})
    EXPECT_EQ(kept(*make_policy(name + "{window=2,kernel=3}"), seen, {5, kPublished}), query_heads) << name;
  EXPECT_EQ(kept(*make_policy("pyramidkv@adakv{window=2,kernel=3,pool=mean}"), seen, {5, kPublished}),
            (Lanes{all, all, {0, 1, 2, 6, 7}, {2, 3, 4, 6, 7}, window, window}));
  EXPECT_EQ(kept(*make_policy("pyramidkv@compresskv{window=2,kernel=3}"), seen, {5, kPublished}),
            (Lanes{all, all, {1, 3, 4, 6, 7}, {1, 2, 3, 6, 7}, window, window}));
  // Frozen on a prompt of 5: past 3, budget 3: max 3, min 3, a flat pyramid.
  EXPECT_EQ(kept(*make_policy("pyramidkv@adakv{window=2,kernel=3,pool=mean,first_prompt=5}"), seen,
                 {5, kPublished}),
            (Lanes{{0, 1, 2, 6, 7},
                   {2, 3, 4, 6, 7},
                   {0, 1, 2, 6, 7},
                   {2, 3, 4, 6, 7},
                   {0, 1, 2, 6, 7},
                   {2, 3, 4, 6, 7}}));
}

TEST(Published, PyramidInRealNumbers) {  // 5.3
  EXPECT_EQ(pyramid_rounded(sizes(3, 100, 2), {20, kPublished}, 20), (Shares{20, 20, 20}))
      << "min 1 < window";
  EXPECT_EQ(pyramid_rounded(sizes(3, 100, 2), {20, kPublished}, 4), (Shares{35, 20, 5}));
  EXPECT_EQ(pyramid_rounded(sizes(3, 100, 2), {20.5, kPublished}, 4), (Shares{36, 20, 5})) << "20.5 to even";
  EXPECT_EQ(pyramid_rounded(sizes(3, 40, 2), {30, kPublished}, 20), (Shares{38, 30, 22})) << "max is n";
  EXPECT_EQ(pyramid_rounded(sizes(3, 100, 2), {0.4, kPublished}, 20), (Shares{1, 1, 1}));
  EXPECT_EQ(pyramid_rounded(sizes(3, 100, 2), {10.6, kPublished}, 20), (Shares{11, 11, 11}));
  EXPECT_EQ(pyramid_rounded(sizes(1, 100, 2), {20, kPublished}, 4), (Shares{35}))
      << "a single layer keeps max";
}

TEST(Published, AdaKvAsItsAuthorsRound) {  // 16.4
  EXPECT_EQ(toy_kept("adakv@adakv{window=2,kernel=3,alpha=0}", 5), (Lanes{{0, 1, 2, 6, 7}, {2, 3, 4, 6, 7}}));
  EXPECT_EQ(toy_kept("adakv@adakv{window=2,kernel=3}", 5), (Lanes{{0, 1, 6, 7}, {2, 3, 6, 7}}))
      << "loses two";
  // Strided scores .1750 .1950 .1867 .2750 .2967 .1550 and .2000 .3333 .2917 .2083 .1500 .1167: won 2 and 4.
  EXPECT_EQ(toy_kept("adakv@compresskv{window=2,kernel=3,alpha=0}", 5),
            (Lanes{{3, 4, 6, 7}, {0, 1, 2, 3, 6, 7}}));
  EXPECT_EQ(toy_kept("adakv@compresskv{window=2,kernel=3}", 5), (Lanes{{3, 4, 6, 7}, {1, 2, 3, 6, 7}}));
}

// Of three past entries a head: the first, spread, holds half of its sum in its best three, the second all of it: 150 and
// 250 in the contest, so that the second's three come first.
TEST(Published, AdaKvScalesSpreadHeads) {
  const std::vector<float> sums{300, 300, 300, 300, 300, 300, 0, 0,  //
                                250, 0,   250, 0,   250, 0,   0, 0};
  const Observation seen(parts_of({1, 2, 1, 4, 8}, kWindow, sums));
  const auto lanes = [&](const std::string& spec, double entries) {
    return kept(*make_policy(spec), seen, {entries, kPublished});
  };
  EXPECT_EQ(lanes("adakv@kvcache-factory{window=2,kernel=1,alpha=0}", 5),
            (Lanes{{0, 1, 2, 6, 7}, {0, 2, 4, 6, 7}}));
  EXPECT_EQ(lanes("adakv@kvcache-factory{window=2,kernel=1,alpha=0}", 4),  // a third: 100; 2 / 3: 167
            (Lanes{{0, 6, 7}, {0, 2, 4, 6, 7}}));
  EXPECT_EQ(lanes("adakv@kvcache-factory{window=2,kernel=1,alpha=0.5}",
                  4),  // round(0.5 + 1), round(1.5 + 1), to even
            (Lanes{{0, 1, 6, 7}, {0, 2, 6, 7}}));
}

TEST(Published, AdaKvWithAFloor) {  // 7.4 and 16.4
  EXPECT_EQ(toy_kept("adakv@kvpress{window=2,kernel=3}", 5), (Lanes{{0, 1, 2, 6, 7}, {2, 3, 4, 6, 7}}));
  const KvShape two{1, 2, 2, 4, 6};
  const Scores scores = scores_of(two, std::vector<float>{.50f, .40f, .30f, .20f, .05f, .04f,  //
                                                          .01f, .01f, .01f, .01f, .01f, .01f});
  const Ranking ranking = rank(scores, {});
  EXPECT_EQ(safeguarded(scores, ranking, {3, kPublished}, 0), (Shares{6, 0}));
  EXPECT_EQ(safeguarded(scores, ranking, {3.9, kPublished}, .4), (Shares{5, 1})) << "1.2 is one safe entry";
  EXPECT_EQ(safeguarded(scores, ranking, {3, kPublished}, 1), (Shares{3, 3}));
  const Ranking windowed = rank(scores, {.window = 2});
  EXPECT_EQ(safeguarded(scores, windowed, {3, kPublished}, .4), (Shares{4, 2}))
      << "the window is safe anyway";
  EXPECT_EQ(safeguarded(scores, windowed, {5, kPublished}, .6), (Shares{6, 4})) << "3 safe, window included";
  EXPECT_EQ(safeguarded(scores, windowed, {5, kPublished}, 1), (Shares{5, 5}));
  EXPECT_EQ(safeguarded(scores, windowed, {1, kPublished}, .4), (Shares{1, 1})) << "below the window";
}

TEST(Published, HeadKvOfQueryHeads) {  // 16.5
  const HeadFile file(R"({"0-0":[4],"0-1":[1],"0-2":[3],"0-3":[2]})");
  const std::string options = "{window=2,kernel=3,beta=1.5,head_scores=" + file.path + "}";
  EXPECT_EQ(toy_kept("headkv@headkv" + options, 5),
            (Lanes{{0, 1, 3, 4, 6, 7}, {0, 1, 6, 7}, {2, 3, 4, 6, 7}, {1, 2, 3, 6, 7}}));
  // Of 5 and not of 3: share 3, pool 12, floor 2: 7, 3, 6 and 4 past tokens, of which there are 6.
  const std::vector<int> all{0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(toy_kept("headkv@kvcache-factory" + options, 5),
            (Lanes{all, {0, 1, 2, 6, 7}, all, {1, 2, 3, 4, 6, 7}}));
}

// One ranking (that of head 2: 4, 3, 2, 5, 1, 0), shares by the lanes' own scores, of which the first lane's are ten
// times the second's: it wins all 6 past entries. Half of that and half of 3: 4.5 and 1.5.
TEST(Published, AdaCompressKvTakesPrefixesOfOneRanking) {
  const HeadFile file(R"({"0":[2,0,1,3]})");
  std::vector<float> sums = toy_sums();
  for (std::size_t i = 0; i < 16; ++i) sums[i] *= 10;
  const Observation seen(parts_of(kToy, kWindow, sums));
  const auto lanes = [&](const std::string& alpha, Budget budget) {
    return kept(*make_policy("adacompresskv{window=2,kernel=3,heads=1,alpha=" + alpha +
                             ",head_scores=" + file.path + "}"),
                seen, budget);
  };
  EXPECT_EQ(lanes("0", {5}), (Lanes{{0, 1, 2, 3, 4, 5, 6, 7}, {6, 7}}));
  EXPECT_EQ(lanes("1", {5}), (Lanes{{2, 3, 4, 6, 7}, {2, 3, 4, 6, 7}}));
  EXPECT_EQ(lanes("0.5", {5}), (Lanes{{1, 2, 3, 4, 5, 6, 7}, {4, 6, 7}}));
  EXPECT_EQ(lanes("0.5", {5, kPublished}), (Lanes{{2, 3, 4, 5, 6, 7}, {4, 6, 7}}))
      << "3 + 1 and 0 + 1: one lost";
}

}  // namespace
}  // namespace evictbench
