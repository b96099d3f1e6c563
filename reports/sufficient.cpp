#include "reports/sufficient.h"

#include <algorithm>
#include <functional>

namespace evictbench {
namespace {

// The point's main score over the full cache's, on the examples that both answered.
double kept_score(const Setting& setting, const PointSummary& point, double full) {
  const auto score = point.scores.find(setting.main_score);
  return score == point.scores.end() || !score->second.gap ? 0 : 1 + score->second.gap->mean / full;
}

}  // namespace

std::vector<Sufficient> sufficient_budgets(const Setting& setting) {
  const PointSummary* full = setting.full();
  if (full == nullptr) return {};
  const auto best = full->scores.find(setting.main_score);
  if (best == full->scores.end() || !(best->second.mean.mean > 0)) return {};
  std::vector<std::vector<const PointSummary*>> policies;
  for (const PointSummary& point : setting.points) {
    if (point.is_full()) continue;
    if (policies.empty() || policies.back().back()->policy != point.policy) policies.emplace_back();
    policies.back().push_back(&point);
  }
  std::vector<Sufficient> out;
  for (auto& points : policies) {
    std::ranges::stable_sort(points, std::greater<>(), &PointSummary::kept_share);
    out.push_back({points[0]->policy, nullptr, points[0]});
    for (const PointSummary* point : points) {
      if (kept_score(setting, *point, best->second.mean.mean) < kSufficient) break;
      out.back().point = point;
    }
  }
  return out;
}

}  // namespace evictbench
