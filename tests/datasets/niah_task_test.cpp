// Needle tasks as a sweep file describes them: what is read, what is refused.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "core/error.h"
#include "datasets/haystack.h"
#include "datasets/registry.h"
#include "tests/support/refusal.h"
#include "tests/support/temp_folder.h"
#include "tests/support/token_counting.h"

namespace evictbench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

int count_words(std::string_view text) {
  int n = 0;
  for (std::size_t i = 0; i < text.size(); ++i) n += text[i] > ' ' && (i == 0 || text[i - 1] <= ' ');
  return n;
}

// Options as the sweep reader hands them over.
TaskOptions soup_task() {
  TaskOptions task;
  task.file = "sweep.yaml";
  task.position = "3:5";
  int line = 3;
  const auto put = [&](const std::string& key, std::vector<std::string> values, bool list = false) {
    const std::string at = std::to_string(line++);
    TaskOptions::Option option{{}, at + ":5", list};
    for (auto& value : values) option.values.push_back({std::move(value), at + ":20", false});
    task.options[key] = std::move(option);
  };
  put("name", {"niah"});
  put("haystack", {"generated"});
  put("lengths", {"200", "300"}, true);
  put("depths", {"0", "50.5"}, true);
  put("needle", {"The soup in {key} needs {value}."});
  put("question", {"What does the soup in {key} need?"});
  put("keys", {"Tallinn", "Bergen"}, true);
  put("values", {"saffron", "12345"}, true);
  put("max_new", {"16"});
  return task;
}

void set(TaskOptions& task, const std::string& key, std::vector<std::string> values, bool list = false) {
  TaskOptions::Option option{{}, "9:5", list};
  for (auto& value : values) option.values.push_back({std::move(value), "9:20", false});
  task.options[key] = std::move(option);
}

std::string evidence_of(const Example& example) {
  return example.context.substr(example.evidence.begin, example.evidence.size);
}

TEST(NiahTask, EvidenceIsThePlaceOfTheValueInItsNeedle) {
  TaskOptions task = soup_task();
  set(task, "depths", {"0", "37", "100"}, true);
  set(task, "needle", {"Is it {value}? The soup in {key} needs {value}."});
  const TempFolder folder;  // a haystack that holds value and needle already
  folder.write(
      "a.txt",
      "Some saffron. The soup in Tallinn needs saffron. Is it 12345? The soup in Bergen needs 12345. "
      "More and more words follow here. And again they do so.");
  for (const std::string& haystack : {std::string("generated"), folder.path()}) {
    set(task, "haystack", {haystack});
    for (const Example& example : make_dataset(task)->examples(counting(count_words))) {
      EXPECT_EQ(evidence_of(example), example.answers.front()) << example.id;
      const std::size_t needle = example.evidence.begin - std::string("Is it ").size();
      EXPECT_EQ(example.context.substr(needle, example.needle.size()), example.needle) << example.id;
    }
  }
}

TEST(NiahTask, EvidenceMayBeAnyPartOfTheNeedle) {
  TaskOptions task = soup_task();
  set(task, "needle", {"It never snows in {key}. The soup in {key} needs {value}. It needs no mint."});
  set(task, "evidence", {"The soup in {key} needs {value}."});
  for (const Example& example : make_dataset(task)->examples(counting(count_words)))
    EXPECT_EQ(evidence_of(example), "The soup in " + example.id.substr(example.id.rfind('-') + 1) +
                                        " needs " + example.answers.front() + ".");
  set(task, "evidence", {"needs no mint"});
  EXPECT_EQ(evidence_of(make_dataset(task)->examples(counting(count_words))[0]), "needs no mint");
  set(task, "evidence", {"The soup in {key} needs mint."});
  expect_refusal([&] { make_dataset(task); }, "E-NH-23", "9:5.*does not hold .The soup in Tallinn needs mint",
                 Exit::kSweep);
  set(task, "evidence", {"{Key}"});
  expect_refusal([&] { make_dataset(task); }, "E-NH-16", "placeholder", Exit::kSweep);
}

