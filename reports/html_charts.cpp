#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "reports/heat_map.h"
#include "reports/html_sections.h"
#include "reports/html_text.h"
#include "reports/labels.h"
#include "reports/pivot.h"
#include "reports/svg.h"

namespace evictbench {
namespace {

std::string figure(const Setting& setting, const std::string& under, const std::string& chart) {
  return fmt::format("<figure><figcaption>{}</figcaption>\n{}{}</figure>\n", setting_title(setting), chart,
                     under);
}

// One line per row of the table; a point without a score cuts it.
std::vector<ChartLine> curves(const Page& page, const Setting& setting, const Pivot& pivot) {
  std::vector<ChartLine> lines;
  for (const Pivot::Row& row : pivot.rows) {
    ChartLine line{page.styles.at(row.policy), {{}}};
    for (const PointSummary* point : row.points) {
      if (point == nullptr) continue;
      const auto score = main_score(setting, *point);
      if (!score || point->kept_share <= 0) {
        if (!line.pieces.back().empty()) line.pieces.emplace_back();
        continue;
      }
      const Estimate& mean = point->scores.at(setting.main_score).mean;
      std::optional<Interval> interval;
      if (mean.interval) interval = Interval{100 * mean.interval->low, 100 * mean.interval->high};
      line.pieces.back().push_back(
          {100 * point->kept_share, 100 * mean.mean, interval,
           fmt::format("{}: {} {}, {} kept", point_label(page.all, *point), score->mean,
                       score->range.empty() ? "" : "(" + score->range + ")",
                       share_label(point->kept_share))});
    }
    if (line.pieces.back().empty()) line.pieces.pop_back();
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string failed_points(const Page& page, const Setting& setting) {
  std::string out;
  for (const PointSummary& point : setting.points)
    if (point.answered == 0)
      out += fmt::format("{}{} failed: {}", out.empty() ? "" : ", ",
                         escape_html(point_label(page.all, point)), point.failed);
  return out.empty() ? "" : "<div class=\"hole\">" + out + "</div>";
}

// Depths down, lengths across.
std::string heat_map(const Setting& setting, const PointSummary& point, const std::string& name) {
  const auto score = main_score(setting, point);
  HeatMap map{.caption = name, .note = score ? "mean " + score->mean : "", .cells = {}};
  for (const Cell& from : point.cells) {
    HeatMap::Cell& cell = map.cells[{from.depth, from.length}];
    if (const auto found = from.scores.find(setting.main_score); found != from.scores.end())
      cell.score = found->second;
    cell.answered = from.answered;
    cell.failed = from.failed;
  }
  return heat_table(map);
}

bool has_depths(const Setting& setting) {
  for (const PointSummary& point : setting.points)
    for (const Cell& cell : point.cells)
      if (cell.depth >= 0) return true;
  return false;
}

std::string heat_maps(const Page& page, const Setting& setting, bool open) {
  std::string body;
  if (const PointSummary* full = setting.full())
    body += folded_heat_maps(open, svg_key_full() + "full cache", heat_map(setting, *full, ""));
  for (const Pivot::Row& row : pivot_of(page.all, setting).rows) {
    std::string maps;
    for (const PointSummary* point : row.points)
      if (point != nullptr)
        maps += heat_map(setting, *point, "budget " + budget_label(point->budget_unit, point->budget));
    body += folded_heat_maps(std::exchange(open, false), page.key(row.policy), maps);
  }
  return body;
}

// A line per policy at the middle budget; `shares(point)` is what is drawn of it, [L], or empty.
template <class Shares>
std::string layer_figure(const Page& page, const Setting& setting, const std::string& what,
                         const Shares& shares) {
  const Pivot pivot = pivot_of(page.all, setting);
  if (pivot.columns.empty()) return "";
  const std::size_t middle = pivot.columns.size() / 2;
  Chart chart;
  std::size_t layers = 0;
  double most = 0;
  for (const Pivot::Row& row : pivot.rows) {
    const PointSummary* point = row.points[middle];
    if (point == nullptr) continue;
    const std::vector<double> values = shares(*point);
    if (values.empty()) continue;
    ChartLine line{page.styles.at(row.policy), {{}}};
    for (std::size_t l = 0; l < values.size(); ++l) {
      const double share = 100 * values[l];
      most = std::max(most, share);
      line.pieces[0].push_back({static_cast<double>(l), share, std::nullopt,
                                fmt::format("{}, layer {}: {:.2f} %", row.label, l, share)});
    }
    layers = std::max(layers, values.size());
    chart.lines.push_back(std::move(line));
  }
  if (layers < 2) return "";
  const std::string budget = pivot.columns[middle].label;
  chart.description = fmt::format("{} at budget {}, {}", what, budget, setting_label(setting));
  chart.x = linear_axis(static_cast<double>(layers - 1), "layer, at budget " + budget);
  std::erase_if(chart.x.ticks, [](double tick) { return tick != std::floor(tick); });
  chart.y = linear_axis(most, what + ", %");
  chart.marker_every = std::max<std::size_t>(1, layers / 8);
  return figure(setting, "", svg_chart(chart));
}

std::string kept_figure(const Page& page, const Setting& setting) {
  return layer_figure(page, setting, "kept share of the layer",
                      [](const PointSummary& point) { return point.layer_share; });
}

std::string mass_figure(const Page& page, const Setting& setting) {
  return layer_figure(page, setting, "attention mass on kept entries", [](const PointSummary& point) {
    return point.fidelity ? point.fidelity->layer_mass : std::vector<double>{};
  });
}

template <class Draw>
std::string grid(const Page& page, Draw draw) {
  std::string out;
  for (const Setting& setting : page.all.settings) out += draw(page, setting);
  return out.empty() ? "" : "<div class=\"grid\">\n" + out + "</div>";
}

}  // namespace

std::string score_chart(const Page& page, const Setting& setting) {
  Chart chart;
  chart.description = setting.main_score + " over kept share, " + setting_label(setting);
  chart.lines = curves(page, setting, pivot_of(page.all, setting));
  double low = 100, high = 100;
  for (const ChartLine& line : chart.lines)
    for (const auto& piece : line.pieces)
      for (const ChartPoint& point : piece) {
        low = std::min(low, point.x);
        high = std::max(high, point.x);
      }
  constexpr double kRoom = 0.9;  // points of one budget are set apart: the lowest may not fall onto the axis
  chart.x = log_axis(kRoom * low, high, "kept share of the full cache, %");
  chart.y = linear_axis(100, setting.main_score);
  chart.spread = true;
  if (const PointSummary* full = setting.full(); full != nullptr && main_score(setting, *full))
    chart.full = 100 * full->scores.at(setting.main_score).mean.mean;
  return figure(setting, failed_points(page, setting), svg_chart(chart));
}

std::string legend(const Page& page, bool with_full) {
  std::map<std::size_t, std::string> in_order;
  for (const auto& [policy, style] : page.styles) in_order[style] = policy;
  std::string out = "<ul class=\"legend\">";
  for (const auto& [style, policy] : in_order) out += "<li>" + page.key(policy) + "</li>";
  if (with_full) out += "<li>" + svg_key_full() + "full cache</li>";
  return out + "</ul>\n";
}

std::string curves_section(const Page& page) {
  if (page.styles.empty()) return "";
  return section(
      "curves", "Score over budget",
      "Whiskers are 95 % intervals. Points of one budget are set slightly apart so that they can be told "
      "apart; the table below has the figures.",
      legend(page, true) + grid(page, score_chart));
}

std::string heat_maps_section(const Page& page) {
  std::string body;
  for (const Setting& setting : page.all.settings)
    if (has_depths(setting)) {
      const bool open = body.empty();
      body += fmt::format("<details{}><summary>{}</summary>\n{}</details>\n", open ? " open=\"open\"" : "",
                          setting_title(setting), heat_maps(page, setting, open));
    }
  if (body.empty()) return "";
  return section("heat", "Length and depth", kHeatLead, body);
}

std::string layers_section(const Page& page) {
  const std::string body = grid(page, kept_figure), mass = grid(page, mass_figure);
  if (body.empty() && mass.empty()) return "";
  return section(
      "layers", "Kept by layer",
      std::string(
          "Mean share of each layer's entries that a policy kept, at the middle budget. Policies that "
          "treat layers alike lie on one line.") +
          (mass.empty() ? "" : " Below, the part of the full cache's attention that fell on them."),
      legend(page, false) + body + mass);
}

}  // namespace evictbench
