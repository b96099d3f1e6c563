#include "datasets/niah.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <sstream>

#include "core/io/file.h"
#include "datasets/haystack.h"
#include "datasets/unicode.h"
#include "tests/support/temp_folder.h"
#include "tests/support/token_counting.h"

namespace evictbench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kEssays = EVICTBENCH_SOURCE_DIR "/../shared/data/niah/essays";

int count_words(std::string_view text) {
  std::istringstream in{std::string(text)};
  int n = 0;
  for (std::string word; in >> word;) ++n;
  return n;
}
int count_quarters(std::string_view text) { return static_cast<int>((text.size() + 3) / 4); }
int count_unsteadily(std::string_view text) { return count_words(text) + static_cast<int>(text.size() % 3); }

struct Counting {
  const char* name;
  int (*count)(std::string_view);
  int lacking;  // tokens that a prompt may lack: the slack, and one word more
};
const Counting kCountings[] = {
    {"words", count_words, 4}, {"bytes/4", count_quarters, 10}, {"unsteady", count_unsteadily, 7}};

NiahOptions soup(std::string haystack) {
  NiahOptions options;
  options.haystack = std::move(haystack);
  options.lengths = {120, 400, 1500};
  options.depths = {0, 10, 33.3, 50, 75, 99, 100};
  options.needle = "The secret ingredient of the soup in {key} is {value}.";
  options.question = "What is the secret ingredient of the soup in {key}?";
  options.answer_prefix = "The secret ingredient of the soup in {key} is";
  options.keys = {"Tallinn", "Bergen"};
  options.values = {"saffron", "mustard"};
  return options;
}

std::vector<Example> examples_of(const NiahOptions& options, const CountTokens& count = count_words) {
  return make_niah(options)->examples(counting(count, 17));
}

// The context without its needle, and where that stood.
struct Parts {
  std::string before, after;
};
Parts take_out_needle(const Example& example) {
  const auto at = example.context.find(example.needle);
  EXPECT_NE(at, std::string::npos) << example.id;
  EXPECT_EQ(example.context.find(example.needle, at + 1), std::string::npos) << example.id << ": two needles";
  return {example.context.substr(0, at), example.context.substr(at + example.needle.size())};
}

// An oracle of its own: where sentences end in ASCII prose.
bool has_sentence_end(const std::string& text) {
  static const std::regex end("[.!?][\"')\\]}*_]{0,4}\\s+(?![a-z\\s])|\\n[ \\t\\r]*\\n\\s*\\S");
  return std::regex_search(text, end);
}
bool ends_with_sentence(const std::string& text) {
  static const std::regex end("[.!?][\"')\\]}*_]*[ \\n]?$|\\n[ \\t\\r]*\\n\\s*$");
  return std::regex_search(text.substr(text.size() - std::min<std::size_t>(text.size(), 300)), end);
}

// Everything that holds of each example, whatever the haystack, the counter and the needle.
void check_example(const Example& example, const Counting& counting) {
  SCOPED_TRACE(example.id + " " + counting.name);
  const int tokens = 17 + counting.count(example.context) + counting.count(example.question) +
                     counting.count(example.answer_prefix);
  EXPECT_LE(tokens, example.length);
  EXPECT_GE(tokens, example.length - counting.lacking);
  EXPECT_EQ(invalid_utf8(example.context), std::string::npos);
  const Parts parts = take_out_needle(example);
  if (example.depth == 0) {
    EXPECT_EQ(parts.before, "");
  }
  if (example.depth == 100) {
    EXPECT_EQ(parts.after, "");
  }
  if (!parts.before.empty()) {
    EXPECT_TRUE(is_space(static_cast<unsigned char>(parts.before.back())));
  }
  if (!parts.after.empty()) {
    EXPECT_TRUE(is_space(static_cast<unsigned char>(parts.after.front())));
  }
}