TEST(NiahTask, EvidenceOfAValueInOtherLetterCaseIsTheNeedle) {
  TaskOptions task = soup_task();
  set(task, "needle", {"The soup needs SAFFRON."});
  set(task, "question", {"What does it need?"});
  set(task, "values", {"saffron"}, true);
  task.options.erase("keys");
  EXPECT_EQ(evidence_of(make_dataset(task)->examples(counting(count_words))[0]), "The soup needs SAFFRON.");
}

// Words are tokens; a needle goes in front of the text.
TokenCounter hiding_in_front() {
  TokenCounter counter = counting(count_words);
  counter.first = [](std::string_view text, int tokens, const NeedleRules&) {
    EXPECT_GE(count_words(text), tokens);
    return std::string(text.substr(0, 20));
  };
  counter.hide = [](std::string_view context, std::string_view needle, int tokens, double depth,
                    const NeedleRules& rules) {
    return HiddenNeedle{
        fmt::format("{}{} [{} {} {} {}]", needle, context, tokens, depth, rules.specials, rules.any_stop), 0};
  };
  return counter;
}

TEST(NiahTask, PublishedProtocolsHideNeedlesAmongTokens) {
  const TempFolder folder;
  folder.write("a.txt", "Some words that");
  folder.write("b.txt", "stand in a file. ");
  TaskOptions task = soup_task();
  set(task, "haystack", {folder.path()});
  set(task, "protocol", {"compresskv"});
  set(task, "lengths", {"300", "400"}, true);
  task.options.erase("max_new");
  std::vector<Example> examples = make_dataset(task)->examples(hiding_in_front());
  ASSERT_EQ(examples.size(), 8U);
  EXPECT_EQ(examples[3].id, "len300-depth50.5-Bergen");
  EXPECT_EQ(examples[3].context,  // files are joined as they are
            "<|im_start|> This is a very long story book: <book> The soup in Bergen needs 12345."
            "Some words thatstand [100 50.5 true false] </book>.\n Based on the content of the book,");
  EXPECT_EQ(examples[3].question, " Question: What does the soup in Bergen need?\nAnswer:");
  EXPECT_EQ(examples[3].answer_prefix, "");
  EXPECT_EQ(evidence_of(examples[3]), "12345");
  EXPECT_EQ(examples[3].max_new, 50);
  EXPECT_FALSE(examples[3].line_ends);
  ASSERT_TRUE(examples[3].rules);
  EXPECT_FALSE(examples[3].rules->chat);
  set(task, "protocol", {"kvcache-factory"});
  set(task, "haystack", {"generated"});
  examples = make_dataset(task)->examples(hiding_in_front());
  EXPECT_THAT(examples[7].context, HasSubstr("[200 50.5 false true]"));
  EXPECT_EQ(examples[7].max_new, 30);
  EXPECT_TRUE(examples[7].line_ends);
}

TEST(NiahTask, PublishedProtocolsRefuseWhatTheyHaveNoPlaceFor) {
  const auto refuse = [](const std::string& key, const std::string& value, const char* code,
                         const char* words) {
    TaskOptions task = soup_task();
    set(task, "lengths", {"220"}, true);
    set(task, "protocol", {"compresskv"});
    if (value.empty())
      task.options.erase(key);
    else
      set(task, key, {value}, key == "lengths");
    expect_refusal([&] { make_dataset(task)->examples(hiding_in_front()); }, code, words, Exit::kSweep);
  };
  refuse("protocol", "compreskv", "E-NH-32", "did you mean 'compresskv'");
  refuse("answer_prefix", "The soup", "E-NH-24", "an answer prefix");
  refuse("question", "", "E-NH-24", "no question");
  refuse("lengths", "208", "E-NH-22", "at least 209 tokens");
}

