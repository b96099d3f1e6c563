#include "reports/ablation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "tests/support/html_fault.h"

namespace evictbench {
namespace {

using testing::HasSubstr;
using testing::Not;

// Two examples, one kind, K of 2, two draws. Masked by "copy": 0 and 1 right; by the draws: 1 and 1, 1 and 0.
Ablation small() {
  const auto scores = [](std::vector<double> exact) {
    std::vector<std::map<std::string, double>> out;
    for (const double score : exact) out.push_back({{"exact", score}, {"another", score / 2}});
    return out;
  };
  return {.heads_per_layer = 4,
          .kinds = {"copy"},
          .counts = {2},
          .draws = 2,
          .masks = {{"none", 0, 0, {}},
                    {"copy", 2, 0, {5, 3}},
                    {"random", 2, 0, {0, 7}},
                    {"random", 2, 1, {7, 6}}},
          .examples = {{"needles", "one", 512, 0, scores({1, 0, 1, 1})},
                       {"needles", "two", 512, 50, scores({1, 1, 1, 0})}},
          .main_scores = {{"needles", "exact"}},
          .facts = {{"model", "a<b>|c"}}};
}

TEST(AblationTables, AreMeansPairedByExample) {
  const auto tables = ablation_tables(small());
  ASSERT_EQ(tables.size(), 2u);
  EXPECT_EQ(tables[0].score, "exact");
  EXPECT_TRUE(tables[0].main);
  EXPECT_FALSE(tables[1].main);
  const AblationTable& table = tables[0];
  EXPECT_EQ(table.none.score.mean, 1);
  ASSERT_EQ(table.rows.size(), 2u);
  const AblationPoint &copy = table.rows[0].points[0], &random = table.rows[1].points[0];
  EXPECT_EQ(copy.score.mean, 0.5);
  EXPECT_EQ(random.score.mean, 0.75) << "1 and a half";
  EXPECT_EQ(random.draws->low, 0.5);
  EXPECT_EQ(random.draws->high, 1);
  EXPECT_EQ(copy.cost->mean, 0.25) << "1 - 0 and 0.5 - 1";
  EXPECT_FALSE(copy.draws || random.cost);
  EXPECT_EQ(random.cells.at({50, 512}).first, 0.5);
  EXPECT_EQ(copy.cells.at({0, 512}).first, 0);
}

TEST(AblationFiles, SayTheSame) {
  const auto list = ablation_files(small());
  std::map<std::string, std::string> files(list.begin(), list.end());
  ASSERT_EQ(files.size(), 4u);
  const auto json = nlohmann::json::parse(files.at("ablation.json"));
  EXPECT_EQ(json["masks"][1]["heads"], (std::vector<std::string>{"1-1", "0-3"}));
  EXPECT_EQ(json["tables"][0]["masked"][0]["points"][0]["cost"], 0.25);
  EXPECT_EQ(json["answers"][1]["scores"]["exact"], (std::vector<double>{1, 1, 1, 0}));
  EXPECT_THAT(files.at("ablation.csv"), HasSubstr("needles,exact,yes,random,2,2,0.75,"));
  EXPECT_THAT(files.at("ablation.md"), HasSubstr("| best copy heads | 100.0 | 50.0 |\n"));
  EXPECT_THAT(files.at("ablation.md"), HasSubstr("| random heads, 2 draws | 100.0 | 75.0 (50.0–100.0) |\n"));
  EXPECT_THAT(files.at("ablation.md"), HasSubstr("a&lt;b&gt;\\|c"));
  const std::string& page = files.at("ablation.html");
  EXPECT_THAT(page, HasSubstr("a&lt;b&gt;|c"));
  EXPECT_EQ(html_fault(page), "");
  for (const char* foreign : {"http:", "https:", "src=", "url(", "<script", "<link"})
    EXPECT_THAT(page, Not(HasSubstr(foreign)));
  EXPECT_THAT(page, HasSubstr("1-1, 0-3"));
}

}  // namespace
}  // namespace evictbench