void check_prose(const Example& example) {
  SCOPED_TRACE(example.id);
  const auto [before, after] = take_out_needle(example);
  if (example.depth == 0 || example.depth == 100) return;
  const std::size_t position = count_code_points(before);
  const auto target = static_cast<std::size_t>(static_cast<double>(position + count_code_points(after)) *
                                               example.depth / 100);
  EXPECT_LE(position, target + 1);
  if (!before.empty()) {
    EXPECT_TRUE(ends_with_sentence(before))
        << before.substr(before.size() - std::min<std::size_t>(before.size(), 80));
  }
  // No sentence end between the needle and the target. The end that the needle stands at is not seen again, and
  // near the target one may straddle it.
  const std::size_t skipped = target > position + 2 ? target - position - 2 : 0;
  EXPECT_FALSE(has_sentence_end(after.substr(std::min<std::size_t>(1, after.size()), skipped)))
      << after.substr(0, skipped);
}

TEST(Niah, FitsLengthsAndSentencesInEssays) {
  if (!is_folder(kEssays)) GTEST_SKIP() << "no " << kEssays;
  NiahOptions options = soup(kEssays);
  options.depths.clear();
  for (int depth = 0; depth <= 100; depth += 4) options.depths.push_back(depth);
  const std::string haystack = read_haystack(kEssays);
  for (const Counting& counting : kCountings) {
    const auto examples = examples_of(options, counting.count);
    EXPECT_EQ(examples.size(), 3U * 26 * 2);
    for (const Example& example : examples) {
      check_example(example, counting);
      check_prose(example);
      const auto [before, after] = take_out_needle(example);
      const std::size_t blank = before.empty() || haystack.starts_with(before) ? 0 : 1;  // one that we put in
      EXPECT_TRUE(haystack.starts_with(before.substr(0, before.size() - blank))) << example.id;
      EXPECT_NE(haystack.find(before.empty() && !after.empty() ? after.substr(1) : after), std::string::npos)
          << example.id;
    }
  }
}

TEST(Niah, FitsLengthsAndSentencesInGeneratedText) {
  for (const Counting& counting : kCountings)
    for (const Example& example : examples_of(soup("generated"), counting.count)) {
      check_example(example, counting);
      check_prose(example);
    }
}

TEST(Niah, TakesEverySentenceEndOfARealText) {
  if (!is_folder(kEssays)) GTEST_SKIP() << "no " << kEssays;
  const std::string text = read_haystack(kEssays).substr(0, 4000);
  std::set<std::size_t> places;
  for (int permille = 0; permille <= 1000; ++permille) {
    const std::size_t at = needle_position(text, permille / 10.0);
    EXPECT_LE(count_code_points(text.substr(0, at)) * 1000,
              count_code_points(text) * static_cast<std::size_t>(permille));
    EXPECT_TRUE(places.empty() || at >= *places.rbegin()) << permille;
    places.insert(at);
  }
  EXPECT_GT(places.size(), 20U);
  EXPECT_EQ(*places.begin(), 0U);
  EXPECT_EQ(*places.rbegin(), text.size());
}

TEST(Niah, ReachesLongPromptsWithFewPasses) {
  NiahOptions options = soup("generated");
  options.lengths = {4000, 30000};
  std::int64_t characters = 0, wanted = 0;
  const auto counter = [&](std::string_view text) {
    characters += static_cast<std::int64_t>(text.size());
    return count_quarters(text);
  };
  for (const Example& example : examples_of(options, counter)) {
    wanted += static_cast<std::int64_t>(example.context.size());
    EXPECT_LE(17 + count_quarters(example.context) + count_quarters(example.question) +
                  count_quarters(example.answer_prefix),
              example.length);
  }
  EXPECT_LT(characters, 3 * wanted);
}

TEST(Niah, JoinsTheFilesAndRepeatsThem) {
  TempFolder folder;
  folder.write("b.txt", "Second text.");
  folder.write("a.txt", "\xEF\xBB\xBF  First text. ");
  folder.write("d.txt", "It ends here");
  folder.write("c.md", "Not this one.");
  EXPECT_EQ(read_haystack(folder.path()), "First text. Second text.\nIt ends here");
  NiahOptions options = soup(folder.path());
  options.depths = {100};
  const Example example = examples_of(options)[0];
  EXPECT_TRUE(example.context.starts_with(
      "First text. Second text.\nIt ends here\nFirst text. Second text.\nIt ends here\nFirst"));
}

