// Recall tasks: exact lengths, facts where they belong, two halves that share nothing, and what is refused.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <set>

#include "datasets/generated_text.h"
#include "datasets/recall_scenes.h"
#include "datasets/registry.h"
#include "datasets/text_metrics.h"
#include "tests/support/refusal.h"

namespace evictbench {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr int kOverhead = 5;

int count_words(std::string_view text) {
  int n = 0;
  for (std::size_t i = 0; i < text.size(); ++i) n += text[i] > ' ' && (i == 0 || text[i - 1] <= ' ');
  return n;
}

const TokenCounter kCounter{.text = count_words,
                            .beside = [](std::string_view question, std::string_view prefix) {
                              return count_words(question) + count_words(prefix) + kOverhead;
                            }};

void set(TaskOptions& task, const std::string& key, std::vector<std::string> values) {
  TaskOptions::Option option{{}, "9:5", values.size() > 1};
  for (auto& value : values) option.values.push_back({std::move(value), "9:20", false});
  task.options[key] = std::move(option);
}

TaskOptions task_of(const std::string& kind, const std::vector<std::string>& lengths = {"300"}) {
  TaskOptions task;
  task.file = "sweep.yaml";
  task.position = "3:5";
  set(task, "name", {"recall"});
  set(task, "kind", {kind});
  set(task, "lengths", lengths);
  return task;
}

std::vector<Example> examples_of(const TaskOptions& task) { return make_dataset(task)->examples(kCounter); }

std::vector<std::string> kinds() {
  std::vector<std::string> out;
  for (const RecallKind& kind : recall_kinds()) out.push_back(kind.name);
  return out;
}

// Every statement that a right answer makes, as the context must hold it.
std::vector<std::string> statements(const std::string& kind, const Example& e) {
  const std::string& answer = e.answers.front();
  if (kind == "multi_value") {
    const auto first = answer.find(". "), second = answer.find(". ", first + 1);
    return {e.answer_prefix + " " + answer.substr(0, first + 1), answer.substr(first + 2, second - first - 1),
            answer.substr(second + 2) + "."};
  }
  if (kind == "two_hop")
    return {e.answer_prefix + " " + answer.substr(0, answer.find(',')) + ".",
            answer.substr(answer.find(", and ") + 6) + "."};
  if (kind == "variables")
    return {e.answer_prefix + answer.substr(0, answer.find('=')) + ";", "let " + answer + ";"};
  if (kind == "multi_query") {
    const std::string whole = e.answer_prefix + " " + answer;
    const auto first = whole.find(", that of "), second = whole.find(" and that of ");
    const std::string secret = whole.substr(0, whole.find(" of ")) + " of ";
    return {whole.substr(0, first) + ".", secret + whole.substr(first + 10, second - first - 10) + ".",
            secret + whole.substr(second + 13) + "."};
  }
  if (kind == "labels") return {" joins " + answer + "."};
  if (kind == "code") return {e.answer_prefix + answer + ";"};
  return {e.answer_prefix + " " + answer + "."};
}

TEST(Recall, EvidenceIsThePlaceThatTheLastOfTheAnswerIsReadFrom) {
  for (const std::string& kind : kinds()) {
    TaskOptions task = task_of(kind);
    set(task, "questions", {"3"});
    set(task, "depths", {"20"});
    for (const Example& e : examples_of(task)) {
      const std::string evidence = e.context.substr(e.evidence.begin, e.evidence.size);
      const std::string& answer = e.answers.front();
      const std::string last = answer.substr(answer.rfind(kind == "variables" ? '=' : ' ') + 1);
      if (kind == "needle" || kind == "multi_key" || kind == "code") {
        EXPECT_EQ(evidence, answer) << kind;
      } else if (kind == "two_hop" || kind == "variables") {
        EXPECT_THAT(evidence, testing::EndsWith(last + (kind == "two_hop" ? "." : ";"))) << kind;
      } else {
        EXPECT_EQ(evidence, "") << kind << ": in several places";
        continue;
      }
      EXPECT_EQ(e.context.find(evidence, e.evidence.begin + 1), std::string::npos) << kind;
    }
  }
}

TEST(Recall, PromptsHaveExactlyTheLengthAskedFor) {
  for (const std::string& kind : kinds()) {
    const auto examples = examples_of(task_of(kind, {"300", "1000"}));
    ASSERT_EQ(examples.size(), 20U);
    for (const Example& e : examples)
      EXPECT_EQ(count_words(e.context) + count_words(e.question) + count_words(e.answer_prefix) + kOverhead,
                e.length)
          << kind << " " << e.id;
  }
}

TEST(Recall, TheContextSaysWhatTheAnswerSays) {
  for (const std::string& kind : kinds())
    for (const Example& e : examples_of(task_of(kind))) {
      for (const std::string& statement : statements(kind, e))
        EXPECT_THAT(e.context, HasSubstr(statement)) << kind;
      EXPECT_THAT(e.context, HasSubstr(e.needle));
      EXPECT_GE(words_of(e.answers.front()).size() + (kind == "code" ? 3 : 0), 3U)
          << "a number has four digits";
    }
}

TEST(Recall, TheFirstFactStandsAtItsDepth) {
  for (const char* kind : {"needle", "multi_key", "two_hop"}) {
    TaskOptions task = task_of(kind);
    set(task, "depths", {"0", "50", "100"});
    set(task, "count", {"4"});
    const auto examples = examples_of(task);
    ASSERT_EQ(examples.size(), 12U);
    for (const Example& e : examples) {
      EXPECT_THAT(e.id, StartsWith("len300-depth" + std::to_string(static_cast<int>(e.depth)) + "-"));
      const auto share =
          static_cast<double>(e.context.find(e.needle)) / static_cast<double>(e.context.size());
      EXPECT_NEAR(share, e.depth / 100, e.depth == 50 ? 0.25 : 0.12) << kind << " " << e.id;
    }
  }
}

TEST(Recall, OneNeedleAtTheEdges) {
  TaskOptions task = task_of("needle");
  set(task, "depths", {"0", "100"});
  for (const Example& e : examples_of(task))
    EXPECT_TRUE(e.depth == 0 ? e.context.starts_with(e.needle) : e.context.ends_with(e.needle)) << e.context;
}

TEST(Recall, TextDependsOnTheSeedAlone) {
  for (const std::string& kind : kinds()) {
    TaskOptions task = task_of(kind);
    const auto all = examples_of(task), again = examples_of(task);
    set(task, "count", {"3"});
    const auto some = examples_of(task);
    for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].context, again[i].context);
    for (std::size_t i = 0; i < some.size(); ++i) EXPECT_EQ(all[i].context, some[i].context);
    task.seed = 43;
    EXPECT_NE(examples_of(task).front().context, all.front().context);
  }
}

