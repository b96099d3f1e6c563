// RULER: generated prompts of exact lengths that hold their answers, files of every layout, what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "datasets/registry.h"
#include "datasets/ruler_data.h"
#include "datasets/ruler_scenes.h"
#include "tests/support/longbench_files.h"
#include "tests/support/malformed.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kShared = EVICTBENCH_SOURCE_DIR "/../shared/data/ruler";
const TokenCounter kNoCounter{};

using Keys = std::map<std::string, std::vector<std::string>>;

std::vector<std::unique_ptr<const Dataset>> datasets_of(Keys keys) {
  keys.try_emplace("name", std::vector<std::string>{"ruler"});
  TaskOptions task = longbench_options(keys);
  if (task.has("lengths")) task.options["lengths"].list = true;
  return make_datasets(task);
}

std::string prompt_of(const Example& example) {
  return example.context + example.question + example.answer_prefix;
}

// About as a subword tokenizer counts: three letters, a digit, three dots or any other sign each.
int subwords(std::string_view text) {
  int n = 0, letters = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    letters = std::isalpha(c) != 0 ? letters + 1 : 0;
    if (letters > 0)
      n += letters % 3 == 1;
    else if (text.substr(i, 3) == "...")
      i += 2, ++n;
    else
      n += std::isspace(c) == 0;
  }
  return n;
}

const TokenCounter kSubwords{.text = subwords, .beside = {}, .prompt = [](const Example& example) {
                               return std::pair(subwords(prompt_of(example)) + 20, 0);
                             }};

