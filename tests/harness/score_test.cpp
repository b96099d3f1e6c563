// `score` and `validate data` as a user meets them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/longbench_files.h"
#include "tests/support/program.h"

namespace evictbench {
namespace {

using testing::HasSubstr;

const std::string kSegmenter = EVICTBENCH_SOURCE_DIR "/tests/datasets/vectors/segmenter";

class ScoreProgram : public Program {
 protected:
  TempFolder data_;
};

TEST_F(ScoreProgram, ScoresAsJson) {
  data_.write("hotpotqa.jsonl",
              prediction_line() + prediction_line({{"pred", "no"}}) + prediction_line({{"pred", "no"}}));
  data_.write("lcc.jsonl", prediction_line({{"length", 4000}}));
  ASSERT_EQ(call("score " + data_.path() + " --format longbench --json"), 0);
  EXPECT_EQ(text("said"), "{\"hotpotqa\":33.33,\"lcc\":100.0}\n");
  EXPECT_THAT(text("errors"), HasSubstr("3 lines, but hotpotqa has 200 records"));
  ASSERT_EQ(call("score " + data_.path() + " --format longbench-e --json --tasks lcc"), 0);
  EXPECT_EQ(text("said"), "{\"lcc\":{\"0-4k\":null,\"4-8k\":100.0,\"8k+\":null}}\n");
  ASSERT_EQ(call("score " + data_.path() + " --metric hotpotqa=exact_match"), 0);
  EXPECT_THAT(text("said"), HasSubstr("exact_match"));
}

TEST_F(ScoreProgram, ScoresChineseWithADictionary) {
  data_.write("vcsum.jsonl", prediction_line({{"pred", "\u5929"}, {"answers", {"\u5929"}}}));
  ASSERT_EQ(call("score " + data_.path() + " --json --jieba " + kSegmenter), 0);
  EXPECT_EQ(text("said"), "{\"vcsum\":100.0}\n");
}

TEST_F(ScoreProgram, RefusesWhatItCannotScore) {
  data_.write("hotpotqa.jsonl", prediction_line());
  EXPECT_EQ(call("score " + data_.path() + " --tasks qasper"), 2);
  EXPECT_THAT(text("errors"), HasSubstr("\"qasper\""));
  EXPECT_EQ(call("score " + data_.path() + " --metric hotpotqa=best"), 2);
  EXPECT_EQ(call("score " + data_.path() + " --format squad"), 2);
  EXPECT_EQ(call("score " + data_.path() + "/none"), 4);
  data_.write("hotpotqa.jsonl", prediction_line() + "{\"pred\"");
  EXPECT_EQ(call("score " + data_.path()), 4);
  EXPECT_THAT(text("errors"), HasSubstr("hotpotqa.jsonl:2: the last line breaks off"));
}

TEST_F(ScoreProgram, ValidatesData) {
  data_.write("hotpotqa.jsonl", longbench_line("a"));
  ASSERT_EQ(call("validate data " + data_.path()), 0);
  EXPECT_THAT(text("said"), HasSubstr("longbench hotpotqa: 1 records\n"));
  EXPECT_THAT(text("said"), HasSubstr("missing of longbench: narrativeqa"));
  data_.write("qasper.jsonl", longbench_line("a") + longbench_line("a"));
  EXPECT_EQ(call("validate data " + data_.path()), 4);
  EXPECT_THAT(text("said"), HasSubstr("E-LB-07"));
  EXPECT_EQ(call("validate data"), 2);
  EXPECT_EQ(call("validate"), 2);
}

}  // namespace
}  // namespace evictbench
