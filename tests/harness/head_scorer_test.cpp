// Head scores from rows of attention: the worked example of the papers' definitions, by hand, and what must not count.
#include "harness/head_scorer.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/error.h"

namespace evictbench {
namespace {

using Row = std::vector<float>;

const Tokens kPrompt{1, 4, 7, 9, 7, 3, 5, 6};
constexpr TokenSpan kEvidence{2, 5};  // 7 9 7

const Row kRows[] = {{.05f, .05f, .30f, .10f, .20f, .10f, .10f, .10f},
                     {.05f, .10f, .15f, .15f, .20f, .15f, .10f, .10f},
                     {.50f, .10f, .05f, .05f, .05f, .05f, .10f, .10f}};
constexpr std::int32_t kGiven[] = {7, 9, 5};
constexpr double kRounding = 1e-7;  // of the rows' own values, which are f32

TEST(HeadScorer, TheWorkedExample) {
  HeadScorer scorer(1, 1, kPrompt, kEvidence);
  for (std::size_t step = 0; step < 3; ++step) {
    scorer.see(0, 0, kRows[step]);
    scorer.give(kGiven[step]);
  }
  EXPECT_NEAR(scorer.totals().semantic_multiplicity[0], 1.70, kRounding);
  EXPECT_NEAR(scorer.totals().semantic[0], 1.10, kRounding);
  EXPECT_EQ(scorer.totals().copy[0], 1.0 / 3);
  EXPECT_NEAR(scorer.totals().reasoning[0], 1.1 / 3, kRounding);
}

TEST(HeadScorer, StepByStep) {
  const double reasoning[] = {.6 / 3, .5 / 3, 0}, semantic[] = {.6, .5, 0}, copy[] = {1.0 / 3, 0, 0};
  for (std::size_t step = 0; step < 3; ++step) {
    HeadScorer scorer(1, 1, kPrompt, kEvidence);
    scorer.see(0, 0, kRows[step]);
    scorer.give(kGiven[step]);
    EXPECT_NEAR(scorer.totals().reasoning[0], reasoning[step], kRounding) << step;
    EXPECT_NEAR(scorer.totals().semantic[0], semantic[step], kRounding) << step;
    EXPECT_EQ(scorer.totals().copy[0], copy[step]) << step;
  }
}

TEST(HeadScorer, TheStepThatEndsAnAnswerDoesNotCount) {
  HeadScorer scorer(1, 1, kPrompt, kEvidence);
  scorer.see(0, 0, kRows[0]);
  scorer.end();
  scorer.give(7);  // nothing was seen since
  EXPECT_EQ(scorer.totals().semantic_multiplicity[0], 0);
  EXPECT_EQ(scorer.totals().copy[0], 0);
  EXPECT_EQ(scorer.totals().reasoning[0], 0);
}

TEST(HeadScorer, KeysOfTheAnswerCountInTheRankingButAreNoEvidence) {
  HeadScorer scorer(1, 1, kPrompt, kEvidence);
  // Ten keys: the prompt and two tokens of the answer, which take two of the three best places.
  scorer.see(0, 0, Row{0, 0, .2f, .1f, .1f, 0, 0, 0, .3f, .3f});
  scorer.give(7);
  EXPECT_NEAR(scorer.totals().reasoning[0], .2 / 3, kRounding);
  EXPECT_NEAR(scorer.totals().semantic[0], .4, kRounding);
  EXPECT_EQ(scorer.totals().copy[0], 0) << "the most attended key is no evidence, though it may hold token 7";
}

TEST(HeadScorer, OfEqualKeysTheFirstIsMostAttended) {
  HeadScorer scorer(1, 2, kPrompt, kEvidence);
  scorer.see(0, 0, Row{0, .5f, .5f, 0, 0, 0, 0, 0});
  scorer.see(0, 1, Row{0, 0, .5f, .5f, 0, 0, 0, 0});
  scorer.give(7);
  EXPECT_EQ(scorer.totals().copy[0], 0);
  EXPECT_EQ(scorer.totals().copy[1], 1.0 / 3);
}

TEST(HeadScorer, HeadsStayApart) {
  HeadScorer scorer(2, 2, kPrompt, kEvidence);
  const Row elsewhere{1, 0, 0, 0, 0, 0, 0, 0};
  for (int layer = 0; layer < 2; ++layer)
    for (int head = 0; head < 2; ++head)
      scorer.see(layer, head, layer == 1 && head == 0 ? kRows[0] : elsewhere);
  scorer.give(7);
  const HeadTotals& totals = scorer.totals();
  for (const auto* list : {&totals.copy, &totals.semantic, &totals.reasoning})
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ((*list)[i] > 0, i == 2) << i;
}

TEST(HeadScorer, EvidenceMayBeTheWholePrompt) {
  HeadScorer scorer(1, 1, kPrompt, {0, 8});
  scorer.see(0, 0, kRows[0]);
  scorer.give(7);
  EXPECT_NEAR(scorer.totals().reasoning[0], 1.0 / 8, kRounding);
  EXPECT_NEAR(scorer.totals().semantic_multiplicity[0], 2, kRounding);
}

TEST(HeadScorer, EvidenceThatIsNotInThePromptIsABug) {
  for (const TokenSpan span : {TokenSpan{3, 3}, {-1, 2}, {6, 9}})
    EXPECT_THROW(HeadScorer(1, 1, kPrompt, span), Error) << span.first;
}

}  // namespace
}  // namespace evictbench