std::size_t times(std::string_view text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(Ruler, TasksAreTheThirteen) {
  EXPECT_EQ(ruler_tasks().size(), 13U);
  EXPECT_EQ(ruler_task("niah_multiquery")->queries, 4);
  EXPECT_EQ(ruler_task("vt")->max_new, 30);
  EXPECT_EQ(ruler_task("qa_3"), nullptr);
  EXPECT_EQ(datasets_of({{"lengths", {"1024"}}}).size(), 11U);  // no documents for the other two
}

TEST(Ruler, TemplatesAreThoseOfTheFiles) {
  const RulerText one = ruler_needles_text("uuids", true, "H", {"a-b"});
  EXPECT_EQ(one.context + one.question + one.answer_prefix,
            "A special magic uuid is hidden within the following text. Make sure to memorize it. I will quiz "
            "you about the uuid "
            "afterwards.\nH\nWhat is the special magic uuid for a-b mentioned in the provided text? The "
            "special magic uuid for a-b "
            "mentioned in the provided text is");
  const RulerText more = ruler_needles_text("numbers", false, "H", {"a", "b", "c"});
  EXPECT_EQ(more.context + more.question + more.answer_prefix,
            "Some special magic numbers are hidden within the following text. Make sure to memorize it. I "
            "will quiz you about the "
            "numbers afterwards.\nH\nWhat are all the special magic numbers for a, b, and c mentioned in the "
            "provided text? The "
            "special magic numbers for a, b, and c mentioned in the provided text are");
  EXPECT_EQ(ruler_needle("numbers", "k", "7"), "One of the special magic numbers for k is: 7.");
}

// Every task at every length: as many tokens as asked for, answers in the context, the same again, others by another seed.
TEST(Ruler, GeneratesExactLengthsWithTheAnswersInThem) {
  const auto texts = [](const char* length, std::uint64_t seed) {
    TaskOptions task = longbench_options({{"name", {"ruler"}}, {"lengths", {length}}, {"count", {"3"}}});
    task.seed = seed;
    std::map<std::string, std::vector<Example>> out;
    for (const auto& dataset : make_datasets(task)) out[dataset->name()] = dataset->examples(kSubwords);
    return out;
  };
  for (const char* length : {"1024", "2048", "4096"}) {
    const auto all = texts(length, 42), again = texts(length, 42), others = texts(length, 43);
    EXPECT_EQ(all.size(), 11U);
    for (const auto& [name, examples] : all) {
      ASSERT_EQ(examples.size(), 3U) << name;
      for (std::size_t i = 0; i < 3; ++i) {
        const Example& example = examples[i];
        EXPECT_EQ(kSubwords.prompt(example).first + example.max_new, std::stoi(length)) << name << " " << i;
        for (const std::string& answer : example.answers)
          EXPECT_THAT(example.context, HasSubstr(answer)) << name;
        EXPECT_EQ(prompt_of(again.at(name)[i]), prompt_of(example)) << name;
        EXPECT_NE(prompt_of(others.at(name)[i]), prompt_of(example)) << name;
        EXPECT_TRUE(example.rules->own_template && example.rules->prefix_after);
      }
      EXPECT_NE(prompt_of(examples[0]), prompt_of(examples[1])) << name;
    }
  }
}

Example example_of(const std::string& task, const std::string& length = "2048") {
  return datasets_of({{"tasks", {task}}, {"lengths", {length}}, {"count", {"1"}}})[0]->examples(kSubwords)[0];
}

TEST(Ruler, NeedlesHaveTheNumbersOfTheirTask) {
  for (const auto& [task, needles, answers] : {std::tuple{"niah_single_1", 1U, 1U},
                                               {"niah_single_2", 1U, 1U},
                                               {"niah_single_3", 1U, 1U},
                                               {"niah_multikey_1", 4U, 1U},
                                               {"niah_multivalue", 4U, 4U},
                                               {"niah_multiquery", 4U, 4U}}) {
    const Example example = example_of(task);
    EXPECT_EQ(times(example.context, "One of the special magic "), needles) << task;
    EXPECT_EQ(example.answers.size(), answers) << task;
    EXPECT_EQ(example.needle.empty(), answers > 1) << task;
    EXPECT_EQ(example.answers[0].size(), std::string(task) == "niah_single_3" ? 36U : 7U) << task;
  }
  EXPECT_GT(times(example_of("niah_multikey_2").context, "One of the special magic numbers for "), 20U);
  const Example uuids = example_of("niah_multikey_3");
  EXPECT_THAT(uuids.context, HasSubstr(uuids.needle + "\n"));
  EXPECT_EQ(times(uuids.question, "-"), 4U);  // the key is one as well
  EXPECT_THAT(example_of("niah_single_1").context, HasSubstr(std::string(kRulerNoise) + "\n"));
}

TEST(Ruler, VariablesChainTheirValueThrough) {
  const Example example = example_of("vt");
  ASSERT_EQ(example.answers.size(), 5U);
  const std::string value = example.question.substr(example.question.find("value ") + 6, 5);
  std::size_t at = example.context.rfind("Memorize and track");  // behind the example with its answer
  EXPECT_GT(at, 500U);
  for (std::size_t i = 0; i < 5; ++i) {
    const std::string line = i == 0 ? "VAR " + example.answers[0] + " = " + value
                                    : "VAR " + example.answers[i] + " = VAR " + example.answers[i - 1] + " ";
    at = example.context.find("\n" + line + "\n", at);
    ASSERT_NE(at, std::string::npos) << line;
    EXPECT_EQ(example.answers[i].size(), 5U);
  }
  EXPECT_EQ(times(example.context, "\n\n"), 3U);
}

std::map<std::string, int> counted(std::string_view words) {
  std::map<std::string, int> counts;
  for (std::size_t at = 0; at < words.size();) {
    const std::size_t end = std::min(words.find(' ', at), words.size());
    ++counts[std::string(words.substr(at, end - at))];
    at = end + 1;
  }
  return counts;
}

TEST(Ruler, CommonWordsComeOftenerThanAnyOther) {
  for (const auto& [length, often, seldom] : {std::tuple{"2048", 6, 1}, {"8192", 30, 3}}) {
    const Example example = example_of("cwe", length);
    const std::size_t at = example.context.rfind("most often.\n") + 12;
    std::map<std::string, int> counts = counted(std::string_view(example.context).substr(at));
    ASSERT_EQ(example.answers.size(), 10U);
    for (const std::string& answer : example.answers) {
      EXPECT_EQ(counts[answer], often) << answer;
      counts.erase(answer);
    }
    for (const auto& [word, n] : counts) EXPECT_LE(n, seldom) << word;
  }
}

TEST(Ruler, FrequentWordsComeAsTheirZetaLawSays) {
  const Example example = example_of("fwe", "4096");
  const std::size_t at = example.context.find("coded words. ") + 13;
  std::map<std::string, int> counts = counted(std::string_view(example.context).substr(at));
  int before = counts["..."];
  counts.erase("...");
  for (const std::string& answer : example.answers) {
    EXPECT_LT(counts[answer], before);
    before = counts[answer];
    counts.erase(answer);
  }
  for (const auto& [word, n] : counts) EXPECT_LT(n, before) << word;
}

TEST(Ruler, TakesEssaysOfTheUsers) {
  const TempFolder folder;
  folder.write("a.txt", "Otters sleep.\n\n  They hold hands.\n");
  const auto context = [&](const std::string& haystack) {
    return datasets_of({{"tasks", {"niah_single_2"}},
                        {"lengths", {"512"}},
                        {"count", {"1"}},
                        {"haystack", {haystack}}})[0]
        ->examples(kSubwords)[0]
        .context;
  };
  EXPECT_THAT(context(folder.path()), HasSubstr("Otters sleep. They hold hands. Otters sleep."));
  folder.write("b.json", R"({"text":"Bees  hum.\nThey dance."})");
  EXPECT_THAT(context(folder / "b.json"), HasSubstr("Bees hum. They dance. Bees hum."));
}

json squad() {
  json paragraphs = json::array();
  for (int i = 0; i < 40; ++i)
    paragraphs.push_back({{"context", "Paragraph " + std::to_string(i) +
                                          " tells of rivers, hills and the weather in a town far away."},
                          {"qas",
                           {{{"question", "What is " + std::to_string(i) + "?"},
                             {"is_impossible", i % 2 == 1},
                             {"answers", {{{"text", "rivers"}}, {{"text", "hills"}}}}}}}});
  return {{"data", {{{"paragraphs", paragraphs}}}}};
}

TEST(Ruler, AsksAboutDocumentsOfTheUsers) {
  const TempFolder folder;
  json hotpot = json::array();
  for (int i = 0; i < 60; ++i)
    hotpot.push_back(json::parse(R"({"question":"Who?","answer":"yes","context":[["Title )" +
                                 std::to_string(i) + R"(",["One sentence of it."," And another one."]]]})"));
  const Keys keys{{"lengths", {"512"}},
                  {"count", {"3"}},
                  {"squad", {folder.write("squad.json", squad().dump())}},
                  {"hotpotqa", {folder.write("hotpot.json", hotpot.dump())}}};
  const auto all = datasets_of(keys);
  ASSERT_EQ(all.size(), 13U);
  EXPECT_EQ(all[11]->name(), "ruler/512/qa_1");
  EXPECT_EQ(all[11]->main_score(), "ruler_any");
  const std::vector<Example> examples = all[11]->examples(kSubwords);
  EXPECT_THAT(examples[1].question, HasSubstr("Question: What is 2?"));  // 1 cannot be answered
  EXPECT_THAT(examples[1].context, HasSubstr(":\nParagraph 2 tells"));
  EXPECT_THAT(examples[1].context, HasSubstr("\n\nDocument 2:\n"));
  EXPECT_THAT(examples[1].answers, ElementsAre("rivers", "hills"));
  for (const Example& example : examples) EXPECT_EQ(kSubwords.prompt(example).first, 512 - 32);
  EXPECT_THAT(all[12]->examples(kSubwords)[0].context,
              HasSubstr("Title 0\nOne sentence of it. And another one."));
  Keys longer = keys;
  longer["lengths"] = {"65536"};
  longer["tasks"] = {"qa_1"};
  expect_refusal([&] { datasets_of(longer)[0]->examples(kSubwords); }, "E-RL-40",
                 "is all that qa_1 can be made of", Exit::kSweep);
}