TEST(Recall, QuestionsAboutOneSceneShareItsText) {
  TaskOptions task = task_of("multi_key");
  set(task, "questions", {"3"});
  set(task, "count", {"2"});
  const auto examples = examples_of(task);
  ASSERT_EQ(examples.size(), 6U);
  EXPECT_EQ(examples[0].id, "len300-0-q0");
  EXPECT_EQ(examples[0].context, examples[2].context);
  EXPECT_NE(examples[0].answers, examples[2].answers);
  EXPECT_NE(examples[2].context, examples[3].context);
  for (const Example& e : examples)
    EXPECT_LE(count_words(e.context) + count_words(e.question) + count_words(e.answer_prefix) + kOverhead,
              300);
}

// All matches of `form`'s group in the facts of many scenes.
std::set<std::string> found(const std::string& kind, RecallSplit split, const std::regex& form) {
  const auto known = recall_kinds();
  const auto entry = std::ranges::find(known, kind, &RecallKind::name);
  std::set<std::string> out;
  for (std::uint64_t n = 0; n < 1500; ++n) {
    Draws draws(n, 1);
    for (const std::string& fact : entry->scene(draws, split, 8).facts)
      for (std::sregex_iterator at(fact.begin(), fact.end(), form), end; at != end; ++at)
        out.insert((*at)[1]);
  }
  return out;
}

