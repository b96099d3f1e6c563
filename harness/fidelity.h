#pragma once

#include <span>
#include <vector>

#include "harness/evaluate.h"
#include "harness/feeding.h"

// How near points stay to the full cache, without an answer key: a continuation of the prompt is fed to the full cache
// and to every point's, and each position that a point predicts itself is compared. With p and q what the full cache and
// the point expect of the token y there:
//   kl         mean of KL(p || q) = sum p (log p - log q), in nats
//   agreement  share of the positions where p and q have the same greatest logit
//   delta_nll  mean of log p(y) - log q(y)
//   mass       of the attention that the full cache's queries of these positions pay to the prompt, the part that falls on
//              entries which the point keeps as they are: in each layer, over its query heads, and the mean of the layers.
//              A layer that pays the prompt no attention loses none: 1.
// The full cache itself has exactly 0, 1, 0 and 1.
namespace evictbench {

constexpr int kFidelityStride = 16;  // tokens of each point that pass through all layers together

// What is fed is `tokens`, without the last one where it ends nothing.
struct GivenTokens {
  Tokens tokens;
  bool ended = false;  // by a token of the full cache's that is compared, too
};

// Measures every point that has an answer, in the batches of decoding. What fails leaves an error in its place. -> bytes of
// the tables that are held meanwhile, beside what the device holds
std::size_t measure_fidelity(const Prefilled& example, const GivenTokens& given,
                             const Continuation& continuation, std::span<const Point> points,
                             std::span<const Kept> kept, std::span<Answer> answers);

}  // namespace evictbench
