// Sweeps whose policies name calibration files: found from the sweep file's folder, and refused before a weight is read
// where they were measured on another model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "harness/commands.h"
#include "harness/prepared.h"
#include "tests/support/calibration_files.h"
#include "tests/support/random_decoder.h"

namespace evictbench {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class CalibratedTest : public testing::Test {
 protected:
  CalibratedTest() {
    std::filesystem::create_directory(folder_ / "model");
    write_random_checkpoint(folder_ / "model", {.layers = 3, .q_heads = 4}, 11);
    folder_.write("heads.json", some_head_scores(3, 4));
    folder_.write("layers.json", some_layer_scores(3));
    folder_.write("deeper.json", some_head_scores(4, 4));
    folder_.write("wider.json", some_head_scores(3, 8));
    folder_.write("longer.json", some_layer_scores(4));
  }

  std::string sweep(const std::string& policy) const {
    return folder_.write(
        "sweep.yaml",
        "version: 1\nmodel: {path: model, chat: none}\nprotocol: {question: inside, seed: 7}\npolicies:\n  - "
        "{" +
            policy +
            "}\nbudgets: {unit: entries, values: [20]}\ntasks:\n  - name: niah\n    haystack: generated\n"
            "    lengths: [400]\n    depths: [50]\n    needle: \"The word of {key} is {value}.\"\n"
            "    question: \"What is the word of {key}?\"\n    answer_prefix: \"It is\"\n    keys: "
            "[Tallinn]\n"
            "    values: [saffron]\n    max_new: 6\noutput: {dir: " +
            (folder_ / "out") + "}\n");
  }

  // The refusal of a sweep with this policy, or "".
  std::string refusal(const std::string& policy, Exit exit) const {
    try {
      Prepared(sweep(policy), {});
    } catch (const Error& e) {
      EXPECT_EQ(e.exit(), exit) << e.what();
      return e.what();
    }
    return "";
  }

  TempFolder folder_;
};

TEST_F(CalibratedTest, FilesAreFoundFromTheFolderOfTheSweep) {
  for (const char* policy :
       {"name: headkv, head_scores: heads.json", "name: compresskv, head_scores: heads.json",
        "name: compresskv, head_scores: heads.json, layer_scores: layers.json",
        "name: compresskv, head_scores: [heads.json], layer_scores: [none, layers.json]"})
    EXPECT_EQ(refusal(policy, Exit::kGood), "") << policy;
  const Prepared relative(sweep("name: headkv, head_scores: heads.json"), {}),
      absolute(sweep("name: headkv, head_scores: " + (folder_ / "heads.json")), {});
  EXPECT_EQ(relative.plan.points[0].name, absolute.plan.points[0].name)
      << "what is in it counts, not where it lies";
}

TEST_F(CalibratedTest, FilesOfAnotherModelAreRefusedBeforeAWeightIsRead) {
  EXPECT_THAT(refusal("name: headkv, head_scores: deeper.json", Exit::kInput),
              AllOf(HasSubstr("E-HS-03"), HasSubstr("deeper.json"), HasSubstr("4 layers of 4 heads")));
  EXPECT_THAT(refusal("name: headkv, head_scores: wider.json", Exit::kInput),
              HasSubstr("3 layers of 8 heads"));
  EXPECT_THAT(refusal("name: compresskv, head_scores: deeper.json", Exit::kInput), HasSubstr("E-HS-03"));
  EXPECT_THAT(refusal("name: compresskv, heads: 5, head_scores: heads.json", Exit::kInput),
              HasSubstr("E-HS-08"));
  EXPECT_THAT(refusal("name: compresskv, head_scores: heads.json, layer_scores: longer.json", Exit::kInput),
              AllOf(HasSubstr("E-HS-03"), HasSubstr("scores of 4 layers")));
}

TEST_F(CalibratedTest, AbsentFilesAreRefused) {
  EXPECT_THAT(refusal("name: headkv", Exit::kSweep), AllOf(HasSubstr("E-PO-05"), HasSubstr("sweep.yaml:5:")));
  EXPECT_THAT(refusal("name: headkv, head_scores: absent.json", Exit::kInput), HasSubstr("E-HS-F01"));
}

TEST_F(CalibratedTest, OnTheCommandLineABadFileIsExitFourAndNoFileExitTwo) {
  PolicyInput input;
  input.name = "headkv";
  input.budget = 8;
  const auto exit = [&] {
    try {
      input.point();
    } catch (const Error& e) {
      return e.exit();
    }
    return Exit::kGood;
  };
  EXPECT_EQ(exit(), Exit::kUsage);
  input.settings = {"head_scores=" + (folder_ / "absent.json")};
  EXPECT_EQ(exit(), Exit::kInput);
  input.settings = {"head_scores=" + (folder_ / "heads.json")};
  EXPECT_EQ(exit(), Exit::kGood);
}

}  // namespace
}  // namespace evictbench