std::string line(const json& changes = json::object()) {
  json record{{"index", 0},
              {"input", "Read these words. a b\nQuestion: Which? Answer: They are:"},
              {"outputs", {"a", "b", "c"}},
              {"length", 12},
              {"answer_prefix", " Answer: They are:"}};
  for (const auto& [key, value] : changes.items())
    if (value.is_null())
      record.erase(key);
    else
      record[key] = value;
  return record.dump() + "\n";
}

TEST(Ruler, ReadsEveryLayout) {
  const TempFolder folder;
  for (const char* name : {"4096", "8192", "8192/fwe", "004"})
    std::filesystem::create_directory(folder / name);
  folder.write("4096/fwe.jsonl", line() + line({{"input", "Read. a\nQuestion: Which?"}}));
  folder.write("8192/fwe/validation.jsonl", line({{"answer_prefix", nullptr}}));
  folder.write("vt.jsonl",
               line({{"input", "<|begin_of_text|>Read. a\nQuestion: Which?<|eot_id|> Answer: They are:"}}));
  const auto all = datasets_of({{"path", {folder.path()}}});
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0]->name(), "ruler/vt");
  EXPECT_EQ(all[1]->name(), "ruler/4096/fwe");
  EXPECT_EQ(all[2]->name(), "ruler/8192/fwe");
  const Example newer = all[1]->examples(kNoCounter)[0], bare = all[1]->examples(kNoCounter)[1];
  EXPECT_EQ(newer.context, "Read these words. a b");
  EXPECT_EQ(newer.question, "\nQuestion: Which?");
  EXPECT_EQ(newer.answer_prefix, " Answer: They are:");
  EXPECT_TRUE(newer.rules->prefix_after && newer.rules->chat);
  EXPECT_EQ(bare.question + bare.answer_prefix, "\nQuestion: Which? Answer: They are:");
  const Example older = all[2]->examples(kNoCounter)[0];
  EXPECT_EQ(older.question, "\nQuestion: Which? Answer: They are:");
  EXPECT_TRUE(older.answer_prefix.empty() && !older.rules->prefix_after);
  EXPECT_FALSE(all[0]->examples(kNoCounter)[0].rules->chat);
  EXPECT_THAT(all[0]->warnings(),
              ElementsAre(Warning{"vt 1 records of 500", "scores over a part are not comparable"},
                          testing::Field(&Warning::found, HasSubstr("hold a chat template"))));
  EXPECT_EQ(all[1]->warnings().at(0).found, "4096/fwe 2 records of 500");
  EXPECT_EQ(all[1]->score(newer, "A, and b\x01"), (ScoreMap{{"ruler_all", 2.0 / 3}}));
  EXPECT_EQ(datasets_of({{"path", {folder.path()}}, {"lengths", {"8192"}}}).size(), 1U);
}

