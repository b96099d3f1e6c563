// A run in shards, put together: the same bytes as one that was never cut.
#include "harness/shard.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "tests/support/program.h"

namespace evictbench {
namespace {

TEST(Shard, EveryUnitIsInOne) {
  for (const int count : {1, 2, 3, 7})
    for (std::size_t unit = 0; unit < 20; ++unit) {
      int in = 0;
      for (int index = 1; index <= count; ++index) in += Shard{index, count}.has(unit);
      EXPECT_EQ(in, 1);
    }
}

TEST(Shard, IsReadFromText) {
  EXPECT_EQ(parse_shard("2/8").index, 2);
  EXPECT_EQ(parse_shard("2/8").count, 8);
  for (const char* bad :
       {"", "/", "1", "0/4", "5/4", "-1/4", "1/0", "a/4", "1/4x", "1 /4", "1/4/2", "1/99999999999"})
    EXPECT_THROW(parse_shard(bad), Error) << bad;
}

class ShardRun : public Program {
 protected:
  void SetUp() override {
    Program::SetUp();
    folder_.write("sweep.yaml", R"(version: 1
model: {path: )" EVICTBENCH_SOURCE_DIR R"(/models/tiny-recall, chat: none}
protocol: {question: [inside, after], seed: 7}
policies: [{name: full}, {name: streaming_llm}, {name: snapkv, window: 8}]
budgets: {unit: ratio, values: [0.3]}
tasks:
  - {name: recall, id: a, kind: needle, lengths: [96], count: 3}
  - {name: recall, id: b, kind: labels, lengths: [192], count: 2}
output: {dir: whole}
)");
  }
  int run(const std::string& to, const std::string& options) const {
    return call("run " + (folder_ / "sweep.yaml") + " --set output.dir=" + (folder_ / to) + " " + options);
  }
  int merge(const std::string& folders, const std::string& to) const {
    std::string line = "merge --into " + (folder_ / to);
    std::string_view rest = folders;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(' '), rest.size());
      line += " " + (folder_ / std::string(rest.substr(0, end)));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return call(line);
  }
  void make_parts(int count) const {
    for (int i = 1; i <= count; ++i) {
      const std::string name = std::to_string(i), shard = name + "/" + std::to_string(count);
      ASSERT_EQ(run("part" + name, "--shard " + shard), 0) << said();
    }
  }
};

TEST_F(ShardRun, PartsGiveTheBytesOfTheWhole) {
  ASSERT_EQ(run("whole", ""), 0) << said();
  make_parts(3);
  ASSERT_EQ(merge("part3 part1 part2", "merged"), 0) << said();
  for (const char* file :
       {"records.jsonl", "manifest.json", "examples.json", "results.json", "results.csv", "results.md"})
    EXPECT_EQ(text(std::string("merged/") + file), text(std::string("whole/") + file)) << file;
  const std::string timings = text("merged/timings.jsonl");
  EXPECT_EQ(std::ranges::count(timings, '\n'), 10);
  ASSERT_EQ(merge("part1 part2 part3", "merged"), 0) << said();  // again
  EXPECT_EQ(text("merged/timings.jsonl"), timings);
}

TEST_F(ShardRun, AShardMayBeEmpty) {
  make_parts(11);  // of ten units
  ASSERT_EQ(merge("part1 part2 part3 part4 part5 part6 part7 part8 part9 part10 part11", "merged"), 0)
      << said();
  EXPECT_EQ(std::ranges::count(text("merged/records.jsonl"), '\n'), 30);
}

TEST_F(ShardRun, PartsThatDoNotBelongTogetherAreRefused) {
  ASSERT_EQ(run("whole", ""), 0) << said();
  make_parts(2);
  EXPECT_EQ(merge("part1", "merged"), 4);
  EXPECT_NE(said().find("every shard once"), std::string::npos) << said();
  EXPECT_EQ(merge("part1 part1", "merged"), 4);
  EXPECT_EQ(merge("part1 whole", "merged"), 4);
  EXPECT_NE(said().find("a whole run"), std::string::npos) << said();
  EXPECT_EQ(merge("part1 nothing", "merged"), 6);
  ASSERT_EQ(run("other", "--shard 2/2 --set protocol.seed=8"), 0) << said();
  EXPECT_EQ(merge("part1 other", "merged"), 8);

  const std::string whole = text("part2/records.jsonl");
  std::filesystem::remove_all(folder_ / "short");
  std::filesystem::copy(folder_ / "part2", folder_ / "short");
  folder_.write("short/records.jsonl", whole.substr(0, whole.find('\n') + 1));
  EXPECT_EQ(merge("part1 short", "merged"), 4);
  EXPECT_NE(said().find("--shard 2/2"), std::string::npos) << said();
  EXPECT_FALSE(std::filesystem::exists(folder_ / "merged"));
  EXPECT_EQ(run("part2", "--shard 1/2"), 8);  // a folder is one shard's
}

}  // namespace
}  // namespace evictbench
