// Pages of WikiText as lm-eval's task has them; expectations are what its functions give (tests/oracles/perplexity.py
// compares whole files).
#include "datasets/wikitext.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace evictbench {
namespace {

using testing::ElementsAre;

TEST(WikiText, APageBeginsAtATitleOfTheFirstLevel) {
  const std::string text =
      " \n = One = \n \n Words . \n = = Part = = \n More . \n = = = Part of it = = = \n = Two = \n Last . \n";
  EXPECT_THAT(wikitext_pages(text),
              ElementsAre(" = One = \n \n Words . \n = = Part = = \n More . \n = = = Part of it = = = ",
                          " = Two = \n Last . \n"));
  EXPECT_THAT(wikitext_pages("no title\nat all"), ElementsAre("no title\nat all"));
  EXPECT_THAT(wikitext_pages("= A =\n= B ="), ElementsAre("= A =", "= B ="));
  EXPECT_THAT(wikitext_pages("x = A =\n= = \n=\n= A= "), ElementsAre("x = A =\n= = \n=\n= A= "))
      << "none of these";
  EXPECT_THAT(wikitext_pages(""), ElementsAre(""));
}

TEST(WikiText, MarksAndNumbersAreJoinedToTheirWords) {
  const std::pair<const char*, const char*> cases[] = {
      {"a 1 @-@ 2 @,@ 000 @.@ 5 b", "a 1-2,000.5 b"},
      {"one , two ; three : four . Five ! Six ? Seven", "one, two; three: four. Five! Six? Seven"},
      {"( a b ) [ c ] { d } (  )", "(a b) [c] {d} ()"},
      {"( a ( b ) c )", "(a ( b) c )"},
      {"\" quoted \" and ' this '", "\"quoted\" and 'this'"},
      {"( \xc2\xa0 wide \xe2\x80\x83 )", "(wide)"},
      {"the dogs ' tails , Teddy 's tale", "the dogs'tails, Teddy's tale"},
      {"ends ( open", "ends ( open"},
      {" = = Part = = \n = = = Deep = = = \n", " == Part ==\n=== Deep ===\n"},
      {"20 \xc2\xb0 C , N times",
       "20\xc2\xb0"
       "C, 1 times"},
      {"with N words", "with 1 words"},
  };
  for (const auto& [page, plain] : cases) EXPECT_EQ(wikitext_detokenized(page), plain);
}

TEST(WikiText, WordsAreWhatASplitAtWhiteSpaceGives) {
  EXPECT_EQ(count_split_words(""), 1);
  EXPECT_EQ(count_split_words("  "), 2);
  EXPECT_EQ(count_split_words("a b"), 2);
  EXPECT_EQ(count_split_words(" a \n b\xc2\xa0\xe3\x80\x80"
                              "c "),
            5);
}

}  // namespace
}  // namespace evictbench
