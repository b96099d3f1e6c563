#pragma once

#include <cstdint>
#include <span>

// Rows of f32 logits as distributions, in float64: the same bits on every machine, from additions, multiplications and
// one division alone. Sums have 16 accumulators by index mod 16, as everywhere.
namespace evictbench {

struct LogitRow {
  std::int32_t best = -1;  // the greatest logit, ties to the lower index; -1 where not all are finite
  double log_sum = 0;      // log-sum-exp
  double sum = 0;          // of e^(logit - greatest)
};

// Of logits [V]. `weights` [V] gets e^(logit - greatest), or is empty.
LogitRow survey(std::span<const float> logits, std::span<double> weights = {});

// KL(p || q) in nats, of two rows of one length; `weights` and `p` as survey() gave them for `p_logits`. Exactly 0 where
// both rows are the same.
double divergence(std::span<const float> p_logits, std::span<const double> weights, const LogitRow& p,
                  std::span<const float> q_logits, const LogitRow& q);

}  // namespace evictbench
