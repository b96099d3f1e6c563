#pragma once

#include <string>
#include <vector>

#include "reports/aggregate.h"

// How small a cache a policy can do with.
namespace evictbench {

constexpr double kSufficient = 0.97;  // of the full cache's main score

struct Sufficient {
  std::string policy;
  const PointSummary* point =
      nullptr;  // the smallest that was run from which on all keep that much; null: none
  const PointSummary* largest = nullptr;  // that was run
};

// Of each policy, in the order of the points; by the share kept, whatever the unit of the budgets. Scores are compared
// on the examples that both answered. Nothing where there is no full cache, or where it scores nothing.
std::vector<Sufficient> sufficient_budgets(const Setting& setting);

}  // namespace evictbench