TEST(Niah, FillsEachPairsPromptToTheLastWords) {
  TempFolder folder;
  folder.write("a.txt", "abcd abcd abcd. ");
  NiahOptions options = soup(folder.path());
  options.keys[1] = "the old port of Bergen, where it always rains a little before noon";
  options.lengths.clear();
  for (int length = 120; length < 400; length += 7) options.lengths.push_back(length);
  for (const Example& example : examples_of(options)) check_example(example, {"words", count_words, 3});
}

TEST(Niah, OrdersExamplesAndNamesThem) {
  NiahOptions options = soup("generated");
  options.lengths = {200, 100};
  options.depths = {0, 12.5};
  std::vector<std::string> ids;
  for (const Example& example : examples_of(options)) {
    ids.push_back(example.id);
    EXPECT_EQ(example.max_new, 32);
    EXPECT_THAT(example.id, HasSubstr(example.length == 200 ? "len200" : "len100"));
  }
  EXPECT_THAT(ids, ElementsAre("len200-depth0-Tallinn", "len200-depth0-Bergen", "len200-depth12.5-Tallinn",
                               "len200-depth12.5-Bergen", "len100-depth0-Tallinn", "len100-depth0-Bergen",
                               "len100-depth12.5-Tallinn", "len100-depth12.5-Bergen"));
  options.lengths = {200};
  options.depths = {50, 50};
  options.keys = {"New  York/\xC3\xA9", "New York \xC3\xA9"};
  ids.clear();
  for (const Example& example : examples_of(options)) ids.push_back(example.id);
  EXPECT_THAT(ids, ElementsAre("len200-depth50-New-York-\xC3\xA9", "len200-depth50-New-York-\xC3\xA9-2",
                               "len200-depth50-New-York-\xC3\xA9-3", "len200-depth50-New-York-\xC3\xA9-4"));
}

TEST(Niah, FillsPlaceholdersOnce) {
  NiahOptions options = soup("generated");
  options.keys = {"{value}", "a{key}b"};
  options.values = {"{key} one", "two"};
  options.question = "{ key } {key}? {\"a\": 1} }{";
  const auto examples = examples_of(options);
  EXPECT_EQ(examples[0].needle, "The secret ingredient of the soup in {value} is {key} one.");
  EXPECT_EQ(examples[0].question, "{ key } {value}? {\"a\": 1} }{");
  EXPECT_EQ(examples[1].answer_prefix, "The secret ingredient of the soup in a{key}b is");
  EXPECT_THAT(examples[0].answers, ElementsAre("{key} one"));
}

TEST(Niah, WorksWithoutKeys) {
  NiahOptions options = soup("generated");
  options.keys.clear();
  options.needle = "\nThe best thing to do in San Francisco is {value}\n";
  options.question = "What is the best thing to do in San Francisco?";
  options.answer_prefix = "";
  options.values = {"eat a sandwich and sit in Dolores Park on a sunny day."};
  const auto task = make_niah(options);
  const auto examples = task->examples(counting(count_words));
  EXPECT_EQ(examples[0].id, "len120-depth0");
  for (const Example& example : examples) {
    EXPECT_THAT(example.context, HasSubstr(options.values[0] + "\n"));
    const auto scores = task->score(example, "Eat a sandwich and sit in Dolores Park on a sunny day");
    EXPECT_EQ(scores.at("exact"), 1);
    EXPECT_EQ(scores.at("word_overlap"), 10.0 / 11);
    EXPECT_NEAR(scores.at("rouge1_recall"), 12.0 / 21, 1e-12);
  }
  EXPECT_EQ(task->score(examples[0], "").at("exact"), 0);
  EXPECT_EQ(task->main_score(), "exact");
}

TEST(Niah, IsDeterministicAndHidesKeysFromGeneratedText) {
  const NiahOptions options = soup("generated");
  const auto first = examples_of(options), second = examples_of(options);
  ASSERT_EQ(first.size(), second.size());
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i].context, second[i].context);
    const auto [before, after] = take_out_needle(first[i]);
    EXPECT_EQ((before + after).find("Tallinn"), std::string::npos);
  }
  NiahOptions other = options;
  other.seed = 43;
  EXPECT_NE(examples_of(other)[0].context, first[0].context);
}

