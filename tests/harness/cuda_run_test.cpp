// The program on a CUDA card, an emulated one: whole runs, a card that is too small, a card that is lost.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tests/support/program.h"

namespace evictbench {
namespace {

class CudaRun : public Program {
 protected:
  void SetUp() override {
    Program::SetUp();
    folder_.write("sweep.yaml", R"(version: 1
model: {path: )" EVICTBENCH_SOURCE_DIR R"(/models/tiny-recall, chat: none, compute: f32}
protocol: {question: [inside, after], seed: 7}
policies:
  - {name: full}
  - {name: streaming_llm}
  - {name: snapkv, window: 8}
  - {name: adakv, window: 8}
  - {name: h2o, window: 8}
budgets: {unit: ratio, values: [0.2, 0.5]}
tasks:
  - {name: recall, kind: needle, lengths: [64], count: 2}
output: {dir: results}
)");
  }

  // Runs the sweep into folder `to`, with `environment` before the program's name.
  int sweep(const std::string& binary, const std::string& to, const std::string& options,
            const std::string& environment = {}) const {
    const std::string line = environment + " " + binary + " run " + (folder_ / "sweep.yaml") +
                             " --set output.dir=" + (folder_ / to) + " " + options + " >" +
                             (folder_ / "said") + " 2>" + (folder_ / "errors");
    const int status = std::system(line.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string on_cpu() const {
    EXPECT_EQ(sweep(EVICTBENCH_BINARY, "cpu", ""), 0) << said();
    return text("cpu/records.jsonl");
  }
};

constexpr const char* kCard = EVICTBENCH_EMULATED_BINARY;

TEST_F(CudaRun, F32GivesTheRecordsOfTheCpu) {
  const std::string expected = on_cpu();
  ASSERT_FALSE(expected.empty());
  ASSERT_EQ(sweep(kCard, "card", "--device cuda"), 0) << said();
  EXPECT_EQ(text("card/records.jsonl"), expected);
}

TEST_F(CudaRun, GraphsShowInNothing) {
  const std::string expected = on_cpu();
  ASSERT_EQ(sweep(kCard, "card", "--device cuda", "EVICTBENCH_CUDA_GRAPHS=1"), 0) << said();
  EXPECT_EQ(text("card/records.jsonl"), expected);
}

TEST_F(CudaRun, HalvesAreModesOfTheirOwn) {
  for (const std::string mode : {"bf16", "f16"}) {
    ASSERT_EQ(sweep(kCard, mode, "--device cuda --compute " + mode), 0) << said();
    const std::string records = text(mode + "/records.jsonl");
    EXPECT_NE(records.find("\"compute\":\"" + mode + "\""), records.npos);
    EXPECT_EQ(records.find("\"error\":\"o"), records.npos);
  }
}

TEST_F(CudaRun, ALostCardStartsTheProgramAnewAndNothingShows) {
  const std::string expected = on_cpu();
  ASSERT_EQ(sweep(kCard, "card", "--device cuda", "EVICTBENCH_EMULATED_LOSS=700"), 0) << said();
  EXPECT_NE(text("errors").find("starting anew"), std::string::npos) << said();
  EXPECT_EQ(text("card/records.jsonl"), expected);
}

TEST_F(CudaRun, ACardThatIsLostTwiceIsAnErrorThatResumes) {
  const std::string expected = on_cpu();
  ASSERT_EQ(sweep(kCard, "card", "--device cuda", "EVICTBENCH_EMULATED_LOSS='700 always'"), 75) << said();
  EXPECT_NE(text("errors").find("run the same command again"), std::string::npos) << said();
  ASSERT_EQ(sweep(kCard, "card", "--device cuda"), 0) << said();
  EXPECT_EQ(text("card/records.jsonl"), expected);
}

TEST_F(CudaRun, WhatDoesNotFitFailsWithItsBytesAndTheRunGoesOn) {
  ASSERT_EQ(sweep(kCard, "card", "--device cuda", "EVICTBENCH_EMULATED_MEMORY=8000000"), 5) << said();
  const std::string records = text("card/records.jsonl");
  EXPECT_NE(records.find("out of memory on emulated card"), records.npos) << records.substr(0, 2000);
}

TEST_F(CudaRun, ABuildOrModeWithoutACardSaysSo) {
  EXPECT_EQ(sweep(kCard, "card", "--device cuda --compute bf16dot"), 3);
  EXPECT_NE(said().find("bf16 or f16 or f32"), std::string::npos) << said();
  EXPECT_EQ(sweep(EVICTBENCH_BINARY, "cpu", "--device cpu --compute bf16"), 3);
}

}  // namespace
}  // namespace evictbench
