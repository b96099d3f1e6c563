#include "reports/fidelity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace evictbench {

std::string FidelityMeasure::label(double x) const {
  if (percent) return fmt::format("{:.1f}", 100 * x);
  const std::string digits = fmt::format("{:.3g}", std::abs(x));
  return !is_signed || x == 0 ? digits : (x < 0 ? "−" : "+") + digits;
}

std::string FidelityMeasure::half_width(const Estimate& of) const {
  if (!of.interval) return "";
  const double half = (of.interval->high - of.interval->low) / 2;
  return percent ? fmt::format("{:.1f}", 100 * half) : fmt::format("{:.2g}", half);
}

bool has_fidelity(const Setting& setting) {
  return std::ranges::any_of(setting.points,
                             [](const PointSummary& point) { return point.fidelity.has_value(); });
}

}  // namespace evictbench