TEST(NiahTask, IsRegisteredAndReadsItsOptions) {
  const auto& all = all_datasets();
  const auto entry = std::ranges::find(all, "niah", &DatasetEntry::name);
  ASSERT_NE(entry, all.end());
  EXPECT_THAT(entry->metrics, ElementsAre("exact", "rouge1_recall", "word_overlap"));
  TaskOptions task = soup_task();
  set(task, "id", {"my-needles"});
  set(task, "depths", {"25"});  // a scalar where a list may be
  const auto dataset = make_dataset(task);
  EXPECT_EQ(dataset->name(), "my-needles");
  const auto examples = dataset->examples(counting(count_words));
  ASSERT_EQ(examples.size(), 4U);
  EXPECT_EQ(examples[1].needle, "The soup in Bergen needs 12345.");
  EXPECT_EQ(examples[1].max_new, 16);
  EXPECT_EQ(examples[1].depth, 25);
}

TEST(NiahTask, FindsTheHaystackBesideTheSweepFile) {
  TempFolder folder;
  std::filesystem::create_directory(folder.path() + "/essays");
  folder.write("essays/a.txt", "Only this sentence is here.");
  TaskOptions task = soup_task();
  task.base_folder = folder.path();
  for (const std::string& name : {std::string("essays"), std::string("essays/"), folder.path() + "/essays"}) {
    set(task, "haystack", {name});
    EXPECT_THAT(make_dataset(task)->examples(counting(count_words))[0].context,
                HasSubstr("Only this sentence is here."));
  }
}

struct Broken {
  const char* name;
  std::function<void(TaskOptions&, const TempFolder&)> harm;
  Exit exit;
  const char* message;  // an expression for part of the message
};

