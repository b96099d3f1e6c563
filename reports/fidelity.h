#pragma once

#include <array>
#include <string>

#include "reports/aggregate.h"

// The measures of fidelity, as every table has them: in this order, with these names.
namespace evictbench {

struct FidelityMeasure {
  const char *name, *heading;  // "kl" in data; over a column
  const char* title;           // for readers, with its unit
  Estimate FidelitySummary::*value;
  bool percent, is_signed;

  std::string label(double x) const;            // "97.3" of 0.973, "0.0123", "+0.0123"
  std::string range(const Estimate& of) const;  // "0.012–0.03"; of the interval, "" where there is none
  std::string half_width(const Estimate& of) const;  // the same
};

inline constexpr std::array<FidelityMeasure, 4> kFidelityMeasures{{
    {"kl", "KL, nats", "KL(full‖point), nats per token", &FidelitySummary::kl, false, false},
    {"agreement", "top-1, %", "top-1 agreement, %", &FidelitySummary::agreement, true, false},
    {"delta_nll", "ΔNLL, nats", "ΔNLL, nats per token", &FidelitySummary::delta_nll, false, true},
    {"mass", "attention, %", "attention mass on kept entries, %", &FidelitySummary::mass, true, false},
}};

bool has_fidelity(const Setting& setting);  // of any point

}  // namespace evictbench
