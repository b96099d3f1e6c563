#include "reports/pivot.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "reports/labels.h"

namespace evictbench {
namespace {

// A point that differs from another in neither policy nor budget (say, in its calibration) gets a row of its own.
Pivot::Row& free_row(Pivot& pivot, const Aggregate& all, const PointSummary& point, std::size_t column) {
  for (Pivot::Row& row : pivot.rows)
    if (row.policy == point.policy && row.points[column] == nullptr) return row;
  const std::vector<const PointSummary*> none(pivot.columns.size());
  return pivot.rows.emplace_back(Pivot::Row{point.policy, all.labels.at(point.policy), none});
}

std::string unit_label(const std::set<std::string>& units) {
  if (units.size() != 1) return "";
  if (*units.begin() == "entries") return "entries per lane";
  return *units.begin() == "ratio" ? "share of the prompt" : "bytes";
}

}  // namespace

Pivot pivot_of(const Aggregate& all, const Setting& setting) {
  Pivot pivot;
  std::set<std::pair<std::string, double>> budgets;
  std::set<std::string> units;
  for (const PointSummary& point : setting.points)
    if (!point.is_full()) budgets.emplace(point.budget_unit, point.budget);
  for (const auto& [unit, budget] : budgets) {
    pivot.columns.push_back({unit, budget_label(unit, budget), budget});
    units.insert(unit);
  }
  pivot.unit_label = unit_label(units);
  for (const PointSummary& point : setting.points) {
    if (point.is_full()) continue;
    const auto column = std::distance(budgets.begin(), budgets.find({point.budget_unit, point.budget}));
    const auto index = static_cast<std::size_t>(column);
    free_row(pivot, all, point, index).points[index] = &point;
  }
  return pivot;
}

std::optional<Score> main_score(const Setting& setting, const PointSummary& point) {
  const auto found = point.scores.find(setting.main_score);
  if (found == point.scores.end() || found->second.mean.count == 0) return std::nullopt;
  const Estimate& mean = found->second.mean;
  Score score{fmt::format("{:.1f}", 100 * mean.mean), "", ""};
  if (mean.interval) {
    const auto [low, high] = *mean.interval;
    score.half_width = fmt::format("{:.1f}", 50 * (high - low));
    score.range = fmt::format("{:.0f}–{:.0f}", 100 * low, 100 * high);
  }
  return score;
}

int rank_in_column(const Setting& setting, const Pivot& pivot, std::size_t row, std::size_t column) {
  const auto printed = [&](const Pivot::Row& some) -> std::optional<double> {
    if (some.points[column] == nullptr) return std::nullopt;
    const auto score = main_score(setting, *some.points[column]);
    return score ? std::optional(std::stod(score->mean)) : std::nullopt;
  };
  const auto own = printed(pivot.rows[row]);
  if (!own) return 0;
  std::set<double> better;
  for (const Pivot::Row& other : pivot.rows)
    if (const auto score = printed(other); score && *score > *own) better.insert(*score);
  return better.size() < 2 ? static_cast<int>(better.size()) + 1 : 0;
}

}  // namespace evictbench
