// `score` and `validate data` as a user meets them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>

#include <fstream>
#include <iterator>

#include "tests/support/longbench_files.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

using testing::HasSubstr;

const std::string kSegmenter = EVICTBENCH_SOURCE_DIR "/tests/datasets/vectors/segmenter";

class Program : public testing::Test {
 protected:
  void SetUp() override {
    if (std::string(EVICTBENCH_BINARY).empty()) GTEST_SKIP() << "the program is not built here";
  }
  int call(const std::string& arguments) {
    const std::string line =
        EVICTBENCH_BINARY + (" " + arguments) + " >" + (folder_ / "out") + " 2>" + (folder_ / "err");
    const int status = std::system(line.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string text(const std::string& name) const {
    std::ifstream in(folder_ / name);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  TempFolder folder_, data_;
};

TEST_F(Program, ScoresAsJson) {
  data_.write("hotpotqa.jsonl",
              prediction_line() + prediction_line({{"pred", "no"}}) + prediction_line({{"pred", "no"}}));
  data_.write("lcc.jsonl", prediction_line({{"length", 4000}}));
  ASSERT_EQ(call("score " + data_.path() + " --format longbench --json"), 0);
  EXPECT_EQ(text("out"), "{\"hotpotqa\":33.33,\"lcc\":100.0}\n");
  EXPECT_THAT(text("err"), HasSubstr("3 lines, but hotpotqa has 200 records"));
  ASSERT_EQ(call("score " + data_.path() + " --format longbench-e --json --tasks lcc"), 0);
  EXPECT_EQ(text("out"), "{\"lcc\":{\"0-4k\":null,\"4-8k\":100.0,\"8k+\":null}}\n");
  ASSERT_EQ(call("score " + data_.path() + " --metric hotpotqa=exact_match"), 0);
  EXPECT_THAT(text("out"), HasSubstr("exact_match"));
}

TEST_F(Program, ScoresChineseWithADictionary) {
  data_.write("vcsum.jsonl", prediction_line({{"pred", "\u5929"}, {"answers", {"\u5929"}}}));
  ASSERT_EQ(call("score " + data_.path() + " --json --jieba " + kSegmenter), 0);
  EXPECT_EQ(text("out"), "{\"vcsum\":100.0}\n");
}

TEST_F(Program, RefusesWhatItCannotScore) {
  data_.write("hotpotqa.jsonl", prediction_line());
  EXPECT_EQ(call("score " + data_.path() + " --tasks qasper"), 2);
  EXPECT_THAT(text("err"), HasSubstr("\"qasper\""));
  EXPECT_EQ(call("score " + data_.path() + " --metric hotpotqa=best"), 2);
  EXPECT_EQ(call("score " + data_.path() + " --format squad"), 2);
  EXPECT_EQ(call("score " + data_.path() + "/none"), 4);
  data_.write("hotpotqa.jsonl", prediction_line() + "{\"pred\"");
  EXPECT_EQ(call("score " + data_.path()), 4);
  EXPECT_THAT(text("err"), HasSubstr("hotpotqa.jsonl:2: the last line breaks off"));
}

TEST_F(Program, ValidatesData) {
  data_.write("hotpotqa.jsonl", longbench_line("a"));
  ASSERT_EQ(call("validate data " + data_.path()), 0);
  EXPECT_THAT(text("out"), HasSubstr("longbench hotpotqa: 1 records\n"));
  EXPECT_THAT(text("out"), HasSubstr("missing of longbench: narrativeqa"));
  data_.write("qasper.jsonl", longbench_line("a") + longbench_line("a"));
  EXPECT_EQ(call("validate data " + data_.path()), 4);
  EXPECT_THAT(text("out"), HasSubstr("E-LB-07"));
  EXPECT_EQ(call("validate data"), 2);
  EXPECT_EQ(call("validate"), 2);
}

}  // namespace
}  // namespace evictbench
