// BABILong: prompts letter by letter, the layouts of its files, what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "datasets/babilong_data.h"
#include "datasets/registry.h"
#include "tests/support/arrow_writer.h"
#include "tests/support/longbench_files.h"
#include "tests/support/malformed.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kShared = EVICTBENCH_SOURCE_DIR "/../shared/data/babilong";
const TokenCounter kNoCounter{};

std::vector<std::unique_ptr<const Dataset>> datasets_of(
    std::map<std::string, std::vector<std::string>> keys) {
  keys.try_emplace("name", std::vector<std::string>{"babilong"});
  TaskOptions task = longbench_options(keys);
  if (task.has("lengths")) task.options["lengths"].list = true;
  return make_datasets(task);
}

std::vector<std::string> names_of(const std::vector<std::unique_ptr<const Dataset>>& datasets) {
  std::vector<std::string> names;
  for (const auto& dataset : datasets) names.push_back(dataset->name());
  return names;
}

std::string records(const json& changes = json::object()) {
  json record{{"input", " Mary is in the garden. "}, {"question", "Where is Mary? "}, {"target", "garden"}};
  record.update(changes);
  for (const auto& [key, value] : changes.items())
    if (value.is_null()) record.erase(key);
  return json::array({record}).dump();
}

TEST(Babilong, PromptsAreTheOfficialOnes) {
  const BabilongTask& qa4 = *babilong_task("qa4");
  EXPECT_EQ(
      babilong_context(qa4, " \n Facts. \xC2\xA0") + babilong_question("Where? \n"),
      "I will give you context with the facts about different people, their location and actions, hidden in "
      "some random "
      "text and a question. You need to answer the question based only on the information from the facts.\n\n"
      "<example>\nThe hallway is south of the kitchen. The bedroom is north of the kitchen. What is the "
      "kitchen south "
      "of?\nAnswer: bedroom\n</example>\n<example>\nThe garden is west of the bedroom. The bedroom is west "
      "of the "
      "kitchen. What is west of the bedroom?\nAnswer: garden\n</example>\n\nYour answer should contain only "
      "one word - "
      "location. Do not write anything else after that.\n\n<context>\nFacts.\n</context>\n\nQuestion: "
      "Where?");
  EXPECT_EQ(babilong_question(" "), "\n</context>\n\nQuestion:");
}

TEST(Babilong, KeepsTheSlipsOfThePrompts) {
  const auto text = [](const char* name) { return babilong_context(*babilong_task(name), ""); };
  EXPECT_THAT(text("qa1"), HasSubstr("</example>\n\n<example>"));
  EXPECT_THAT(text("qa1"), HasSubstr("of \u2019person\u2019 is \u2019location\u2019."));
  EXPECT_THAT(text("qa2"), HasSubstr("question.You need"));
  EXPECT_THAT(text("qa6"), HasSubstr("</example>\n\n\nYour"));
  for (const char* name : {"qa10", "qa11", "qa12", "qa13", "qa14", "qa15", "qa16", "qa20"})
    EXPECT_THAT(text(name), HasSubstr("</example>\n<context>\n\n\nYour")) << name;
  for (const char* name : {"qa17", "qa18"}) EXPECT_THAT(text(name), HasSubstr("</example><example>")) << name;
  EXPECT_EQ(babilong_tasks().size(), 20U);
  EXPECT_EQ(babilong_task("qa21"), nullptr);
}

