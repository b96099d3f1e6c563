// `heads` and `heads --ablate` on the model whose copying heads are known (tests/models/copying).
#include "harness/ablate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "harness/head_sets.h"
#include "tests/support/copying_model.h"
#include "tests/support/refusal.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

using Parsed = nlohmann::json;

constexpr const char* kKinds[] = {"copy", "semantic", "semantic_multiplicity", "reasoning"};

std::string text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

class Ablate : public testing::Test {
 protected:
  // Heads are found on one story, and masked on another.
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TempFolder>();
    HeadMeasurement measurement;
    fill(measurement, "find", 1);
    ASSERT_EQ(measurement.run(), 0);
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static void fill(HeadInput& input, const std::string& name, int seed) {
    input.tasks = folder_->write(name + ".yaml", copying::needles(seed));
    input.model = copying::model();
    input.where.threads = 1;
    input.out = *folder_ / name;
  }
  static HeadAblation ablation(const std::string& name, const std::vector<std::string>& kinds) {
    HeadAblation out;
    fill(out, name, 2);
    for (const std::string& kind : kinds) out.scores.push_back(*folder_ / ("find/" + kind + ".json"));
    return out;
  }

  static std::unique_ptr<TempFolder> folder_;
};
std::unique_ptr<TempFolder> Ablate::folder_;

TEST_F(Ablate, HeadsFindsExactlyTheCopyingHeads) {
  for (const char* kind : kKinds) {
    const std::vector<double> means = read_head_set(*folder_ / (std::string("find/") + kind + ".json")).means;
    ASSERT_EQ(std::ssize(means), copying::kAllHeads);
    const std::vector<int> order = ranking(means);
    EXPECT_EQ(std::set<int>(order.begin(), order.begin() + 3),
              std::set<int>(copying::kHeads.begin(), copying::kHeads.end()))
        << kind;
    const auto score = [&](std::size_t i) { return means[static_cast<std::size_t>(order[i])]; };
    EXPECT_GT(score(2), 0.95 * score(0)) << kind << ": the three are alike";
    EXPECT_LT(score(3), 0.2 * score(2)) << kind << ": no other comes near";
  }
}

TEST_F(Ablate, MaskingThemAndOnlyThemBreaksRetrieval) {
  HeadAblation one = ablation("masked", {"copy", "semantic", "reasoning"});
  one.counts = {2, 3, 4};
  ASSERT_EQ(one.run(), 0);
  const auto json = Parsed::parse(text_of(*folder_ / "masked/ablation.json"));
  const auto& table = json["tables"][0];
  EXPECT_EQ(table["score"], "exact");
  EXPECT_EQ(table["examples"], 24);
  EXPECT_EQ(table["none"]["mean"], 1);
  ASSERT_EQ(table["masked"].size(), 4u);
  for (const auto& row : table["masked"])
    for (const auto& point : row["points"]) {
      const bool broken = row["kind"] != "random" && point["count"] >= 3;
      EXPECT_EQ(point["mean"], broken ? 0 : 1) << row["kind"] << " " << point["count"];
      if (row["kind"] == "random") {
        EXPECT_EQ(point["draws"], (std::vector<double>{1, 1}));
      } else {
        EXPECT_EQ(point["cost"], broken ? 1 : 0);
      }
    }
  EXPECT_EQ(json["masks"].size(), 1 + 3 * 3 + 10 * 3u);
  EXPECT_EQ(text_of(*folder_ / "masked/ablation.md").find("LEAKAGE"), std::string::npos);
}

TEST_F(Ablate, FilesDoNotDependOnThreadsAndLeakageIsNamed) {
  HeadAblation one = ablation("one", {"copy"}), three = ablation("three", {"copy"});
  for (HeadAblation* each : {&one, &three}) {
    each->tasks = *folder_ / "find.yaml";
    each->overrides = {"tasks.0.lengths=[400]"};
    each->counts = {3};
  }
  three.where.threads = 3;
  ASSERT_EQ(one.run(), 0);
  ASSERT_EQ(three.run(), 0);
  for (const char* name : {"ablation.json", "ablation.csv", "ablation.md", "ablation.html"})
    EXPECT_EQ(text_of(*folder_ / "one" + "/" + name), text_of(*folder_ / "three" + "/" + name)) << name;
  EXPECT_NE(
      text_of(*folder_ / "one/ablation.md").find("LEAKAGE of copy: its heads were found on 8 of these 8"),
      std::string::npos);
}

// As if it had been stopped within the third example.
TEST_F(Ablate, GoesOnWhereItStopped) {
  HeadAblation whole = ablation("whole", {"copy"}), stopped = ablation("stopped", {"copy"});
  ASSERT_EQ(whole.run(), 0);
  const std::string lines = text_of(*folder_ / "whole/answers.jsonl");
  std::size_t end = 0;
  for (int line = 0; line < 3; ++line) end = lines.find('\n', end) + 1;  // what is answered, and two examples
  std::filesystem::create_directory(*folder_ / "stopped");
  folder_->write("stopped/answers.jsonl", lines.substr(0, end + 20));
  ASSERT_EQ(stopped.run(), 0);
  for (const char* name : {"answers.jsonl", "ablation.json", "ablation.html"})
    EXPECT_EQ(text_of(*folder_ / "stopped" + "/" + name), text_of(*folder_ / "whole" + "/" + name)) << name;

  HeadAblation other = ablation("stopped", {"copy"});
  other.draws = 11;
  expect_refusal([&] { other.run(); }, "E-AB-05", "10 draws of seed 2", Exit::kNotComparable);
  folder_->write("stopped/answers.jsonl",
                 lines.substr(0, end) + lines.substr(lines.rfind('\n', lines.size() - 2) + 1));
  expect_refusal([&] { stopped.run(); }, "E-AB-06", "len700-depth100-Quito; expected example niah len200",
                 Exit::kOutput);
}

TEST_F(Ablate, RefusesScoresThatDoNotFit) {
  HeadAblation twice = ablation("twice", {"copy", "copy"});
  expect_refusal([&] { twice.run(); }, "E-AB-04", "the kind \"copy\" a second time", Exit::kUsage);
  HeadAblation shape = ablation("shape", {});
  shape.scores = {folder_->write("shape.json", R"({"0-0": [1], "0-1": [2]})")};
  expect_refusal([&] { shape.run(); }, "E-AB-03", "1 layers of 2 heads; expected 2 layers of 8 heads");
  HeadAblation many = ablation("many", {"copy", "semantic"});
  many.counts = {8};
  expect_refusal([&] { many.run(); }, "E-AB-01", "of this model's 16 heads", Exit::kUsage);
  EXPECT_FALSE(std::filesystem::exists(*folder_ / "many/ablation.json"));
}

}  // namespace
}  // namespace evictbench
