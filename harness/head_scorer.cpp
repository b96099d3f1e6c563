#include "harness/head_scorer.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"

namespace evictbench {

HeadTotals::HeadTotals(std::size_t heads)
    : copy(heads), semantic(heads), semantic_multiplicity(heads), reasoning(heads) {}

HeadScorer::HeadScorer(int layers, int heads, std::span<const std::int32_t> prompt, TokenSpan evidence)
    : heads_(heads), span_(evidence), seen_(static_cast<std::size_t>(layers * heads)), totals_(seen_.size()) {
  require(0 <= span_.first && span_.first < span_.last && span_.last <= std::ssize(prompt),
          "evidence is not in the prompt");
  evidence_.assign(prompt.begin() + span_.first, prompt.begin() + span_.last);
}

// Of equal keys the lower counts as more attended, here as everywhere.
double HeadScorer::mass_among_top(std::span<const float> row) {
  keys_.resize(row.size());
  std::iota(keys_.begin(), keys_.end(), 0);
  const auto better = [&](std::int32_t a, std::int32_t b) {
    const float x = row[static_cast<std::size_t>(a)], y = row[static_cast<std::size_t>(b)];
    return x > y || (x == y && a < b);
  };
  const auto m = keys_.begin() + span_.size();
  if (m != keys_.end()) std::ranges::nth_element(keys_.begin(), m, keys_.end(), better);
  std::sort(keys_.begin(), m);  // so that the sum has one order
  double mass = 0;
  for (auto key = keys_.begin(); key != m; ++key)
    if (span_.first <= *key && *key < span_.last) mass += row[static_cast<std::size_t>(*key)];
  return mass;
}

void HeadScorer::see(int layer, int head, std::span<const float> row) {
  require(std::ssize(row) >= span_.last, "a row ends before the evidence");
  Seen& seen = seen_[static_cast<std::size_t>(layer * heads_ + head)];
  const auto top = static_cast<int>(std::ranges::max_element(row) - row.begin());
  const bool is_evidence = span_.first <= top && top < span_.last;
  seen.top = is_evidence ? evidence_[static_cast<std::size_t>(top - span_.first)] : -1;
  const auto paid = row.subspan(static_cast<std::size_t>(span_.first), evidence_.size());
  seen.mass = std::accumulate(paid.begin(), paid.end(), 0.0);
  seen.among_top = seen.mass > 0 ? mass_among_top(row) : 0;
}

void HeadScorer::give(std::int32_t token) {
  const auto m = static_cast<double>(evidence_.size());
  const auto times = static_cast<double>(std::ranges::count(evidence_, token));
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    const Seen& seen = seen_[i];
    if (seen.top == token) totals_.copy[i] += 1 / m;
    if (times > 0) totals_.semantic[i] += seen.mass;
    totals_.semantic_multiplicity[i] += times * seen.mass;
    totals_.reasoning[i] += seen.among_top / m;
  }
  end();
}

void HeadScorer::end() { std::ranges::fill(seen_, Seen{}); }

}  // namespace evictbench
