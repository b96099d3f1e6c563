#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/budget.h"
#include "core/observation.h"
#include "core/ops.h"
#include "core/scores.h"
#include "core/selection.h"

// What most policies are made of:  observe -> group -> pool -> rank -> allocate -> take.
// Each stage runs on the device its scores are on; only shares and selections reach the host.
namespace evictbench {

using Shares = std::vector<std::int32_t>;  // [L * heads] slots each lane may keep, protected ones included

// score
Scores observe(const Observation& seen, const Stat& stat);       // [L, H, T], or [L, G, T] for norms
Scores probe(const Observation& seen, const std::string& name);  // [L, H, T]
Scores negate(const Scores& scores);
Scores group(const Scores& scores, HeadReduce how = HeadReduce::kMean,
             Grouping grouping = Grouping::kContiguous);
Scores pool(const Scores& scores, Pool how, int kernel,
            int window);  // canonical order: group first, then pool

// [L, k, T]: the rows of k query heads of every layer; heads [L * k]
Scores pick(const Scores& scores, std::span<const int> heads);
// [L, G, T]: one ranking for all lanes of a layer, the mean of its heads
Scores together(const Observation& seen, const Scores& scores);
Scores weighed_sum(const Scores& a, float of_a, const Scores& b, float of_b);
// [L] sums of a layer's heads and slots, those of the last `window` left out
std::vector<double> layer_sums(const Observation& seen, const Stat& stat, int window);

// rank
Ranking rank(const Scores& scores, Protect protect);

// allocate: exact budgets spend min(total, what there is), to the entry; published ones are floored as in the papers'
// code, and count a lane of the ranking (a query head's, where those are kept apart) as one
Shares apportion(std::span<const double> wanted, std::span<const std::int32_t> caps, std::int64_t total);
Shares uniform(const Ranking& ranking, const Budget& budget);
Shares pyramid(const Ranking& ranking, const Budget& budget, double beta);
// `even`: the shares before the heads of a layer compete for them. The ranking is that of `scores`.
Shares adaptive(const Scores& scores, const Ranking& ranking, const Shares& even, const Budget& budget,
                double alpha);
// By what was measured of the model or of the prompt (allocate_measured.cpp).
// HeadKV: 1 / beta of what is not protected goes to the lanes by `weights` [L * heads], which sum to 1.
Shares by_heads(const Ranking& ranking, const Budget& budget, std::span<const double> weights, double beta);
// CompressKV: above 32 entries a lane, layers get parts by `scores` [L], which sum to 1; at most 3 times the mean.
Shares by_layers(const Ranking& ranking, const Budget& budget, std::span<const double> scores);
// CAKE: what is not protected goes to the layers by `preference` [L].
Shares by_preference(const Ranking& ranking, const Budget& budget, std::span<const double> preference);

// As repositories have it (allocate_published.cpp), by a published budget only.
// AdaKV, HeadKV, CompressKV: PyramidKV's line, never uniform, for a prompt of `first_prompt` tokens; 0: for this one.
Shares pyramid_frozen(const Ranking& ranking, const Budget& budget, double beta, int first_prompt);
// kvpress: PyramidKV's line in real numbers, the window part of it.
Shares pyramid_rounded(const Ranking& ranking, const Budget& budget, double beta);
// kvpress: of AdaKV, a part `alpha` of the budget is every head's own; what is left goes to the best of the layer.
Shares safeguarded(const Scores& scores, const Ranking& ranking, const Budget& budget, double alpha);

// take
Selection take(const Ranking& ranking, const Shares& shares);

}  // namespace evictbench
