// Fidelity through the program: what it adds to records, and that a run which stops anywhere ends with the same bytes.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "harness/prepared.h"
#include "tests/support/longbench_files.h"
#include "tests/support/refusal.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

using nlohmann::json;

constexpr const char* kSweep = R"(version: 1
model: {path: SOURCE/models/tiny-recall, chat: none}
protocol: {question: [inside, after]}
policies: [{name: full}, {name: snapkv}, {name: random}, {name: streaming_llm}]
budgets: {unit: ratio, values: [0.1, 0.4]}
tasks: [{name: recall, kind: needle, lengths: [300], depths: [50], count: 2, max_new: 20}]
output: {dir: unset}
)";

class FidelityRun : public testing::Test {
 protected:
  FidelityRun() {
    std::string text = kSweep;
    text.replace(text.find("SOURCE"), 6, EVICTBENCH_SOURCE_DIR);
    sweep_ = folder_.write("sweep.yaml", text);
  }
  void SetUp() override {
    if (std::string(EVICTBENCH_BINARY).empty()) GTEST_SKIP() << "the program is not built here";
  }

  // -> exit code
  int run(const std::string& output, const std::string& fidelity) const {
    std::string command =
        std::string(EVICTBENCH_BINARY) + " run " + sweep_ + " --set output.dir=" + (folder_ / output);
    if (!fidelity.empty()) command += " --set protocol.fidelity=" + fidelity;
    return WEXITSTATUS(std::system((command + " >/dev/null 2>&1").c_str()));
  }
  std::string records(const std::string& output) const {
    std::stringstream text;
    text << std::ifstream(folder_ / output + "/records.jsonl").rdbuf();
    return text.str();
  }
  std::vector<json> parsed(const std::string& output) const {
    std::vector<json> all;
    std::istringstream lines(records(output));
    for (std::string line; std::getline(lines, line);) all.push_back(json::parse(line));
    return all;
  }

  TempFolder folder_;
  std::string sweep_;
};

TEST_F(FidelityRun, AddsAMemberAndChangesNoOther) {
  ASSERT_EQ(run("plain", ""), 0);
  const std::vector<json> plain = parsed("plain");
  ASSERT_EQ(plain.size(), 2u * 2 * 7);
  for (const std::string fidelity : {"answer", "reference"}) {
    ASSERT_EQ(run(fidelity, fidelity), 0);
    std::vector<json> records = parsed(fidelity);
    ASSERT_EQ(records.size(), plain.size());
    for (std::size_t i = 0; i < plain.size(); ++i) {
      const json measured = records[i].at("fidelity");
      const bool full = records[i].at("policy") == "full";
      EXPECT_EQ(measured.at("kl") == 0, full) << measured;
      EXPECT_EQ(measured.at("mass") == 1, full) << measured;
      EXPECT_EQ(measured.at("mass_by_layer").size(), 4u);
      json before = plain[i];
      for (const char* name : {"fidelity", "check"}) {
        records[i].erase(name);
        before.erase(name);
      }
      EXPECT_EQ(records[i], before);
    }
  }
  EXPECT_EQ(run("plain", "answer"), 8) << "another experiment";
}

TEST_F(FidelityRun, TheReferenceGoesOnWhereThePromptEnds) {
  const auto text_of = [&](const std::string& fidelity, const std::string& max_new) {
    const Prepared run(sweep_, {"protocol.fidelity=" + fidelity, "tasks.0.max_new=" + max_new});
    const Example& example = run.plan.tasks[0].examples[0];
    Tokens tokens = run.prompt_of(example).question;
    const Continuation along = run.continuation_of(example, run.prompt_of(example));
    tokens.insert(tokens.end(), along.reference.begin(), along.reference.end());
    EXPECT_LE(along.reference.size(), std::stoul(max_new));
    const std::string whole = example.answer_prefix + " " + example.answers[0];
    return std::pair(run.checkpoint.tokenizer().decode(tokens).ends_with(whole), along.reference.empty());
  };
  EXPECT_EQ(text_of("reference", "20"), std::pair(true, false));
  EXPECT_EQ(text_of("reference", "1"), std::pair(false, false)) << "cut at max_new";
  EXPECT_EQ(text_of("answer", "20"), std::pair(false, true));
}

TEST_F(FidelityRun, NeedsAReferenceToGoAlong) {
  folder_.write("qasper.jsonl", longbench_line("one") + longbench_line("two", {{"answers", {"", "this"}}}));
  const std::string sweep =
      folder_.write("longbench.yaml", "version: 1\nmodel: {path: " EVICTBENCH_SOURCE_DIR
                                      "/models/tiny-recall}\nprotocol: {question: inside}\npolicies: [{name: "
                                      "full}]\ntasks: [{name: longbench, path: .}]\n"
                                      "output: {dir: unset}\n");
  expect_refusal([&] { Prepared(sweep, {"protocol.fidelity=reference"}); }, "E-PL-03",
                 "example two of task longbench/qasper has no reference answer", Exit::kSweep);
  EXPECT_NO_THROW(Prepared(sweep, {"protocol.fidelity=answer"}));
  EXPECT_NO_THROW(Prepared(sweep, {"protocol.fidelity=reference", "tasks.0.limit=1"}));
}

TEST_F(FidelityRun, ThatIsResumedHasTheSameBytes) {
  ASSERT_EQ(run("whole", "answer"), 0);
  const std::string whole = records("whole");
  std::size_t end = 0;
  for (int line = 1; line < 10; ++line) {  // most in the middle of a prompt, whose rest has no full cache
    end = whole.find('\n', end) + 1;
    if (line % 3 != 0) continue;
    std::filesystem::copy(folder_ / "whole", folder_ / "cut");
    std::filesystem::resize_file(folder_ / "cut/records.jsonl", end);
    ASSERT_EQ(run("cut", "answer"), 0);
    EXPECT_TRUE(records("cut") == whole) << "cut behind line " << line;
    std::filesystem::remove_all(folder_ / "cut");
  }
}

}  // namespace
}  // namespace evictbench
