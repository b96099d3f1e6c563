#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reports/fidelity.h"
#include "reports/html_sections.h"
#include "reports/html_text.h"
#include "reports/labels.h"
#include "reports/pivot.h"
#include "reports/svg.h"

namespace evictbench {
namespace {

const Estimate* kl_of(const PointSummary* point) {
  return point != nullptr && point->fidelity && point->kept_share > 0 ? &point->fidelity->kl : nullptr;
}

constexpr double kLeastKl = 1e-12;  // rounding, not fidelity

// Short names of the ticks: "0.01", "5e-5".
Axis named(Axis axis) {
  for (const double tick : axis.ticks) {
    const int power = static_cast<int>(std::floor(std::log10(tick) + 1e-6));
    axis.names.push_back(std::abs(power) < 3 ? fmt::format("{:.6g}", tick)
                                             : fmt::format("{:.0f}e{}", tick / std::pow(10.0, power), power));
  }
  return axis;
}

// Logarithmic, over all that is greater; at most eight ticks, powers of ten where there are many.
Axis kl_axis(const Pivot& pivot) {
  const std::string label = "KL(full‖point), nats per token";
  double low = 0, high = 0;
  for (const Pivot::Row& row : pivot.rows)
    for (const PointSummary* point : row.points) {
      const Estimate* kl = kl_of(point);
      if (kl == nullptr || kl->mean < kLeastKl) continue;
      low = low == 0 ? kl->mean : std::min(low, kl->mean);
      high = std::max({high, kl->mean, kl->interval ? kl->interval->high : 0});
    }
  if (low == 0) return linear_axis(1, label);
  constexpr std::size_t kMostTicks = 8;
  Axis axis = log_axis(low, high, label);
  if (axis.ticks.size() <= kMostTicks) return named(axis);
  std::vector<double> decades;
  for (const double tick : axis.ticks)
    if (const double power = std::log10(tick); std::abs(power - std::round(power)) < 1e-6)
      decades.push_back(tick);
  axis.ticks.clear();
  for (std::size_t i = 0; i < decades.size(); i += (decades.size() + kMostTicks - 1) / kMostTicks)
    axis.ticks.push_back(decades[i]);
  return named(axis);
}

std::string cell(const FidelityMeasure& measure, const FidelitySummary& fidelity, bool exact) {
  const Estimate& value = fidelity.*measure.value;
  const std::string range = exact ? "" : measure.range(value);
  return fmt::format("<td>{}<span class=\"range\">{}</span></td>", measure.label(value.mean), range);
}

std::string row(const Page& page, const Setting& setting, const PointSummary& point) {
  const bool full = point.is_full();
  std::string out = full ? "<tr class=\"base\"><th>" + svg_key_full() + "full cache</th><td></td>"
                         : "<tr><th>" + page.key(point.policy) + "</th><td>" +
                               budget_label(point.budget_unit, point.budget) + "</td>";
  const auto score = main_score(setting, point);
  out += fmt::format("<td>{}</td>", score ? score->mean : "");
  for (const FidelityMeasure& measure : kFidelityMeasures)
    out += point.fidelity ? cell(measure, *point.fidelity, full) : "<td></td>";
  return out + fmt::format("<td>{}</td></tr>\n",
                           point.fidelity ? count_label(static_cast<double>(point.fidelity->tokens)) : "");
}

}  // namespace

// One line per row of the table. What lies below the axis is drawn upon it.
std::string fidelity_chart(const Page& page, const Setting& setting) {
  const Pivot pivot = pivot_of(page.all, setting);
  Chart chart;
  chart.description = "KL to the full cache over kept share, " + setting_label(setting);
  chart.y = kl_axis(pivot);
  double least = 100, most = 100;  // kept shares
  for (const Pivot::Row& row : pivot.rows) {
    ChartLine line{page.styles.at(row.policy), {{}}};
    for (const PointSummary* point : row.points) {
      const Estimate* kl = kl_of(point);
      if (kl == nullptr) continue;
      const auto shown = [&](double value) { return std::clamp(value, chart.y.low, chart.y.high); };
      std::optional<Interval> interval;
      if (kl->interval) interval = Interval{shown(kl->interval->low), shown(kl->interval->high)};
      const double kept = 100 * point->kept_share;
      least = std::min(least, kept);
      most = std::max(most, kept);
      line.pieces[0].push_back(
          {kept, shown(kl->mean), interval,
           fmt::format("{}: {}, {} kept", point_label(page.all, *point), kFidelityMeasures[0].label(kl->mean),
                       share_label(point->kept_share))});
    }
    if (!line.pieces[0].empty()) chart.lines.push_back(std::move(line));
  }
  if (chart.lines.empty()) return "";
  constexpr double kRoom = 0.9;  // as in the score curves
  chart.x = log_axis(kRoom * least, most, "kept share of the full cache, %");
  chart.spread = true;
  return fmt::format("<figure><figcaption>{}</figcaption>\n{}</figure>\n", setting_title(setting),
                     svg_chart(chart));
}

std::string fidelity_table(const Page& page, const Setting& setting, bool open) {
  std::string rows, head;
  for (const PointSummary& point : setting.points) rows += row(page, setting, point);
  for (const FidelityMeasure& measure : kFidelityMeasures)
    head += fmt::format("<th>{}<span class=\"range\"></span></th>", measure.heading);
  return fmt::format(
      "<details{}><summary>{}</summary>\n<div class=\"scroll\"><table><thead><tr><th></th><th>budget</th>"
      "<th>{}</th>{}<th>tokens</th></tr></thead>\n<tbody>{}</tbody></table></div></details>\n",
      open ? " open=\"open\"" : "", setting_title(setting), escape_html(setting.main_score), head, rows);
}

std::string fidelity_section(const Page& page) {
  std::string charts, tables;
  for (const Setting& setting : page.all.settings)
    if (has_fidelity(setting)) {
      charts += fidelity_chart(page, setting);
      tables += fidelity_table(page, setting, tables.empty());
    }
  if (tables.empty()) return "";
  if (!charts.empty()) charts = legend(page, false) + "<div class=\"grid\">\n" + charts + "</div>";
  return section(
      "fidelity", "Fidelity",
      "How near each point stays to the full cache along one continuation, with no answer key: the mean over "
      "examples of the mean over tokens, and its 95 % interval in grey. Attention mass is the part of the "
      "full "
      "cache's attention to the prompt, paid by the tokens of the continuation, that fell on entries the "
      "point "
      "keeps. The full cache has 0, 100 %, 0 and 100 % by definition.",
      charts + tables);
}

}  // namespace evictbench