TEST(Babilong, ReadsEveryLayout) {
  const TempFolder folder;
  for (const char* name : {"0k", "0k/qa1", "data", "data/qa2", "qa3", "2k"})
    std::filesystem::create_directory(folder / name);
  const auto one = [](const std::string& target) {
    return ArrowParts{.columns = {{"x"}, {"Where?"}, {target}}}.stream();
  };
  folder.write("0k/qa1/data-00001-of-00002.arrow", one("kitchen"));
  folder.write("0k/qa1/data-00000-of-00002.arrow", one("office"));
  folder.write("data/qa2/16k.json", records());
  folder.write("qa3/1M.json", records());
  folder.write("2k/qa4.jsonl", json::parse(records())[0].dump() + "\n");
  const auto all = datasets_of({{"path", {folder.path()}}, {"id", {"b"}}});
  EXPECT_THAT(names_of(all), ElementsAre("b/0k/qa1", "b/2k/qa4", "b/16k/qa2", "b/1M/qa3"));
  const std::vector<Example> examples = all[0]->examples(kNoCounter);
  ASSERT_EQ(examples.size(), 2U);
  EXPECT_THAT(examples[0].answers, ElementsAre("office"));
  EXPECT_EQ(examples[1].id, "1");
  EXPECT_EQ(examples[1].max_new, 20);
  EXPECT_TRUE(examples[1].rules->own_template);
  EXPECT_EQ(all[2]->examples(kNoCounter)[0].length, 16000);
  EXPECT_EQ(all[3]->examples(kNoCounter)[0].length, 1000000);
  EXPECT_THAT(names_of(datasets_of({{"path", {folder.path()}}, {"lengths", {"16k", "0k"}}})),
              ElementsAre("babilong/16k/qa2", "babilong/0k/qa1"));
  const auto headkv = datasets_of(
      {{"path", {folder.path()}}, {"tasks", {"qa4"}}, {"lengths", {"2k"}}, {"protocol", {"headkv"}}});
  EXPECT_EQ(headkv[0]->examples(kNoCounter)[0].max_new, 15);
  EXPECT_FALSE(headkv[0]->examples(kNoCounter)[0].first_may_end);
}

TEST(Babilong, ScoresByTheLabelsOfTheTask) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "0k");
  folder.write("0k/qa7.json", records({{"question", "How many? "}, {"target", "none"}}));
  const auto dataset = std::move(datasets_of({{"path", {folder.path()}}}).front());
  const Example example = dataset->examples(kNoCounter)[0];
  EXPECT_EQ(dataset->score(example, "None."),
            (ScoreMap{{"babilong_match", 0}, {"babilong_words", 1}}));  // "one" is in it
  EXPECT_THAT(
      dataset->warnings(),
      ElementsAre(Warning{"0k/qa7 1 of 1 targets that no answer can score with, by the labels of qa7"}));
}

TEST(Babilong, TakesATaskAtTheLengthsThatHaveIt) {
  const TempFolder folder;
  for (const char* length : {"0k", "1k"}) std::filesystem::create_directory(folder / length);
  for (const char* file : {"0k/qa1.json", "1k/qa1.json", "1k/qa2.json"}) folder.write(file, records());
  const std::vector<std::string> path{folder.path()};
  const auto some = datasets_of({{"path", path}, {"tasks", {"qa2", "qa1"}}});
  ASSERT_EQ(some.size(), 3U);
  EXPECT_EQ(some[0]->name(), "babilong/0k/qa1");
  EXPECT_EQ(some[1]->name(), "babilong/1k/qa2");
  expect_refusal(
      [&] {
        datasets_of({{"path", path}, {"tasks", {"qa2"}}, {"lengths", {"0k", "1k"}}});
      },
      "E-BL-38", "no file of \"qa2\" at 0k", Exit::kInput);
}

TEST(Babilong, RefusesOptionsThatDoNotFit) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "0k");
  folder.write("0k/qa1.json", records());
  const std::vector<std::string> path{folder.path()};
  const auto refuse = [&](const std::map<std::string, std::vector<std::string>>& keys, const char* code,
                          const char* words, Exit exit = Exit::kSweep) {
    expect_refusal([&] { datasets_of(keys); }, code, words, exit);
  };
  refuse({{"path", {folder / "x"}}}, "E-BL-31", "no folder", Exit::kInput);
  refuse({{"path", {folder / "0k"}}}, "E-BL-35", "no file of a task", Exit::kInput);
  refuse({{"path", path}, {"tasks", {"qa21"}}}, "E-BL-32", "did you mean 'qa2'|did you mean 'qa1'");
  refuse({{"path", path}, {"tasks", {"qa1", "qa1"}}}, "E-BL-36", "second time");
  refuse({{"path", path}, {"tasks", {"qa2"}}}, "E-BL-38", "no file of \"qa2\" at 0k", Exit::kInput);
  refuse({{"path", path}, {"lengths", {"1k"}}}, "E-BL-32", "one of 0k");
  refuse({{"path", path}, {"protocol", {"lm-eval"}}}, "E-BL-32", "one of babilong, headkv");
  refuse({{"path", path}, {"max_new", {"0"}}}, "E-BL-33", "1 to 65536");
  refuse({{"path", path}, {"samples", {"1"}}}, "E-TK-01", "samples");
}

