// A run with several examples in flight: the bytes of one at a time, wherever it was cut off.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <tuple>

#include "tests/support/program.h"

namespace evictbench {
namespace {

class FlightRun : public Program {
 protected:
  void SetUp() override {
    Program::SetUp();
    folder_.write("sweep.yaml", R"(version: 1
model: {path: )" EVICTBENCH_SOURCE_DIR R"(/models/tiny-recall, chat: none, in_flight: 3}
protocol: {question: [inside, after], seed: 7, fidelity: answer}
policies: [{name: full}, {name: h2o, window: 8}, {name: snapkv, window: 8}]
budgets: {unit: ratio, values: [0.3]}
tasks:
  - {name: recall, id: a, kind: needle, lengths: [64, 96], count: 1, max_new: 12}
  - {name: recall, id: b, kind: labels, lengths: [176], count: 2}
output: {dir: unset}
)");
  }
  int run(const std::string& to, const std::string& options = "") const {
    return call("run " + (folder_ / "sweep.yaml") + " --set output.dir=" + (folder_ / to) + " " + options);
  }
  std::string records(const std::string& folder) const { return text(folder + "/records.jsonl"); }
};

TEST_F(FlightRun, AnyNumberLeavesTheBytesOfOneAtATime) {
  ASSERT_EQ(run("one", "--in-flight 1"), 0) << said();
  ASSERT_FALSE(records("one").empty());
  for (const std::string n : {"2", "5", "64"}) {
    ASSERT_EQ(run(n, "--in-flight " + n), 0) << said();
    for (const char* file :
         {"records.jsonl", "manifest.json", "examples.json", "results.json", "results.csv", "results.md"})
      EXPECT_EQ(text(n + "/" + file), text(std::string("one/") + file)) << n << " " << file;
  }
}

TEST_F(FlightRun, ARunThatWasCutOffAtAnyRecordEndsWithTheSameBytes) {
  ASSERT_EQ(run("whole", "--in-flight 1"), 0) << said();
  const std::string whole = records("whole");
  int cuts = 0;
  for (std::size_t end = 0;; end = whole.find('\n', end) + 1) {
    const std::string to = "cut" + std::to_string(cuts);
    std::filesystem::copy(folder_ / "whole", folder_ / to);
    const std::size_t torn = cuts % 2 == 0 ? 0 : 10;  // half a line behind it, or none
    folder_.write(to + "/records.jsonl", whole.substr(0, end + torn));
    ASSERT_EQ(run(to, "--in-flight " + std::to_string(1 + cuts % 4)), 0) << said();
    EXPECT_EQ(records(to), whole) << "cut behind record " << cuts;
    ++cuts;
    if (end == whole.size()) break;
  }
  EXPECT_EQ(cuts, std::ranges::count(whole, '\n') + 1);
}

TEST_F(FlightRun, TimesOfTheExamplesAddUp) {
  ASSERT_EQ(run("one", "--in-flight 1"), 0) << said();
  ASSERT_EQ(run("many"), 0) << said();
  const auto sums = [&](const char* folder) {
    std::istringstream lines(text(std::string(folder) + "/timings.jsonl"));
    int prompts = 0, tokens = 0, count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
      const auto json = nlohmann::json::parse(line);
      prompts += json.at("prompt_tokens").get<int>();
      tokens += json.at("decoded_tokens").get<int>();
      EXPECT_GT(json.at("decode_s").get<double>(), 0);
      EXPECT_GT(json.at("fidelity_s").get<double>(), 0);
    }
    return std::tuple(prompts, tokens, count);
  };
  EXPECT_EQ(sums("many"), sums("one"));
}

TEST_F(FlightRun, TheNumberIsCheckedAndForetold) {
  for (const std::string bad : {"0", "65", "-1", "many"}) EXPECT_EQ(run("bad", "--in-flight " + bad), 2) << bad;
  const auto peak = [&](const std::string& many) {
    EXPECT_EQ(call("plan " + (folder_ / "sweep.yaml") + " --json --in-flight " + many), 0) << said();
    const auto memory = nlohmann::json::parse(text("said")).at("memory");
    return memory.at("peak").get<double>() - memory.at("weights").get<double>();
  };
  EXPECT_GT(peak("4"), 2 * peak("1"));
  EXPECT_EQ(peak("64"), peak("8")) << "of 8 prompts";
}

}  // namespace
}  // namespace evictbench
