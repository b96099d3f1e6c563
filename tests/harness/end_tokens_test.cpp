// What ends an answer, and what may not end it before it has begun.
#include <gtest/gtest.h>

#include <algorithm>

#include "harness/evaluate.h"
#include "models/decoder.h"
#include "policies/registry.h"
#include "tests/support/fixtures.h"
#include "tests/support/random_decoder.h"

namespace evictbench {
namespace {

class EndTokens : public testing::TestWithParam<Protocol::FirstToken> {
 protected:
  Tokens answer_of(const Tokens& ends, bool first_may_end) const {
    const std::vector<Point> points{{"full", make_policy("full"), "full", 0}};
    const DecodeLimits limits{.max_new = 1, .end_tokens = ends, .first_may_end = first_may_end};
    const Protocol protocol{Protocol::Question::kInside, GetParam()};
    const auto answers = evaluate(host(), model_, {prompt_, {}}, points, protocol, limits);
    EXPECT_EQ(answers.at(0).error, "");
    return answers.at(0).tokens;
  }

  RandomShape shape_;
  Tokens prompt_{1, 5, 2, 7};
  Decoder model_{host(), config_of(shape_), usual_names(config_of(shape_)),
                 RandomWeights(shape_, 3, DType::kF32)};
};

TEST_P(EndTokens, LeaveTheFirstTokenToTheBestOfTheOthers) {
  std::vector<float> logits = model_.prefill(host(), prompt_, {})->last_logits;
  Tokens order;  // ids by logit
  for (std::size_t id = 0; id < logits.size(); ++id) order.push_back(static_cast<std::int32_t>(id));
  std::ranges::stable_sort(order, [&](auto a, auto b) {
    return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
  });
  EXPECT_EQ(answer_of({}, true), Tokens{order[0]});
  EXPECT_EQ(answer_of({order[0]}, true), Tokens{});
  EXPECT_EQ(answer_of({order[0]}, false), Tokens{order[1]});
  EXPECT_EQ(answer_of({order[1], order[0]}, false), Tokens{order[2]});
  EXPECT_EQ(answer_of({order[1]}, false), Tokens{order[0]});
}

INSTANTIATE_TEST_SUITE_P(Protocols, EndTokens,
                         testing::Values(Protocol::FirstToken::kEvicted, Protocol::FirstToken::kFull));

}  // namespace
}  // namespace evictbench