TEST(Malformed, BabilongJson) {
  const TempFolder folder;
  const BabilongTask& task = *babilong_task("qa1");
  std::vector<Malformed> cases{
      {"BL-01", "", "E-BL-F07", "empty"},
      {"BL-01", "[", "E-BL-J01", ":1:2"},
      {"BL-01", records().substr(0, 40), "E-BL-J01", ":1:"},
      {"BL-01", records() + "x", "E-BL-J01", ":1:"},
      {"BL-02", "{}", "E-BL-02", "no list"},
      {"BL-02", "3", "E-BL-02", "no list"},
      {"BL-02", "[3]", "E-BL-J05", "/0"},
      {"BL-02", "[[]]", "E-BL-J05", "/0"},
      {"BL-03", records({{"question", " "}}), "E-BL-03", "record 1: an empty question"},
      {"BL-03", records({{"target", ""}}), "E-BL-03", "record 1: an empty target"},
      {"BL-04", "[]", "E-BL-04", "no records"},
      {"BL-05", "[{\"input\":\"a\",\"input\":\"b\"}]", "E-BL-J04", "input"},
  };
  for (const char* key : {"input", "question", "target"}) {
    cases.push_back({"BL-06", records({{key, nullptr}}), "E-BL-J07", key});
    cases.push_back({"BL-07", records({{key, 3}}), "E-BL-J05", key});
    cases.push_back({"BL-07", records({{key, {"a"}}}), "E-BL-J05", key});
  }
  expect_all_refused(
      cases, 20, {"BL-01", "BL-02", "BL-03", "BL-04", "BL-05", "BL-06", "BL-07"},
      [&](const std::string& content) { read_babilong(folder.write("0k.json", content), task); });
}

TEST(Malformed, BabilongFolders) {
  const TempFolder folder;
  const BabilongTask& task = *babilong_task("qa1");
  expect_refusal([&] { read_babilong(folder.path(), task); }, "E-BL-01", "0 files .arrow");
  folder.write("data-00000-of-00003.arrow", ArrowParts{}.stream());
  expect_refusal([&] { read_babilong(folder.path(), task); }, "E-BL-01", "1 files .arrow; expected 3");
}

TEST(Babilong, RealFilesReadAndScoreTheirOwnTargets) {
  if (!std::filesystem::exists(kShared)) GTEST_SKIP() << "no " << kShared << ": 40 tasks are not read";
  std::size_t tasks = 0, rows = 0, lost = 0;
  for (const auto& dataset : datasets_of({{"path", {kShared}}})) {
    ++tasks;
    std::size_t missed = 0;
    for (const Example& example : dataset->examples(kNoCounter)) {
      ++rows;
      missed += dataset->score(example, example.answers[0] + ". <example>")["babilong_match"] != 1;
    }
    EXPECT_TRUE(missed == 0 || dataset->name().ends_with("/qa7")) << dataset->name() << " " << missed;
    EXPECT_TRUE(missed == 46 || dataset->name() != "babilong/0k/qa7") << missed;
    lost += missed;
    EXPECT_EQ(dataset->warnings().size(), missed > 0 ? 1U : 0U) << dataset->name();
  }
  EXPECT_EQ(tasks, 40U);
  EXPECT_EQ(rows, 4000U);
  EXPECT_GT(lost, 46U);
}

}  // namespace
}  // namespace evictbench
