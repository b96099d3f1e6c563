// Score files and orders: written, read back, ordered, compared.
#include "harness/head_sets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/io/file.h"
#include "tests/support/refusal.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

using testing::ElementsAre;
using testing::Pair;

const std::string kPublished = EVICTBENCH_SOURCE_DIR "/../shared/data/head_scores/";

TEST(HeadSets, RankingPutsTheLowerHeadFirstOnATie) {
  EXPECT_THAT(ranking(std::vector<double>{.1, .4, .1, .4, 0}), ElementsAre(1, 3, 0, 2, 4));
}

TEST(HeadSets, ScoresAndOrdersAreReadBackAsTheyWere) {
  const std::vector<double> first{1.0 / 3, 0, 2, 1e-17, 5, 0.1}, second{0, 0, 1, 3, 4, 0.2};
  const std::vector<const std::vector<double>*> trials{&first, &second};
  const std::string text = scores_text(2, 3, trials);
  EXPECT_THAT(text,
              testing::StartsWith("{\"0-0\":[0.3333333333333333,0],\"0-1\":[0,0],\"0-2\":[2,1],\"1-0\":"));
  const HeadScores scores = read_head_scores({"scores.json", text});
  EXPECT_EQ(scores.layers, 2);
  EXPECT_EQ(scores.heads, 3);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(scores.means[i], (first[i] + second[i]) / 2) << i;
  const HeadOrder order = read_head_order({"scores.json", text});
  EXPECT_THAT(order.order, ElementsAre(2, 0, 1, 1, 0, 2));
  EXPECT_EQ(order_text(order), "{\"0\":[2,0,1],\"1\":[1,0,2]}\n");
  EXPECT_EQ(read_head_order({"order.json", order_text(order)}).order, order.order);
}

class ComparedTest : public testing::Test {
 protected:
  HeadSet set(const std::string& name, const std::string& text) const {
    return read_head_set(folder_.write(name, text));
  }
  TempFolder folder_;
};

// By hand. Layer 0: best two are 0 1 and 1 2, layer 1: 0 1 and 0 1.
TEST_F(ComparedTest, ByHand) {
  const HeadSet a = set("a", R"({"0-0":[4],"0-1":[3],"0-2":[0],"1-0":[9],"1-1":[8],"1-2":[1]})");
  const HeadSet b = set("b", R"({"0-0":[0],"0-1":[5],"0-2":[2],"1-0":[9],"1-1":[8],"1-2":[1]})");
  const HeadComparison both = compare_heads(a, b, 2);
  EXPECT_THAT(both.shared, ElementsAre(1, 2));
  EXPECT_EQ(both.mean_shared, 1.5);
  EXPECT_DOUBLE_EQ(both.by_chance, 4.0 / 3);
  EXPECT_TRUE(both.overall.empty()) << "6 heads: no best 8";
  EXPECT_NEAR(both.layer_correlations[0], -.5, 1e-15);  // ranks 2 1 0 and 0 2 1
  EXPECT_NEAR(both.layer_correlations[1], 1, 1e-15);
  // Ranks of a: 3 2 0 5 4 1, of b: 0 3 2 5 4 1; differences 3 1 2 0 0 0: 1 - 6 * 14 / (6 * 35).
  EXPECT_NEAR(*both.correlation, .6, 1e-15);
}

TEST_F(ComparedTest, AnOrderHasNoScoresToCompareAllHeadsBy) {
  const HeadSet a = set("a", R"({"0":[2,1,0],"1":[0,1,2]})");
  const HeadSet b = set("b", R"({"0-0":[4],"0-1":[3],"0-2":[0],"1-0":[9],"1-1":[8],"1-2":[1]})");
  const HeadComparison both = compare_heads(a, b, 9);
  EXPECT_EQ(both.k, 3);
  EXPECT_FALSE(both.correlation);
  EXPECT_NEAR(both.layer_correlations[0], -1, 1e-15);
  EXPECT_NEAR(both.layer_correlations[1], 1, 1e-15);
}

TEST_F(ComparedTest, ShapesThatDifferAreNotComparable) {
  const HeadSet a = set("a", R"({"0":[1,0]})"), b = set("b", R"({"0":[2,1,0]})");
  expect_refusal([&] { compare_heads(a, b, 4); }, "E-HD-06", "1 layers of 3 heads.*1 layers of 2 heads",
                 Exit::kNotComparable);
}

TEST_F(ComparedTest, MalformedFilesAreRefused) {
  const std::pair<const char*, const char*> files[] = {{"", "E-HS-F07"},
                                                       {"{}", "E-HS-02"},
                                                       {"[1]", "E-HS-02"},
                                                       {R"({"0-0":[1],"0-2":[1]})", "E-HS-02"},
                                                       {R"({"0-0":[]})", "E-HS-04"},
                                                       {R"({"0-0":[0]})", "E-HS-06"},
                                                       {R"({"0-0":[-1]})", "E-HS-J06"},
                                                       {R"({"0":[0,0]})", "E-HS-07"},
                                                       {R"({"0":[0,1],"1":[0]})", "E-HS-07"},
                                                       {R"({"0-0":[NaN]})", "E-HS-J01"}};
  for (const auto& [text, code] : files) expect_refusal([&] { set("bad", text); }, code, "bad", Exit::kInput);
}

// The figures that the specification gives of the published files.
TEST(PublishedHeads, SemanticAndCopyHeadsOfLlamaShareAboutHalf) {
  if (!is_file(kPublished + "Llama-3.1-8B-Instruct_head_idx.json"))
    GTEST_SKIP() << "0 of 2 published files at hand";
  const HeadSet order = read_head_set(kPublished + "Llama-3.1-8B-Instruct_head_idx.json"),
                scores = read_head_set(kPublished + "Llama-3.1-8B-Instruct_classic_heads.json");
  const HeadComparison both = compare_heads(order, scores, 4);
  EXPECT_EQ(both.mean_shared, 2.5625);
  EXPECT_EQ(both.shared[0], 0);
  EXPECT_EQ(both.shared[1], 0);
  const std::vector<int> best = ranking(scores.means);
  EXPECT_THAT(std::vector<int>(best.begin(), best.begin() + 3),
              ElementsAre(15 * 32 + 30, 16 * 32 + 20, 16 * 32 + 1));
  EXPECT_EQ(order_text(order.order).substr(0, 24), "{\"0\":[11,25,23,27,21,26,");
}

}  // namespace
}  // namespace evictbench
