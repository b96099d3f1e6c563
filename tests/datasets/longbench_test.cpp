// LongBench from official files: prompts letter by letter, options, what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "datasets/longbench_data.h"
#include "datasets/longbench_protocols.h"
#include "datasets/registry.h"
#include "datasets/segmenter.h"
#include "tests/support/longbench_files.h"
#include "tests/support/refusal.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kShared = EVICTBENCH_SOURCE_DIR "/../shared/data/longbench/";
const std::string kSegmenter = EVICTBENCH_SOURCE_DIR "/tests/datasets/vectors/segmenter";
const TokenCounter kNoCounter{};

using Keys = std::map<std::string, std::vector<std::string>>;

std::vector<std::unique_ptr<const Dataset>> datasets_of(Keys keys) {
  keys.try_emplace("name", std::vector<std::string>{"longbench"});
  return make_datasets(longbench_options(keys));
}

std::string prompt_of(const Example& example) {
  return example.context + example.question + example.answer_prefix;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  return at == text.npos ? text : text.replace(at, from.size(), to);
}

TEST(LongBench, PromptsAreTheOfficialTemplatesFilledIn) {
  if (!std::filesystem::exists(kShared + "mini")) GTEST_SKIP() << "no " << kShared;
  const json templates = json::parse(std::ifstream(kShared + "config/dataset2prompt.json"));
  const json lengths = json::parse(std::ifstream(kShared + "config/dataset2maxlen.json"));
  int compared = 0;
  for (const auto& dataset : datasets_of({{"path", {kShared + "mini"}}, {"jieba", {kSegmenter}}})) {
    const std::string task = dataset->name().substr(dataset->name().find('/') + 1);
    std::ifstream file(kShared + "mini/" + task + ".jsonl");
    for (const Example& example : dataset->examples(kNoCounter)) {
      std::string line;
      ASSERT_TRUE(std::getline(file, line));
      const json record = json::parse(line);
      const std::string half =
          replaced(templates[task], "{input}", "\x01");  // fields hold braces of their own
      const std::string due =
          replaced(replaced(half, "{context}", record["context"]), "\x01", record["input"]);
      EXPECT_EQ(prompt_of(example), due) << task << " " << example.id;
      EXPECT_EQ(example.max_new, lengths[task]);
      EXPECT_EQ(json(example.answers), record["answers"]);
      ++compared;
    }
  }
  EXPECT_EQ(compared, 42);
}

TEST(LongBench, TasksAreThoseOfTheOfficialTables) {
  EXPECT_EQ(longbench_tasks().size(), 21U);
  int records = 0, of_e = 0, reported = 0, plain = 0;
  std::set<std::string_view> line_ends;
  for (const LongBenchTask& task : longbench_tasks()) {
    records += task.records;
    of_e += task.e_records > 0;
    reported += task.reported;
    plain += task.plain;
    if (task.line_ends) line_ends.insert(task.name);
    metric_named(task.metric);
  }
  EXPECT_EQ(records, 4750);
  EXPECT_EQ(of_e, 13);
  EXPECT_EQ(reported, 16);
  EXPECT_EQ(plain, 6);
  EXPECT_THAT(line_ends, ElementsAre("samsum"));
}

TEST(FillIn, ReadsNoBracesInFields) {
  EXPECT_EQ(fill_in("a {context} b {input}{x}", "{input}", "{context}"), "a {input} b {context}{x}");
}

TEST(LongBench, FindsFilesHereOrInData) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "data");
  folder.write("data/hotpotqa.jsonl", longbench_line("a") + longbench_line("b"));
  folder.write("qasper.jsonl", longbench_line("c", {{"dataset", "qasper"}}));
  folder.write("data/qasper.jsonl", "not read");
  const auto datasets = datasets_of({{"path", {folder.path()}}, {"id", {"mine"}}});
  ASSERT_EQ(datasets.size(), 2U);
  EXPECT_EQ(datasets[0]->name(), "mine/qasper");
  EXPECT_EQ(datasets[1]->name(), "mine/hotpotqa");
  EXPECT_EQ(datasets[1]->examples(kNoCounter)[1].id, "b");
  EXPECT_THAT(datasets[1]->warnings(),
              ElementsAre(Warning{"hotpotqa 2 records of 200", "scores over a part are not comparable"}));
  EXPECT_EQ(datasets[1]->main_score(), "qa_f1");
}

TEST(LongBenchE, IsOneDatasetForEachRangeOfLengths) {
  const TempFolder folder;
  folder.write("trec_e.jsonl",
               longbench_line("a", {{"length", 3999}, {"all_classes", {"x"}}, {"dataset", "trec_e"}}) +
                   longbench_line("b", {{"length", 8000}, {"all_classes", {"x"}}, {"dataset", "trec"}}));
  const auto datasets = datasets_of({{"name", {"longbench-e"}}, {"path", {folder.path()}}});
  ASSERT_EQ(datasets.size(), 2U);
  EXPECT_EQ(datasets[0]->name(), "longbench-e/trec/0-4k");
  EXPECT_EQ(datasets[1]->name(), "longbench-e/trec/8k+");
  EXPECT_EQ(datasets[1]->examples(kNoCounter)[0].id, "b");
  EXPECT_THAT(datasets[0]->warnings(),
              ElementsAre(Warning{"trec 2 records of 300", "scores over a part are not comparable"}));
  EXPECT_THAT(datasets[1]->warnings(), testing::IsEmpty());
}