TEST(Ruler, RealFilesReadAndHoldTheirAnswers) {
  if (!std::filesystem::exists(kShared)) GTEST_SKIP() << "no " << kShared << ": 4 files are not read";
  std::map<std::string, std::size_t> records;
  for (const auto& dataset : datasets_of({{"path", {kShared}}}))
    for (const Example& example : dataset->examples(kNoCounter)) {
      ++records[dataset->name()];
      for (const std::string& answer : example.answers) EXPECT_THAT(example.context, HasSubstr(answer));
      EXPECT_TRUE(example.question.starts_with("\nQuestion: ") ||
                  example.question.starts_with("\nWhat is the special"));
    }
  EXPECT_EQ(records, (std::map<std::string, std::size_t>{{"ruler/4096/niah_multikey_3", 500},
                                                         {"ruler/65536/fwe", 5},
                                                         {"ruler/65536/niah_single_3", 5},
                                                         {"ruler/65536/vt", 5}}));
}

TEST(Ruler, TakesATaskAtTheLengthsThatHaveIt) {
  const TempFolder folder;
  for (const char* length : {"4096", "8192"}) std::filesystem::create_directory(folder / length);
  for (const char* file : {"4096/vt.jsonl", "8192/vt.jsonl", "8192/fwe.jsonl"}) folder.write(file, line());
  const std::vector<std::string> path{folder.path()};
  EXPECT_EQ(datasets_of({{"path", path}, {"tasks", {"vt", "fwe"}}}).size(), 3U);
  expect_refusal(
      [&] {
        datasets_of({{"path", path}, {"tasks", {"fwe"}}, {"lengths", {"4096"}}});
      },
      "E-RL-38", "no file of \"fwe\" at 4096", Exit::kInput);
}

