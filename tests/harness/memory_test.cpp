// The peak that `plan` foretells against what `run` measured of the bundled model.
#include "harness/memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/cpu/kernels.h"
#include "tests/support/program.h"

namespace evictbench {
namespace {

constexpr const char* kTasks =
    "[{name: recall, kind: needle, lengths: [1000], depths: [50], count: 2, max_new: 16}]";

class MemoryTest : public Program {
 protected:
  // The greatest measured peak over the one foretold.
  double ratio(const std::string& protocol, const std::string& values, const std::string& tasks = kTasks,
               const std::string& options = "") {
    std::filesystem::remove_all(folder_ / "out");
    const std::string sweep = folder_.write(
        "sweep.yaml",
        "version: 1\nmodel: {path: " EVICTBENCH_SOURCE_DIR "/models/tiny-recall, chat: none}\nprotocol: {" +
            protocol +
            "}\npolicies: [{name: full}, {name: snapkv}, {name: adakv}, {name: streaming_llm}]\n"
            "budgets: {unit: ratio, values: " +
            values + "}\ntasks: " + tasks + "\noutput: {dir: " + (folder_ / "out") + "}\n");
    EXPECT_EQ(call("plan --json " + sweep + options), 0) << text("errors");
    const double foretold = nlohmann::json::parse(text("said")).at("memory").at("peak");
    EXPECT_EQ(call("run " + sweep + options), 0) << text("errors");
    double measured = 0;
    std::istringstream timings(text("out/timings.jsonl"));
    for (std::string line; std::getline(timings, line);)
      measured = std::max(measured, nlohmann::json::parse(line).value("peak_bytes", 0.0));
    return measured / foretold;
  }
};

TEST_F(MemoryTest, FewPointsOfSmallBudgets) {
  EXPECT_THAT(ratio("question: inside", "[0.05, 0.1]"), testing::DoubleNear(1, 0.1));
}

TEST_F(MemoryTest, ManyPointsOfAllBudgets) {
  EXPECT_THAT(ratio("question: after", "[0.1, 0.2, 0.3, 0.39, 0.5, 0.8]"), testing::DoubleNear(1, 0.1));
}

TEST_F(MemoryTest, InBf16Dot) {
  if (!cpu::kernels_named("").gemm_pairs) GTEST_SKIP() << "no bf16 dot products in this processor";
  for (const char* budgets : {"[0.05, 0.1]", "[0.1, 0.2, 0.3, 0.39, 0.5, 0.8]"})
    EXPECT_THAT(ratio("question: inside", budgets, kTasks, " --compute bf16dot"), testing::DoubleNear(1, 0.1))
        << budgets;
}

TEST_F(MemoryTest, SeveralInFlight) {
  constexpr const char* kFour =
      "[{name: recall, kind: needle, lengths: [1000], depths: [50], count: 4, max_new: 16}]";
  for (const char* question : {"question: inside", "question: after", "question: after, fidelity: answer"})
    EXPECT_THAT(ratio(question, "[0.1, 0.3]", kFour, " --in-flight 3"), testing::DoubleNear(1, 0.1))
        << question;
}

TEST_F(MemoryTest, FidelityOfManyPoints) {
  EXPECT_THAT(ratio("question: after, fidelity: answer", "[0.1, 0.2, 0.3, 0.39, 0.5, 0.8]"),
              testing::DoubleNear(1, 0.1));
}

// A fifth of the peak is that of fidelity: 600 rows of logits, and 16 tokens of every point fed together.
TEST_F(MemoryTest, FidelityAlongALongReference) {
  std::string document, summary;
  for (int i = 0; i < 40; ++i) document += "The motto of Jorona is amber lemon. ";
  for (int i = 0; i < 400; ++i) summary += "amber lemon ";
  folder_.write("x.jsonl", nlohmann::json{{"document", document}, {"summary", summary}}.dump() + "\n");
  EXPECT_THAT(
      ratio("question: inside, fidelity: reference", "[0.1]", "[{name: xsum, path: x.jsonl, max_new: 600}]"),
      testing::DoubleNear(1, 0.1));
}

}  // namespace
}  // namespace evictbench