TEST(Recall, HeldOutNamesNumbersAndValuesAreNeverTrainedOn) {
  const std::regex name(" of ([A-Z][a-z]+) is "), value(" is ([a-z]+ [a-z]+) "), key("let ([a-z]+)="),
      number("[=:]([0-9]{4});"), label(" joins ([a-z]+ [a-z]+) "), thing("The ([a-z]+ [a-z]+) is with"),
      place("waits at ([a-z]+ [a-z]+) ");
  const std::vector<std::pair<std::string, std::regex>> forms{
      {"multi_key", name}, {"multi_key", value}, {"variables", key}, {"code", number},
      {"labels", label},   {"two_hop", thing},   {"two_hop", place}};
  for (const auto& [kind, form] : forms) {
    const auto trained = found(kind, RecallSplit::kTrain, form),
               held = found(kind, RecallSplit::kHeldOut, form);
    EXPECT_GT(trained.size(), held.size()) << kind;
    EXPECT_GT(held.size(), 2U * kMostRecallItems) << kind << ": enough to draw from without repeats";
    std::vector<std::string> both;
    std::ranges::set_intersection(trained, held, std::back_inserter(both));
    EXPECT_TRUE(both.empty()) << kind << ": " << both.front();
  }
}

TEST(Recall, GeneratedTextHoldsNoneOfItsWords) {
  const auto words = words_of(GeneratedText(5, {}).grown_to(500'000));
  const std::set<std::string> seen(words.begin(), words.end());
  for (const std::string_view word : recall_words()) EXPECT_FALSE(seen.contains(std::string(word))) << word;
  for (const std::string& name :
       found("code", RecallSplit::kHeldOut, std::regex("(?:let|dict) ([a-z]+)[=:]")))
    EXPECT_FALSE(seen.contains(name)) << name;
}

TEST(Recall, AFewShotQuestionShowsANewSample) {
  for (const Example& e : examples_of(task_of("labels"))) {
    EXPECT_THAT(e.context, testing::Not(HasSubstr(e.answer_prefix)));
    const std::string noun = e.answer_prefix.substr(0, e.answer_prefix.rfind(' '))
                                 .substr(e.answer_prefix.rfind(' ', e.answer_prefix.size() - 7));
    EXPECT_THAT(e.context, HasSubstr(noun + " joins " + e.answers.front()));
  }
}

TEST(Recall, RefusesWhatDoesNotFit) {
  const auto refused = [](const std::string& key, const std::string& value, const char* code,
                          const char* words, const std::string& kind = "multi_query") {
    TaskOptions task = task_of(kind);
    set(task, key, {value});
    expect_refusal([&] { examples_of(task); }, code, words, Exit::kSweep);
  };
  refused("kind", "nedle", "E-RK-01", "did you mean 'needle'");
  refused("kind", "x", "E-RK-01", "choose one of them");
  refused("lengths", "0", "E-RK-02", "'lengths' holds 0");
  refused("depths", "100.5", "E-RK-02", "'depths' holds 100.5");
  refused("count", "0", "E-RK-02", "'count' holds 0");
  refused("questions", "65", "E-RK-02", "1 to 64");
  refused("items", "65", "E-RK-02", "3 to 64");
  refused("items", "2", "E-RK-02", "3 to 64");
  refused("items", "0", "E-RK-02", "1 to 64", "needle");
  refused("max_new", "0", "E-RK-02", "'max_new' holds 0");
  refused("lengths", "60", "E-RK-03", "no room .* at least [0-9]+ tokens");
  refused("split", "test", "E-RK-04", "train or heldout");
  refused("keys", "a", "E-TK-01", "unknown key 'keys'");
}

TEST(Recall, TheShortestLengthThatItNamesWillDo) {
  TaskOptions task = task_of("multi_value", {"10"});
  set(task, "count", {"1"});
  const std::string message = refusal([&] { examples_of(task); }, Exit::kSweep);
  std::smatch least;
  ASSERT_TRUE(std::regex_search(message, least, std::regex("at least ([0-9]+) tokens")));
  set(task, "lengths", {least[1]});
  EXPECT_EQ(examples_of(task).size(), 1U);
  set(task, "lengths", {std::to_string(std::stoi(least[1]) - 1)});
  EXPECT_NE(refusal([&] { examples_of(task); }, Exit::kSweep), "");
}

TEST(Recall, ScoresTheWholeAnswer) {
  const auto dataset = make_dataset(task_of("code"));
  const Example e = dataset->examples(kCounter).front();
  EXPECT_EQ(dataset->score(e, e.answers.front() + ".").at("exact"), 1);
  EXPECT_EQ(dataset->score(e, e.answers.front().substr(0, 3)).at("exact"), 0);
}

}  // namespace
}  // namespace evictbench
