#pragma once

#include "datasets/metrics/metric.h"

// RULER: references that stand in the answer as they are, letter case aside. The answer is first stripped, and its control
// characters become line feeds.
namespace evictbench {

double ruler_all(const MetricInput& in);  // the share of the references
double ruler_any(const MetricInput& in);  // 1 if there is one ("string_match_part")

}  // namespace evictbench
