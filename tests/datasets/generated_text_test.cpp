#include "datasets/generated_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <map>
#include <set>
#include <string>

#include "datasets/text_metrics.h"
#include "tests/support/refusal.h"

namespace evictbench {
namespace {

std::string text_of(std::uint64_t seed, std::size_t bytes, const std::vector<std::string>& forbidden = {}) {
  return GeneratedText(seed, forbidden).grown_to(bytes);
}

std::vector<std::string> split(const std::string& text, const std::string& at) {
  std::vector<std::string> out;
  for (std::size_t from = 0, to = 0; to != text.npos; from = to + at.size()) {
    to = text.find(at, from);
    out.push_back(text.substr(from, to - from));
  }
  return out;
}

// Results are compared across machines and years: these bytes may not change without a new version of the records.
TEST(GeneratedText, HasTheSameBytesEverywhere) {
  EXPECT_EQ(XXH3_64bits(text_of(42, 100000).data(), 100000), 0xb9f3d1ec95534248U);
  EXPECT_EQ(XXH3_64bits(text_of(7, 100000, {"lantern"}).data(), 100000), 0xcca68f7bfec034bU);
}

TEST(GeneratedText, GrowsFromItsOwnPrefix) {
  GeneratedText text(1, {});
  const std::string start = text.grown_to(1000);
  EXPECT_GE(start.size(), 1000U);
  const std::string more = text.grown_to(50000);
  EXPECT_TRUE(more.starts_with(start));
  EXPECT_EQ(more, text_of(1, 50000));
  EXPECT_EQ(text.grown_to(10), more);
}

TEST(GeneratedText, DependsOnTheSeed) {
  std::set<std::string> starts;
  for (std::uint64_t seed = 0; seed < 200; ++seed) starts.insert(text_of(seed, 200));
  EXPECT_EQ(starts.size(), 200U);
}

TEST(GeneratedText, IsPlainProseWithoutDigitsOrBraces) {
  const std::string text = text_of(3, 300000);
  for (const char c : text)
    ASSERT_TRUE(c == '\n' || c == ' ' || std::string_view(",.;!?\"'").find(c) != std::string_view::npos ||
                ('a' <= (c | 0x20) && (c | 0x20) <= 'z'))
        << static_cast<int>(c);
  EXPECT_EQ(text.find("  "), text.npos);
  EXPECT_EQ(text.find(" a e"), text.npos);
  EXPECT_EQ(text.find("A o"), text.npos);
  for (const auto& paragraph : split(text, "\n\n")) {
    ASSERT_GE(split(paragraph, " ").size(), 10U) << paragraph;
    ASSERT_THAT(std::string(".!?\""), testing::HasSubstr(paragraph.substr(paragraph.size() - 1)));
    ASSERT_TRUE(paragraph[0] == '"' || ('A' <= paragraph[0] && paragraph[0] <= 'Z')) << paragraph;
  }
}

// Half a million characters, about 128k tokens.
TEST(GeneratedText, DoesNotLoop) {
  const std::string text = text_of(5, 500000);
  const auto paragraphs = split(text, "\n\n");
  EXPECT_EQ(std::set<std::string>(paragraphs.begin(), paragraphs.end()).size(), paragraphs.size());
  std::map<std::string, int> sentences;
  int all = 0, most = 0;
  for (const auto& paragraph : paragraphs)
    for (const auto& sentence : split(paragraph, ". ")) {
      ++all;
      most = std::max(most, ++sentences[sentence]);
    }
  EXPECT_GT(all, 5000);
  EXPECT_LT(most, 12);
  EXPECT_GT(sentences.size(), static_cast<std::size_t>(all) * 95 / 100);
  EXPECT_GT(words_of(text).size(), 70000U);
}

TEST(GeneratedText, KeepsForbiddenWordsOut) {
  const std::vector<std::string> forbidden = {"LANTERN",      "Nora",    "old", "key ring",
                                              "polished the", "harbour", "..."};
  const auto words = words_of(text_of(11, 300000, forbidden));
  const auto free = words_of(text_of(11, 300000));
  for (const std::string phrase : {"lantern", "nora", "old", "key ring", "polished the", "harbour"}) {
    EXPECT_FALSE(contains_words(words, words_of(phrase))) << phrase;
    EXPECT_TRUE(contains_words(free, words_of(phrase))) << phrase;
  }
  EXPECT_TRUE(contains_words(words, {"polished"}));
}

TEST(GeneratedText, RefusesToAvoidTheCommonestWords) {
  const std::vector<std::string> common = {"the", "a", "an", "and", "was", "it", "said", "asked", "to"};
  expect_refusal([&] { text_of(1, 100, common); }, "E-NH-20", "every sentence holds", Exit::kSweep);
}

}  // namespace
}  // namespace evictbench
