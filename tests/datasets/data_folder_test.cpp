// What is said of a folder of data.
#include "datasets/data_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/longbench_files.h"
#include "tests/support/refusal.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

using testing::HasSubstr;

TEST(DataFolder, SaysWhatIsThereAndWhatIsNot) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "data");
  folder.write("data/hotpotqa.jsonl", longbench_line("a"));
  folder.write("qasper.jsonl", longbench_line("a") + longbench_line("a"));
  folder.write("lcc.jsonl", prediction_line());
  folder.write("trec_e.jsonl", longbench_line("a", {{"all_classes", {"x"}}}));
  folder.write("mine.jsonl", "");
  folder.write("essay.txt", "some words");
  const DataFolder data = look_at_data(folder.path());
  ASSERT_EQ(data.found.size(), 5U);
  EXPECT_EQ(data.found[0].what, "longbench qasper");
  EXPECT_THAT(data.found[0].error, HasSubstr("E-LB-07"));
  EXPECT_EQ(data.found[1].what, "longbench hotpotqa");
  EXPECT_EQ(data.found[1].state, "1 records");
  EXPECT_THAT(data.found[1].warnings, testing::ElementsAre(HasSubstr("1 records of 200")));
  EXPECT_EQ(data.found[2].what, "stored answers lcc");
  EXPECT_EQ(data.found[3].what, "longbench-e trec");
  EXPECT_EQ(data.found[4].what, "haystack");
  EXPECT_EQ(data.found[4].state, "1 files of text, 10 bytes");
  ASSERT_EQ(data.missing.size(), 2U);
  EXPECT_THAT(data.missing[0], HasSubstr("longbench: narrativeqa, multifieldqa_en"));
  EXPECT_THAT(data.missing[0], HasSubstr("data.zip"));
  EXPECT_THAT(data.missing[1], HasSubstr("longbench-e: qasper"));
  EXPECT_THAT(data.unknown, testing::ElementsAre("mine.jsonl"));
}

TEST(DataFolder, NamesLinksThatLeadNowhere) {
  const TempFolder folder;
  for (const char* name : {"1k", "4096"}) std::filesystem::create_directory(folder / name);
  for (const char* name : {"hotpotqa.jsonl", "hotpotqa_e.jsonl", "1k/qa1.json", "4096/vt.jsonl"})
    std::filesystem::create_symlink("nowhere", folder / name);
  const DataFolder data = look_at_data(folder.path());
  ASSERT_EQ(data.found.size(), 4U);
  for (const DataFinding& finding : data.found)
    EXPECT_THAT(finding.error, HasSubstr("there is no such file (a link to \"nowhere\")")) << finding.what;
}

TEST(DataFolder, KnowsSummaries) {
  const TempFolder folder;
  folder.write("a.jsonl", R"({"article":"Rain.\n\nSummarize","summary_gt":"Rain."})");
  folder.write("b.jsonl", R"({"document":"Rain.","summary":"Rain."})"
                          "\n{\n");
  folder.write("c.jsonl", R"({"article":"Rain."})");
  const DataFolder data = look_at_data(folder.path());
  ASSERT_EQ(data.found.size(), 2U);
  EXPECT_EQ(data.found[0].what + ": " + data.found[0].state, "summaries a.jsonl: 1 records");
  EXPECT_THAT(data.found[1].error, HasSubstr("b.jsonl:2"));
  EXPECT_THAT(data.unknown, testing::ElementsAre("c.jsonl"));
}

TEST(DataFolder, KnowsBabilongAndRuler) {
  const TempFolder folder;
  for (const char* name : {"1k", "4096"}) std::filesystem::create_directory(folder / name);
  folder.write("1k/qa1.json", R"([{"input":"Mary is here.","question":"Where?","target":"office"}])");
  folder.write("1k/qa2.json", R"([{"input":"","question":"","target":"office"}])");
  folder.write("4096/vt.jsonl", R"({"input":"a\nQuestion: Which?","outputs":["A"]})"
                                "\n");
  const DataFolder data = look_at_data(folder.path());
  ASSERT_EQ(data.found.size(), 3U);
  EXPECT_EQ(data.found[0].what + ": " + data.found[0].state, "babilong 1k qa1: 1 records");
  EXPECT_THAT(data.found[1].error, HasSubstr("E-BL-03"));
  EXPECT_EQ(data.found[2].what, "ruler 4096 vt");
  EXPECT_THAT(data.found[2].warnings, testing::ElementsAre(HasSubstr("1 records of 500")));
  ASSERT_EQ(data.missing.size(), 2U);
  EXPECT_THAT(data.missing[0], HasSubstr("babilong 1k: qa3, qa4, qa5, qa6, qa7, qa8, qa9, qa10; save "));
  EXPECT_THAT(data.missing[1], HasSubstr("ruler 4096: niah_single_1"));
  EXPECT_THAT(data.unknown, testing::IsEmpty());
}

TEST(DataFolder, KnowsADictionary) {
  const DataFolder data = look_at_data(EVICTBENCH_SOURCE_DIR "/tests/datasets/vectors/segmenter");
  ASSERT_EQ(data.found.size(), 1U);
  EXPECT_EQ(data.found[0].state, "jieba's dictionary, jieba_dict.txt");
}

TEST(DataFolder, RefusesWhatHoldsNothing) {
  const TempFolder folder;
  expect_refusal([&] { look_at_data(folder / "x"); }, "E-DF-01", "no such folder");
  folder.write("mine.jsonl", "{}");
  expect_refusal([&] { look_at_data(folder.path()); }, "E-DF-02", "nothing that evictbench reads.*data.zip");
}

}  // namespace
}  // namespace evictbench
