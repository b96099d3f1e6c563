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

// take
Selection take(const Ranking& ranking, const Shares& shares);

}  // namespace evictbench
