// Sweeps whose policies name calibration files: found from the sweep file's folder, and refused before a weight is read
// where they were measured on another model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/io/file.h"
#include "harness/commands.h"
#include "harness/prepared.h"
#include "tests/support/calibration_files.h"
#include "tests/support/random_decoder.h"
#include "tests/support/refusal.h"

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

  // Puts a sidecar beside a score file of the folder.
  void measured(const std::string& name, ScoreKind kind, const std::string& model = "model") const {
    const Checkpoint checkpoint(folder_ / model);
    write_scores(folder_ / name, read_text(folder_ / name, Exit::kInput, "E-HS"),
                 {.kind = kind,
                  .model = mark_of(checkpoint, checkpoint.digests()),
                  .method = {{"steps", "50"}},
                  .data = {{"seed", "1"}},
                  .examples = {example_hash("a", "b")},
                  .made = 4,
                  .accepted = 3});
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

TEST_F(CalibratedTest, ASidecarOfTheSameScoresAndModelIsGood) {
  measured("heads.json", ScoreKind::kSemantic);
  measured("layers.json", ScoreKind::kLayerError);
  const Prepared good(sweep("name: compresskv, head_scores: heads.json, layer_scores: [none, layers.json]"),
                      {});
  ASSERT_EQ(good.scores.size(), 2u) << "each file once";
  EXPECT_EQ(good.scores[0].file.option, "head_scores");
  EXPECT_TRUE(good.scores[0].sidecar);
  EXPECT_FALSE(good.scores[0].other_model);
  EXPECT_THAT(describe(good.scores[1]),
              AllOf(HasSubstr("layer_error, of this model"), HasSubstr("3 of 4 trials")));
}

TEST_F(CalibratedTest, ASidecarOfOtherScoresIsRefused) {
  measured("heads.json", ScoreKind::kCopy);
  folder_.write("heads.json", some_head_scores(3, 4) + "\n");
  EXPECT_THAT(refusal("name: headkv, head_scores: heads.json", Exit::kInput),
              AllOf(HasSubstr("E-SD-10"), HasSubstr("heads.json"), HasSubstr("xxh3:")));
}

TEST_F(CalibratedTest, ScoresOfAnotherModelAreRefusedUnlessAllowed) {
  std::filesystem::create_directory(folder_ / "twin");
  write_random_checkpoint(folder_ / "twin", {.layers = 3, .q_heads = 4}, 12);
  measured("heads.json", ScoreKind::kCopy, "twin");
  const std::string policy = "name: headkv, head_scores: heads.json";
  EXPECT_THAT(refusal(policy, Exit::kInput),
              AllOf(HasSubstr("E-SD-11"), HasSubstr("the model twin"), HasSubstr("allow_other_scores")));
  const Prepared allowed(sweep(policy), {"model.allow_other_scores=true"});
  EXPECT_TRUE(allowed.scores.at(0).other_model);
  EXPECT_THAT(describe(allowed.scores[0]), HasSubstr("of ANOTHER model twin"));

  PolicyInput input;
  input.name = "headkv";
  input.budget = 8;
  input.settings = {"head_scores=" + (folder_ / "heads.json")};
  const Checkpoint checkpoint(folder_ / "model");
  expect_refusal([&] { input.check(input.point(), checkpoint); }, "E-SD-11", "the model twin");
  input.allow_other_scores = true;
  input.check(input.point(), checkpoint);
}

TEST_F(CalibratedTest, ScoresOfAnotherKindAreRefused) {
  measured("heads.json", ScoreKind::kLayerError);
  EXPECT_THAT(refusal("name: headkv, head_scores: heads.json", Exit::kInput),
              AllOf(HasSubstr("E-SD-12"), HasSubstr("layer_error for head_scores")));
  measured("heads.json", ScoreKind::kReasoning);
  measured("layers.json", ScoreKind::kSemantic);
  EXPECT_THAT(refusal("name: compresskv, head_scores: heads.json, layer_scores: layers.json", Exit::kInput),
              AllOf(HasSubstr("E-SD-12"), HasSubstr("semantic for layer_scores")));
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