TEST(LongBench, LeavesChineseOutWithoutADictionary) {
  const TempFolder folder;
  folder.write("hotpotqa.jsonl", longbench_line("a"));
  folder.write("vcsum.jsonl", longbench_line("a", {{"dataset", "vcsum"}}));
  EXPECT_EQ(datasets_of({{"path", {folder.path()}}, {"jieba", {kSegmenter}}}).size(), 2U);
  if (!usual_segmenter_folder().empty()) GTEST_SKIP() << "this machine has a dictionary";
  const auto datasets = datasets_of({{"path", {folder.path()}}});
  ASSERT_EQ(datasets.size(), 1U);
  EXPECT_EQ(datasets[0]->warnings().at(0).found, "vcsum");
  EXPECT_THAT(datasets[0]->warnings().at(0).meaning, HasSubstr("left out, for want of a dictionary"));
  expect_refusal(
      [&] {
        datasets_of({{"path", {folder.path()}}, {"tasks", {"vcsum"}}});
      },
      "E-LB-39", "Chinese words", Exit::kSweep);
}

TEST(LongBench, ScoresAsItsTasksAre) {
  const TempFolder folder;
  folder.write("triviaqa.jsonl",
               longbench_line("a", {{"answers", {"that", "this one"}}, {"dataset", "triviaqa"}}));
  const auto score = [&](const std::string& protocol, const std::string& answer) {
    const auto datasets = datasets_of({{"path", {folder.path()}}, {"protocol", {protocol}}});
    return datasets[0]->score(datasets[0]->examples(kNoCounter)[0], answer).at("qa_f1");
  };
  EXPECT_EQ(score("longbench", "\n\nThis one\nand more"), 1);
  EXPECT_EQ(score("longbench", " \nThis one"), 0);  // only line feeds are taken off
  EXPECT_EQ(score("kvpress", " \nThis one"), 1);
}

struct Refused {
  Keys keys;
  std::string code, words;
  Exit exit = Exit::kSweep;
};

TEST(LongBench, RefusesOptionsThatDoNotFit) {
  const TempFolder folder;
  folder.write("hotpotqa.jsonl", longbench_line("a"));
  folder.write("hotpotqa_e.jsonl", longbench_line("a"));
  const std::string here = folder.path();
  const TempFolder empty;
  const std::vector<Refused> cases{
      {{}, "E-TK-02", "no 'path'"},
      {{{"path", {here + "/x"}}}, "E-LB-31", "there is no folder.*data.zip", Exit::kInput},
      {{{"path", {here}}, {"protocol", {"snapkw"}}}, "E-LB-32", "no \"snapkw\".*did you mean 'snapkv'"},
      {{{"path", {here}}, {"tasks", {"hotpot"}}}, "E-LB-32", "did you mean 'hotpotqa'"},
      {{{"path", {here}}, {"tasks", {"hotpotqa", "hotpotqa"}}}, "E-LB-36", "second time"},
      {{{"path", {here}}, {"tasks", {"qasper"}}}, "E-LB-38", "no file of \"qasper\".*data.zip", Exit::kInput},
      {{{"path", {here}}, {"tasks", {}}}, "E-TK-03", "empty list"},
      {{{"path", {here}}, {"max_tokens", {"1"}}}, "E-LB-33", "max_tokens 1; expected 2 to"},
      {{{"path", {here}}, {"max_tokens", {"many"}}}, "E-TK-06", "many"},
      {{{"path", {here}}, {"truncate", {"left"}}}, "E-LB-34", "faithful or ids"},
      {{{"path", {here}}, {"truncate", {"ids"}}, {"protocol", {"kvpress"}}}, "E-LB-34", "cuts the context"},
      {{{"path", {here}}, {"jieba", {here}}}, "E-JB-01", "no dictionary", Exit::kInput},
      {{{"path", {here}}, {"prompt", {"x"}}}, "E-TK-01", "unknown key 'prompt'"},
      {{{"path", {empty.path()}}}, "E-LB-35", "no file of a task", Exit::kInput},
      {{{"name", {"longbench-e"}}, {"path", {here}}, {"tasks", {"qmsum"}}},
       "E-LB-37",
       "LongBench-E does not have"},
  };
  for (const Refused& each : cases)
    expect_refusal([&] { datasets_of(each.keys); }, each.code, each.words, each.exit);
}

}  // namespace
}  // namespace evictbench
