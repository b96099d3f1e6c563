// The peak that `plan` foretells against what `run` measured of the bundled model.
#include "harness/memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

constexpr const char* kSweep = R"(version: 1
model: {path: SOURCE/models/tiny-recall, chat: none}
protocol: {question: QUESTION}
policies: [{name: full}, {name: snapkv}, {name: adakv}, {name: streaming_llm}]
budgets: {unit: ratio, values: VALUES}
tasks: [{name: recall, kind: needle, lengths: [1000], depths: [50], count: 2, max_new: 16}]
output: {dir: OUT}
)";

class MemoryTest : public testing::Test {
 protected:
  // The greatest measured peak over the one foretold.
  double ratio(std::string question, std::string values) {
    std::string text = kSweep;
    for (const auto& [key, value] : {std::pair<std::string, std::string>{"SOURCE", EVICTBENCH_SOURCE_DIR},
                                     {"QUESTION", question},
                                     {"VALUES", values},
                                     {"OUT", folder_ / "out"}})
      text.replace(text.find(key), key.size(), value);
    const std::string sweep = folder_.write("sweep.yaml", text), plan = folder_ / "plan.json";
    const std::string program = EVICTBENCH_BINARY;
    EXPECT_EQ(std::system((program + " plan --json " + sweep + " > " + plan).c_str()), 0);
    EXPECT_EQ(std::system((program + " run " + sweep + " >/dev/null 2>&1").c_str()), 0);
    const double foretold = nlohmann::json::parse(std::ifstream(plan)).at("memory").at("peak");
    double measured = 0;
    std::ifstream timings(folder_ / "out/timings.jsonl");
    for (std::string line; std::getline(timings, line);)
      measured = std::max(measured, nlohmann::json::parse(line).value("peak_bytes", 0.0));
    return measured / foretold;
  }

  TempFolder folder_;
};

TEST_F(MemoryTest, FewPointsOfSmallBudgets) {
  if (std::string(EVICTBENCH_BINARY).empty()) GTEST_SKIP() << "the program is not built here";
  EXPECT_THAT(ratio("inside", "[0.05, 0.1]"), testing::DoubleNear(1, 0.1));
}

TEST_F(MemoryTest, ManyPointsOfAllBudgets) {
  if (std::string(EVICTBENCH_BINARY).empty()) GTEST_SKIP() << "the program is not built here";
  EXPECT_THAT(ratio("after", "[0.1, 0.2, 0.3, 0.39, 0.5, 0.8]"), testing::DoubleNear(1, 0.1));
}

}  // namespace
}  // namespace evictbench
