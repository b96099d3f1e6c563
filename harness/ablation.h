#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "harness/prepared.h"
#include "reports/ablation.h"

// The masking ablation (Wu et al. 2024, arXiv:2404.15574): what is left of an answer when heads are masked. An example is
// prefilled once, unmasked; every mask is a point over that snapshot, and all of them decode together.
namespace evictbench {

// The query heads of a model by one kind of score, best first.
struct HeadRanking {
  std::string kind;
  std::vector<int> heads;  // [L * H] layer * H + head
};

struct MaskPlan {
  std::vector<int> counts;  // K > 0, ascending
  int draws = 10;           // of random heads
  std::uint64_t seed = 42;
};

// The mask of no head, then those of every kind, then the random ones, each by ascending K. A draw is one order of the
// heads that are not among the best max(K) of any kind; its masks are the beginnings of that order. Too few such heads
// are an Error (exit 2).
std::vector<Ablation::Mask> make_masks(std::span<const HeadRanking> rankings, const MaskPlan& plan);

// 1, 2, 4, 8, 16, 32, as far as enough heads remain for the random masks.
std::vector<int> usual_counts(std::span<const HeadRanking> rankings);

// One example under every mask. `checkpoint` may throw to stop.
Ablation::Example answer_masked(Device& device, const Model& model, const Prepared& run, const PlanTask& task,
                                const Example& example, std::span<const Ablation::Mask> masks,
                                const std::function<void()>& checkpoint = {});

}  // namespace evictbench