TEST(Ruler, RefusesOptionsThatDoNotFit) {
  const TempFolder folder;
  folder.write("vt.jsonl", line());
  const std::vector<std::string> path{folder.path()};
  const auto refuse = [&](const Keys& keys, const char* code, const char* words, Exit exit = Exit::kSweep) {
    expect_refusal([&] { datasets_of(keys); }, code, words, exit);
  };
  refuse({{"tasks", {"vt"}}}, "E-TK-02", "no 'lengths'");
  refuse({{"lengths", {"0"}}}, "E-RL-33", "1 to 2097152");
  refuse({{"lengths", {"512", "512"}}}, "E-RL-36", "second time");
  refuse({{"lengths", {"512"}}, {"tasks", {"niah_multikey"}}}, "E-RL-32", "did you mean");
  refuse({{"lengths", {"512"}}, {"tasks", {"qa_1"}}}, "E-RL-39", "dev-v2.0.json");
  refuse({{"lengths", {"512"}}, {"tasks", {"qa_2"}}}, "E-RL-39", "hotpot_dev_distractor");
  refuse({{"lengths", {"512"}}, {"count", {"0"}}}, "E-RL-33", "count 0");
  refuse({{"lengths", {"512"}}, {"haystack", {folder / "x"}}}, "E-NH-01", "no such folder", Exit::kInput);
  refuse({{"path", path}, {"count", {"3"}}}, "E-RL-34", "'count' beside 'path'");
  refuse({{"path", path}, {"tasks", {"fwe"}}}, "E-RL-38", "no file of \"fwe\"", Exit::kInput);
  refuse({{"path", path}, {"lengths", {"4096"}}}, "E-RL-38", "at 4096", Exit::kInput);
  refuse({{"path", {folder / "x"}}}, "E-RL-31", "no folder", Exit::kInput);
  std::filesystem::create_directory(folder / "empty");
  refuse({{"path", {folder / "empty"}}}, "E-RL-35", "no file of a task", Exit::kInput);
  const auto tiny = datasets_of({{"lengths", {"200"}}, {"tasks", {"cwe"}}});
  expect_refusal([&] { tiny[0]->examples(kSubwords); }, "E-RL-40",
                 "no room for cwe; expected at least [0-9]+ tokens", Exit::kSweep);
}

