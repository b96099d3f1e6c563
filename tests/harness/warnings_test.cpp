// What a sweep is warned of: one line for each reason that an entry gives, however many of its tasks give it.
#include "harness/warnings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/longbench_files.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Warnings : public testing::Test {
 protected:
  Warnings() {
    folder_.write("hotpotqa.jsonl", longbench_line("a", {{"answers", {"garden"}}}) + longbench_line("b"));
    folder_.write("qasper.jsonl",
                  longbench_line("a", {{"dataset", "qasper"}, {"answers", {"one", "amber"}}}));
    folder_.write("trec_e.jsonl",
                  longbench_line("a", {{"dataset", "trec"}, {"all_classes", {"x"}}}) +
                      longbench_line("b", {{"dataset", "lcc"}, {"all_classes", {"x"}}, {"length", 9000}}));
    std::filesystem::create_directory(folder_ / "0k");
    folder_.write("0k/qa7.json", R"([{"input":"Mary got it.","question":"How many? ","target":"none"}])");
  }

  std::vector<std::string> of(const std::string& tasks, const std::string& first_token = "evicted") const {
    const std::string sweep =
        folder_.write("sweep.yaml", "version: 1\nmodel: {path: " EVICTBENCH_SOURCE_DIR
                                    "/models/tiny-recall}\nprotocol: {question: inside, first_token: " +
                                        first_token + "}\npolicies: [{name: full}]\ntasks:\n" + tasks +
                                        "output: {dir: unused}\n");
    return warnings_of(Prepared(sweep, {}));
  }

  TempFolder folder_;
  const std::string of_a_part_ = ": scores over a part are not comparable";
};

TEST_F(Warnings, AreOneLineForAllTasksOfAnEntry) {
  EXPECT_THAT(of("- {name: longbench, path: .}\n"),
              ElementsAre("longbench: qasper 1 records of 200, hotpotqa 2 records of 200" + of_a_part_));
  EXPECT_THAT(
      of("- {name: longbench, id: one, path: ., tasks: [qasper]}\n"
         "- {name: longbench, id: two, path: ., tasks: [hotpotqa]}\n"
         "- {name: babilong, path: .}\n"),
      ElementsAre("one: qasper 1 records of 200" + of_a_part_, "two: hotpotqa 2 records of 200" + of_a_part_,
                  "babilong: 0k/qa7 1 of 1 targets that no answer can score with, by the labels of qa7"));
}

TEST_F(Warnings, NameAFileOnceHoweverManyRangesOfLengthsItHas) {
  EXPECT_THAT(of("- {name: longbench-e, path: .}\n"),
              ElementsAre("longbench-e: trec 2 records of 300" + of_a_part_,
                          "longbench-e: trec 1 records name another dataset than trec"));
}

TEST_F(Warnings, NameTasksWhoseAnswerAFirstTokenGivesAway) {
  const std::string single =
      ": an answer of a single token, which first_token: full takes from the full cache; "
      "eviction cannot show in it";
  EXPECT_THAT(
      of("- {name: longbench, path: .}\n- {name: recall, kind: needle, lengths: [200], count: 1}\n"
         "- {name: niah, haystack: generated, lengths: [200], depths: [50], needle: 'It is {value}.', "
         "question: 'Is it?', values: [garden]}\n",
         "full"),
      ElementsAre(HasSubstr("hotpotqa 2 records"),
                  "longbench: qasper \"amber\", hotpotqa \"garden\"" + single, "niah: \"garden\"" + single));
}

}  // namespace
}  // namespace evictbench
