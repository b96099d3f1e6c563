#include "reports/fidelity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace evictbench {
namespace {

std::string digits(const FidelityMeasure& of, double x, int precision) {
  if (of.percent) return fmt::format("{:.{}f}", 100 * x, std::max(0, precision - 2));
  std::string text = fmt::format("{:.{}g}", std::abs(x), precision);
  if (const auto zero = text.find("e-0"); zero != text.npos) text.erase(zero + 2, 1);  // 6.5e-5
  return !of.is_signed || x == 0 ? text : (x < 0 ? "−" : "+") + text;
}

}  // namespace

std::string FidelityMeasure::label(double x) const { return digits(*this, x, 3); }

std::string FidelityMeasure::range(const Estimate& of) const {
  if (!of.interval) return "";
  return digits(*this, of.interval->low, 2) + (is_signed ? " to " : "–") +
         digits(*this, of.interval->high, 2);
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
