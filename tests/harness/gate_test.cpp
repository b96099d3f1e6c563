// The gate of continuous integration: a small sweep of the bundled model gives the committed bits, and a changed answer
// or byte does not pass.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "harness/results.h"
#include "reports/record_json.h"
#include "tests/support/program.h"

namespace evictbench {
namespace {

const std::string kSource = EVICTBENCH_SOURCE_DIR;

class GateTest : public Program {
 protected:
  void SetUp() override {
    Program::SetUp();
    if (IsSkipped()) return;
    ASSERT_EQ(call("run " + kSource + "/harness/sweeps/gate.yaml --threads 1 --set output.dir=" + out()), 0);
    ASSERT_EQ(check(), 0);
  }
  std::string out() const { return folder_ / "out"; }
  int check() const {
    return call("check " + out() + " --baseline " + kSource + "/tests/baselines/gate.json");
  }
  void rewrite(const std::vector<Record>& records) const {
    std::string text;
    for (const Record& record : records) text += record_line(record) + "\n";
    folder_.write("out/records.jsonl", text);
  }
};

TEST_F(GateTest, OneChangeTurnsItRed) {
  const std::vector<Record> good = read_records(out());
  std::vector<Record> bad = good;
  bad[17].answer_ids.front() ^= 1;
  rewrite(bad);
  EXPECT_EQ(check(), 1);
  EXPECT_THAT(said(), testing::HasSubstr("1 of " + std::to_string(good.size()) + " records are not as in"));

  bad = good;
  ++bad[17].retained_bytes;
  rewrite(bad);
  EXPECT_EQ(check(), 1);

  rewrite(good);
  EXPECT_EQ(check(), 0);
  bad.pop_back();
  rewrite(bad);
  EXPECT_EQ(check(), 8) << "an unfinished run is not comparable";
}

TEST_F(GateTest, AFlippedByteOfTheJournalIsNoResult) {
  std::ifstream in(out() + "/records.jsonl");
  std::string text{std::istreambuf_iterator<char>(in), {}};
  text[text.size() / 2] ^= 1;
  folder_.write("out/records.jsonl", text);
  EXPECT_NE(check(), 0);
}

TEST_F(GateTest, ComparesRunsAndPolicies) {
  const std::string base = folder_ / "base", junit = folder_ / "junit.xml";
  std::filesystem::copy(out(), base, std::filesystem::copy_options::recursive);
  ASSERT_EQ(call("compare " + base + " " + out() + " --junit " + junit), 0) << said();
  EXPECT_THAT(text("said"), testing::HasSubstr("0 of 208 points and means are worse"));
  EXPECT_THAT(text("junit.xml"), testing::HasSubstr("tests=\"209\" failures=\"0\""));

  const std::vector<Record> good = read_records(out());
  std::vector<Record> bad = good;
  ++bad[17].retained_bytes;
  rewrite(bad);
  EXPECT_EQ(call("compare " + base + " " + out()), 1);
  EXPECT_THAT(text("said"), testing::HasSubstr("WORSE: more bytes in 1"));
  EXPECT_EQ(call("compare " + base + " " + out() + " --memory-tolerance 1 --json"), 0);
  EXPECT_THAT(text("said"), testing::HasSubstr("\"regressions\":0"));
  bad.resize(20);
  rewrite(bad);
  EXPECT_EQ(call("compare " + base + " " + out()), 8);
  EXPECT_THAT(text("errors"), testing::HasSubstr("answers without a partner"));
  EXPECT_EQ(call("compare " + base + " " + out() + " --partial --memory-tolerance 1"), 0);
  EXPECT_THAT(text("said"), testing::HasSubstr("left out: 214 answers without a partner"));

  std::ofstream(out() + "/timings.jsonl", std::ios::app) << "{\"peak_bytes\":1e12}\n";
  rewrite(good);
  EXPECT_EQ(call("compare " + base + " " + out()), 1);
  EXPECT_THAT(text("said"), testing::HasSubstr("and more memory is needed"));
  EXPECT_EQ(call("compare " + base + " " + out() + " --peak-tolerance 10000000"), 0);
  EXPECT_EQ(call("compare " + base + " " + out() + " --json"), 1);
  EXPECT_THAT(text("said"), testing::HasSubstr("\"more_peak\":true"));

  ASSERT_EQ(call("compare " + base + " " + base + " --policy snapkv=adakv"), 0) << said();
  EXPECT_THAT(text("said"), testing::HasSubstr("snapkv -> adakv at 40 %"));
  ASSERT_EQ(
      call("compare " + base + " " + base + " --policy 'pyramidkv=snapkv{kernel=7,pool=max,window=32}'"), 0)
      << said();
  EXPECT_EQ(call("compare " + base + " " + base + " --policy snapkv"), 2);
  EXPECT_EQ(call("compare " + base + " " + base + " --policy snapkv=h2o"), 2);
  for (const char* percent : {"-1", "nan", "inf", "much"})
    EXPECT_EQ(call("compare " + base + " " + base + " --tolerance " + percent), 2) << percent;
  EXPECT_EQ(call("compare " + base + " " + base + " --json --junit /dev/stdout"), 0);
  EXPECT_THAT(text("said"), testing::HasSubstr("</testsuite>\n{\"settings\""));
  EXPECT_EQ(call("compare " + base + " " + base + " --junit " + base), 6) << "a folder";
  EXPECT_EQ(call("compare " + base + " " + base + " --junit " + base + "/none/junit.xml"), 6);
  EXPECT_EQ(call("compare " + base + " " + folder_.path()), 2);
}

TEST_F(GateTest, ABaselineOfTheRunItselfPasses) {
  const std::string mine = folder_ / "mine.json";
  ASSERT_EQ(call("check " + out() + " --write --baseline " + mine), 0);
  EXPECT_EQ(call("check " + out() + " --baseline " + mine), 0);
  std::ifstream in(mine), committed(kSource + "/tests/baselines/gate.json");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}),
            std::string(std::istreambuf_iterator<char>(committed), {}));
}

}  // namespace
}  // namespace evictbench