TEST(Malformed, RulerFiles) {
  const TempFolder folder;
  std::vector<Malformed> cases{
      {"RL-01", "", "E-RL-L04", "empty file"},
      {"RL-01", "\n", "E-RL-L01", "blank line"},
      {"RL-01", line() + "\n" + line(), "E-RL-L01", ":2: a blank line"},
      {"RL-01", line() + line().substr(0, 30), "E-RL-L02", ":2: the last line breaks off"},
      {"RL-01", "[]\n", "E-RL-L03", "no object"},
      {"RL-01", "{\"input\":NaN}\n", "E-RL-J01", ":1:"},
      {"RL-02", line({{"input", nullptr}}), "E-RL-J07", "input"},
      {"RL-02", line({{"outputs", nullptr}}), "E-RL-J07", "outputs"},
      {"RL-03", line({{"input", 3}}), "E-RL-J05", "input"},
      {"RL-03", line({{"outputs", "a"}}), "E-RL-J05", "outputs"},
      {"RL-03", line({{"outputs", {1}}}), "E-RL-J05", "/outputs/0"},
      {"RL-03", line({{"length", "12"}}), "E-RL-J05", "length"},
      {"RL-03", line({{"length", -1}}), "E-RL-J06", "length"},
      {"RL-03", line({{"length", 1e300}}), "E-RL-J05", "length"},
      {"RL-03", line({{"answer_prefix", 1}}), "E-RL-J05", "answer_prefix"},
      {"RL-04", line({{"outputs", json::array()}}), "E-RL-01", "no reference"},
      {"RL-04", line({{"outputs", {"a", ""}}}), "E-RL-01", "an empty reference"},
      {"RL-05", line({{"input", "What is the special magic number?"}}), "E-RL-02", "no question of fwe"},
      {"RL-05", line({{"input", "\nQuestion: Which?"}}), "E-RL-02", "no question of fwe"},
      {"RL-05", line({{"input", ""}}), "E-RL-02", "no question of fwe"},
      {"RL-06", line() + line({{"answer_prefix", nullptr}}), "E-RL-03", ":2:.*without answer_prefix"},
      {"RL-06", line() + line({{"input", "<s>a\nQuestion: Which?"}}), "E-RL-03", ":2:.*in a chat template"},
  };
  expect_all_refused(cases, 22, {"RL-01", "RL-02", "RL-03", "RL-04", "RL-05", "RL-06"},
                     [&](const std::string& content) {
                       read_ruler(folder.write("fwe.jsonl", content), *ruler_task("fwe"));
                     });
}

TEST(Malformed, RulerDocuments) {
  const TempFolder folder;
  const auto with = [](const std::string& pointer, const json& value) {
    json all = squad();
    all[json::json_pointer(pointer)] = value;
    return all.dump();
  };
  const std::string qa = "/data/0/paragraphs/0/qas";
  const std::vector<Malformed> squads{
      {"SQ-01", "{}", "E-RL-J07", "data"},
      {"SQ-01", "[]", "E-RL-J05", "object"},
      {"SQ-02", with("/data", 3), "E-RL-J05", "no list"},
      {"SQ-02", with("/data", json::array()), "E-RL-11", "no question"},
      {"SQ-02", with("/data/0/paragraphs", "x"), "E-RL-J05", "no list"},
      {"SQ-02", with("/data/0/paragraphs/0", json::object()), "E-RL-J07", "context"},
      {"SQ-02", with("/data/0/paragraphs/0/context", 1), "E-RL-J05", "context"},
      {"SQ-03", with(qa, 1), "E-RL-J05", "qas"},
      {"SQ-03", with(qa + "/0/is_impossible", "no"), "E-RL-J05", "is_impossible"},
      {"SQ-03", with(qa + "/0/answers", json::array()), "E-RL-13", "no answer"},
      {"SQ-03", with(qa + "/0/answers", {1}), "E-RL-J05", "answers"},
      {"SQ-03", with(qa + "/0/question", 1), "E-RL-J05", "question"},
  };
  expect_all_refused(squads, 12, {"SQ-01", "SQ-02", "SQ-03"},
                     [&](const std::string& content) { read_squad(folder.write("squad.json", content)); });
  const std::vector<Malformed> hotpots{
      {"HP-01", "{}", "E-RL-12", "no list"},
      {"HP-01", "[]", "E-RL-11", "no question"},
      {"HP-02", R"([{"question":"a","answer":"b"}])", "E-RL-J07", "context"},
      {"HP-02", R"([{"question":"a","answer":"b","context":[["t"]]}])", "E-RL-12", "no document"},
      {"HP-02", R"([{"question":"a","answer":"b","context":[["t","s"]]}])", "E-RL-12", "no document"},
      {"HP-02", R"([{"question":"a","answer":"b","context":[["t",[1]]]}])", "E-RL-J05", "context"},
      {"HP-02", R"([{"question":"a","context":[["t",["s"]]]}])", "E-RL-J07", "answer"},
  };
  expect_all_refused(hotpots, 7, {"HP-01", "HP-02"}, [&](const std::string& content) {
    read_hotpotqa(folder.write("hotpot.json", content));
  });
}

}  // namespace
}  // namespace evictbench
