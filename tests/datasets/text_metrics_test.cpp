#include "datasets/text_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "datasets/metrics/rouge_score.h"
#include "datasets/porter.h"

namespace evictbench {
namespace {

const std::string kVectors = EVICTBENCH_SOURCE_DIR "/../shared/data/vectors/";

TEST(Porter, GivesTheStemsOfNltk) {
  std::ifstream file(kVectors + "porter_nltk_vectors.tsv");
  if (!file) GTEST_SKIP() << "no " << kVectors;
  int words = 0, wrong = 0;
  for (std::string line; std::getline(file, line); ++words) {
    const auto tab = line.find('\t');
    const std::string word = line.substr(0, tab), stem = line.substr(tab + 1);
    if (const std::string got = porter_stem(word); got != stem && ++wrong <= 20)
      ADD_FAILURE() << word << ": " << got << ", NLTK " << stem;
  }
  EXPECT_EQ(words, 5492);
  EXPECT_EQ(wrong, 0);
}

TEST(Porter, LeavesShortAndIrregularWords) {
  for (const char* word : {"", "a", "is", "as", "news", "sky", "proceed"}) EXPECT_EQ(porter_stem(word), word);
  EXPECT_EQ(porter_stem("dying"), "die");
  EXPECT_EQ(porter_stem("skies"), "sky");
  EXPECT_EQ(porter_stem("dies"), "die");
  EXPECT_EQ(porter_stem(std::string(100000, 'y')).size(), 100000U);
}

TEST(Scores, AgreeWithRealAnswers) {
  std::ifstream file(kVectors + "niah_score_vectors.jsonl");
  if (!file) GTEST_SKIP() << "no " << kVectors;
  const std::string expected = "eat a sandwich and sit in Dolores Park on a sunny day.";
  int records = 0;
  for (std::string line; std::getline(file, line); ++records) {
    const auto record = nlohmann::json::parse(line);
    const std::string answer = record["response"], needle = record["needle"];
    const Rouge rouge = rouge1(answer, needle);
    ASSERT_NEAR(rouge.precision, record["rouge1_p"].get<double>(), 1e-12) << answer;
    ASSERT_NEAR(rouge.recall, record["rouge1_r"].get<double>(), 1e-12) << answer;
    ASSERT_NEAR(rouge.f, record["rouge1_f"].get<double>(), 1e-12) << answer;
    ASSERT_EQ(rouge1_recall(answer, needle), rouge.recall);
    ASSERT_NEAR(word_overlap(answer, expected), record["set_overlap"].get<double>(), 1e-12) << answer;
  }
  EXPECT_EQ(records, 983);
}

TEST(WordsOf, FollowsItsRules) {
  using testing::ElementsAre;
  EXPECT_THAT(words_of(" The  \"Soup\", (hot)! "), ElementsAre("the", "soup", "hot"));
  EXPECT_THAT(words_of("it's 3.14, or 1,000. Yes."), ElementsAre("it's", "3.14", "or", "1,000", "yes"));
  EXPECT_THAT(words_of("well-known end.Start"), ElementsAre("well", "known", "end", "start"));
  EXPECT_THAT(words_of("C++"), ElementsAre("c", "+", "+"));
  EXPECT_THAT(words_of("Stra\u00DFe"), ElementsAre("strasse"));
  EXPECT_THAT(words_of("\u85CF\u7EA2\u82B1\u3002"), ElementsAre("\u85CF", "\u7EA2", "\u82B1"));
  EXPECT_THAT(words_of("a\xFF"
                       "b"),
              ElementsAre("a", "\uFFFD", "b"));
  EXPECT_TRUE(words_of("... -- \u2026").empty());
}

struct ExactCase {
  const char *answer, *reference;
  double score;
};

TEST(Exact, FindsWholeWordsOnly) {
  const ExactCase cases[] = {
      {"12345", "12345", 1},
      {"It is 12345.", "12345", 1},
      {"123456", "12345", 0},
      {"012345", "12345", 0},
      {"12345.6", "12345", 0},
      {"12,345", "12345", 0},
      {"12345, 7", "12345", 1},
      {"The answer is Saffron!", "saffron", 1},
      {"**saffron**", "saffron", 1},
      {"`saffron`", "Saffron", 1},
      {"saffron\n\nThe", "saffron", 1},
      {"saffron.The", "saffron", 1},
      {"saffrons", "saffron", 0},
      {"saf fron", "saffron", 0},
      {"", "saffron", 0},
      {"saffron", "", 0},
      {"", "", 0},
      {"...", "...", 0},
      {"you eat a sandwich, and sit\nin the park", "Eat a sandwich and sit in the park.", 1},
      {"eat a big sandwich and sit in the park", "eat a sandwich and sit in the park", 0},
      {"sandwich a eat", "eat a sandwich", 0},
      {"eat a eat a sandwich", "eat a sandwich", 1},
      {"the baker's", "baker", 0},
      {"la CR\u00C8ME br\u00FBl\u00E9e", "cr\u00E8me", 1},
      {"cre\u0300me", "cr\u00E8me", 1},  // decomposed
      {"\u7B54\u6848\u662F\u85CF\u7EA2\u82B1\u3002", "\u85CF\u7EA2\u82B1", 1},
      {"\u85CF\u82B1", "\u85CF\u7EA2\u82B1", 0},
      {"C", "C++", 0},
      {"use C++ here", "c++", 1},
      {"\xF0\x9F saffron \xFF", "saffron", 1},
  };
  for (const auto& [answer, reference, score] : cases)
    EXPECT_EQ(exact(answer, reference), score)
        << "answer \"" << answer << "\", reference \"" << reference << '"';
}

TEST(WordOverlap, SplitsAtWhiteSpaceOnly) {
  EXPECT_EQ(word_overlap("on a sunny day", "a sunny day."), 2.0 / 3);
  EXPECT_EQ(word_overlap("A\u00A0SUNNY\u3000DAY.", "a sunny day."), 1);
  EXPECT_EQ(word_overlap("\u00C9CLAIR", "\u00E9clair"), 1);
  EXPECT_EQ(word_overlap("day", "day day day"), 1);
  EXPECT_EQ(word_overlap("", "day"), 0);
  EXPECT_EQ(word_overlap("day", " "), 0);
}

TEST(Rouge1, ClipsAndHandlesEmptyTexts) {
  EXPECT_EQ(rouge1("", "a").recall, 0);
  EXPECT_EQ(rouge1("a", "").f, 0);
  EXPECT_EQ(rouge1("the the the", "the cat").precision, 1.0 / 3);
  EXPECT_EQ(rouge1_recall("the the the", "the cat"), 0.5);
  EXPECT_EQ(rouge1_recall("Running RUNS", "run runs"), 1);
  EXPECT_EQ(rouge1_recall("was", "wa"), 0);              // words of three letters keep their form
  EXPECT_EQ(rouge1_recall("\u212Aelvin", "kelvin"), 1);  // the Kelvin sign is a k in lower case
}

}  // namespace
}  // namespace evictbench