TEST(Niah, KeepsOtherScriptsWhole) {
  TempFolder folder;
  std::string chinese, russian;
  for (int i = 0; i < 40; ++i) {
    chinese +=
        "\u4ECA\u5929\u5929\u6C14\u5F88\u597D\uFF0C\u6211\u4EEC\u53BB\u516C\u56ED\u3002\u300C\u597D\u5427"
        "\uFF01\u300D\u4ED6\u8BF4\u3002";
    russian +=
        "\u0412\u043E\u0442 \u0434\u043E\u043C. \u00AB\u0413\u0434\u0435 \u043E\u043D?\u00BB "
        "\u0422\u0430\u043C\u2026 \U0001F3E0\U0001F3E1\n\n";
  }
  folder.write("1.txt", chinese);
  folder.write("2.txt", russian);
  folder.write("3.txt", std::string(20000, 'x'));
  const Counting bytes = {"bytes/4", count_quarters, 10};
  NiahOptions options = soup(folder.path());
  options.lengths = {100, 500, 1000, 3000, 20000};
  for (const Example& example : examples_of(options, bytes.count)) check_example(example, bytes);
  for (double depth = 1; depth < 100; depth += 0.7) {
    const std::size_t at = needle_position(chinese, depth);
    const std::string before = chinese.substr(0, at);
    EXPECT_TRUE(at == 0 || before.ends_with("\u3002") || before.ends_with("\uFF01\u300D")) << depth;
    EXPECT_LT(static_cast<double>(count_code_points(chinese)) * depth / 100 -
                  static_cast<double>(count_code_points(before)),
              15);
  }
}

TEST(SentenceEnds, FollowTheirRules) {
  const auto ends = [](std::string text) {  // ends are written as |
    std::vector<std::size_t> wanted, got;
    for (std::size_t at; (at = text.find('|')) != text.npos;) wanted.push_back(at), text.erase(at, 1);
    for (std::size_t at = 0; at <= text.size(); ++at)
      if (is_sentence_end(text, at)) got.push_back(at);
    EXPECT_EQ(got, wanted) << text;
  };
  ends("One.| Two!| Three?|");
  ends("He said \"Go.\"|  (And so on.)|\nNew.|");
  ends("No end here, e.g. this one.| 3.5 or a.b are none");
  ends("Heading\n\n|Text goes\non.|\n\n|Next");
  ends("Wait...| What?!| Yes\u2026|");
  ends("\u597D\u3002|\u597D\uFF01\u300D|\u597D");
  ends("");
  ends("word");
}

TEST(InsertNeedle, StandsAsItsOwnSentence) {
  const std::string text = "One two. Three four. Five";
  EXPECT_EQ(insert_needle(text, "N.", 0), "N. One two. Three four. Five");
  EXPECT_EQ(insert_needle(text, "N.", 50), "One two. N. Three four. Five");
  EXPECT_EQ(insert_needle(text, "N.", 99), "One two. Three four. N. Five");
  EXPECT_EQ(insert_needle(text, "N.", 100), "One two. Three four. Five\nN.");
  EXPECT_EQ(insert_needle("One two.", "N.", 100), "One two. N.");
  EXPECT_EQ(insert_needle(text, "\nN.\n", 50), "One two.\nN.\n Three four. Five");
  EXPECT_EQ(insert_needle("no end at all", "N.", 60), "N. no end at all");
  EXPECT_EQ(insert_needle("Head\n\nText", "N.", 80), "Head\n\nN. Text");
  EXPECT_EQ(insert_needle("", "N.", 50), "N.");
}

TEST(Niah, WarnsOfWeakSettings) {
  TempFolder folder;
  folder.write("a.txt", "They sell Saffron in bergen. That is all.");
  NiahOptions options = soup(folder.path());
  EXPECT_THAT(make_niah(options)->warnings(), ElementsAre(Warning{"the haystack holds \"Bergen\" already"},
                                                          Warning{"the haystack holds \"saffron\" already"}));
  options = soup("generated");
  EXPECT_THAT(make_niah(options)->warnings(), ElementsAre());
  options.depths = {0, 50, 0};
  options.lengths = {500, 500};
  options.keys = {"Bergen", "Bergen"};
  options.question = "Is it {value} in {key}?";
  EXPECT_EQ(make_niah(options)->warnings().size(), 5U);
}

}  // namespace
}  // namespace evictbench