const Broken kBroken[] = {
    {"unknown key", [](auto& t, auto&) { set(t, "lenghts", {"5"}); }, Exit::kSweep,
     "E-TK-01\\] sweep.yaml:9:5: unknown key 'lenghts'; .* Mend: did you mean 'lengths'"},
    {"unknown task", [](auto& t, auto&) { set(t, "name", {"niha"}); }, Exit::kSweep,
     "E-TK-07.*did you mean 'niah'"},
    {"no name", [](auto& t, auto&) { t.options.erase("name"); }, Exit::kSweep,
     "E-TK-02\\] sweep.yaml:3:5: .*'name'"},
    {"no lengths", [](auto& t, auto&) { t.options.erase("lengths"); }, Exit::kSweep, "E-TK-02.*'lengths'"},
    {"no values", [](auto& t, auto&) { t.options.erase("values"); }, Exit::kSweep, "E-TK-02.*'values'"},
    {"empty lengths", [](auto& t, auto&) { set(t, "lengths", {}, true); }, Exit::kSweep, "E-TK-03"},
    {"empty depths", [](auto& t, auto&) { set(t, "depths", {}, true); }, Exit::kSweep, "E-TK-03"},
    {"empty values", [](auto& t, auto&) { set(t, "values", {}, true); }, Exit::kSweep, "E-TK-03"},
    {"needle list",
     [](auto& t, auto&) {
       set(t, "needle", {"a", "b"}, true);
     },
     Exit::kSweep, "E-TK-04"},
    {"null needle", [](auto& t, auto&) { set(t, "needle", {"~"}); }, Exit::kSweep, "E-TK-05"},
    {"null value",
     [](auto& t, auto&) {
       set(t, "values", {"a", ""}, true);
     },
     Exit::kSweep, "E-TK-05"},
    {"octal", [](auto& t, auto&) { set(t, "lengths", {"0512"}); }, Exit::kSweep,
     "E-TK-06\\] sweep.yaml:9:20"},
    {"hex", [](auto& t, auto&) { set(t, "lengths", {"0x200"}); }, Exit::kSweep, "E-TK-06"},
    {"fraction", [](auto& t, auto&) { set(t, "lengths", {"512.0"}); }, Exit::kSweep, "E-TK-06"},
    {"words", [](auto& t, auto&) { set(t, "lengths", {"long"}); }, Exit::kSweep, "E-TK-06"},
    {"overflow", [](auto& t, auto&) { set(t, "lengths", {"99999999999"}); }, Exit::kSweep, "E-TK-06"},
    {"true", [](auto& t, auto&) { set(t, "max_new", {"true"}); }, Exit::kSweep, "E-TK-06"},
    {"quoted number",
     [](auto& t, auto&) { set(t, "max_new", {"16"}), t.options["max_new"].values[0].quoted = true; },
     Exit::kSweep, "E-TK-06.*the text"},
    {"nan depth", [](auto& t, auto&) { set(t, "depths", {"nan"}); }, Exit::kSweep, "E-TK-06"},
    {"inf depth", [](auto& t, auto&) { set(t, "depths", {"1e999"}); }, Exit::kSweep, "E-TK-06"},
    {"percent sign", [](auto& t, auto&) { set(t, "depths", {"50%"}); }, Exit::kSweep, "E-TK-06"},
    {"depth above",
     [](auto& t, auto&) {
       set(t, "depths", {"50", "100.5"}, true);
     },
     Exit::kSweep, "E-NH-13\\] sweep.yaml:9:5: depth 100.5"},
    {"depth below", [](auto& t, auto&) { set(t, "depths", {"-1"}); }, Exit::kSweep, "E-NH-13"},
    {"negative length", [](auto& t, auto&) { set(t, "lengths", {"-512"}); }, Exit::kSweep, "E-NH-12"},
    {"zero length", [](auto& t, auto&) { set(t, "lengths", {"0"}); }, Exit::kSweep, "E-NH-12"},
    {"huge length", [](auto& t, auto&) { set(t, "lengths", {"2000000000"}); }, Exit::kSweep, "E-NH-12"},
    {"huge product",
     [](auto& t, auto&) { set(t, "lengths", std::vector<std::string>(100, "16000000"), true); }, Exit::kSweep,
     "E-NH-15"},
    {"no new tokens", [](auto& t, auto&) { set(t, "max_new", {"0"}); }, Exit::kSweep, "E-NH-14"},
    {"too short",
     [](auto& t, auto&) {
       set(t, "lengths", {"200", "12"}, true);
     },
     Exit::kSweep, "E-NH-22.*length 12 .*at least 13 tokens"},
    {"more keys",
     [](auto& t, auto&) {
       set(t, "keys", {"a", "b", "c"}, true);
     },
     Exit::kSweep, "E-NH-17.*3 keys and 2 values"},
    {"no keys", [](auto& t, auto&) { t.options.erase("keys"); }, Exit::kSweep,
     "E-NH-17.*'needle' holds \\{key\\}"},
    {"placeholder", [](auto& t, auto&) { set(t, "question", {"Where is {city}?"}); }, Exit::kSweep,
     "E-NH-16.*\\{city\\} in 'question'"},
    {"attribute", [](auto& t, auto&) { set(t, "needle", {"{value} {0.__class__}"}); }, Exit::kSweep,
     "E-NH-16.*\\{0.__class__\\}"},
    {"empty braces", [](auto& t, auto&) { set(t, "answer_prefix", {"It is {}"}); }, Exit::kSweep,
     "E-NH-16.*\\{\\}"},
    {"no question", [](auto& t, auto&) { t.options.erase("question"); }, Exit::kSweep, "E-NH-18"},
    {"value without words",
     [](auto& t, auto&) {
       set(t, "values", {"a", "--"}, true);
     },
     Exit::kSweep, "E-NH-19"},
    {"needle without value", [](auto& t, auto&) { set(t, "needle", {"The soup in {key}."}); }, Exit::kSweep,
     "E-NH-21"},
    {"value inside a word", [](auto& t, auto&) { set(t, "needle", {"pre{value}post"}); }, Exit::kSweep,
     "E-NH-21"},
    {"common values",
     [](auto& t, auto&) {
       set(t, "keys", std::vector<std::string>(9, "x"), true);
       set(t, "values", {"the", "a", "an", "and", "was", "it", "said", "asked", "to"}, true);
     },
     Exit::kSweep, "E-NH-20"},
    {"no folder", [](auto& t, auto& f) { set(t, "haystack", {f.path() + "/none"}); }, Exit::kInput,
     "E-NH-01.*no such folder"},
    {"empty haystack",
     [](auto& t, auto&) { set(t, "haystack", {""}), t.options["haystack"].values[0].quoted = true; },
     Exit::kSweep, "E-NH-10"},
    {"file", [](auto& t, auto& f) { f.write("a.txt", "Hi."), set(t, "haystack", {f.path() + "/a.txt"}); },
     Exit::kInput, "E-NH-01.*is a file"},
    {"empty folder", [](auto& t, auto& f) { set(t, "haystack", {f.path()}); }, Exit::kInput, "E-NH-03"},
    {"no .txt", [](auto& t, auto& f) { f.write("a.md", "Hi."), set(t, "haystack", {f.path()}); },
     Exit::kInput, "E-NH-03"},
    {"Latin-1", [](auto& t, auto& f) { f.write("a.txt", "caf\xE9."), set(t, "haystack", {f.path()}); },
     Exit::kInput, "E-NH-04\\] .*a.txt:byte 3"},
    {"UTF-16",
     [](auto& t, auto& f) {
       f.write("a.txt", std::string_view("H\0i\0", 4)), set(t, "haystack", {f.path()});
     },
     Exit::kInput, "E-NH-05\\] .*a.txt:byte 1"},
    {"blank files", [](auto& t, auto& f) { f.write("a.txt", " \n\n"), set(t, "haystack", {f.path()}); },
     Exit::kInput, "E-NH-07"},
    {"folder named .txt",
     [](auto& t, auto& f) {
       std::filesystem::create_directory(f.path() + "/a.txt");
       set(t, "haystack", {f.path()});
     },
     Exit::kInput, "E-NH-F03"},
    {"FIFO",
     [](auto& t, auto& f) {
       EXPECT_EQ(::mkfifo((f.path() + "/a.txt").c_str(), 0600), 0);
       set(t, "haystack", {f.path()});
     },
     Exit::kInput, "E-NH-F04"},
    {"dangling link",
     [](auto& t, auto& f) {
       std::filesystem::create_symlink("none", f.path() + "/a.txt");
       set(t, "haystack", {f.path()});
     },
     Exit::kInput, "E-NH-F01"},
    {"LFS pointer",
     [](auto& t, auto& f) {
       f.write("a.txt", "version https://git-lfs.github.com/spec/v1\n");
       set(t, "haystack", {f.path()});
     },
     Exit::kInput, "E-NH-F13"},
};

TEST(NiahTask, RefusesBrokenOptionsInOneLine) {
  for (const Broken& broken : kBroken) {
    SCOPED_TRACE(broken.name);
    TempFolder folder;
    TaskOptions task = soup_task();
    broken.harm(task, folder);
    const std::string message =
        refusal([&] { make_dataset(task)->examples(counting(count_words)); }, broken.exit);
    EXPECT_THAT(message, testing::ContainsRegex(broken.message));
  }
}

TEST(NiahTask, SaysWhatItCannotRead) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  TempFolder folder;
  folder.write("a.txt", "Hi.");
  ::chmod((folder.path() + "/a.txt").c_str(), 0);
  EXPECT_THROW(read_haystack(folder.path()), Error);
}

TEST(NiahTask, SaysTheSmallestLengthThatWorks) {
  TaskOptions task = soup_task();
  set(task, "lengths", {"13"});
  const auto examples = make_dataset(task)->examples(counting(count_words));
  EXPECT_EQ(examples[0].context, examples[0].needle);
}

}  // namespace
}  // namespace evictbench
