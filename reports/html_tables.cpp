#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reports/html_sections.h"
#include "reports/html_text.h"
#include "reports/labels.h"
#include "reports/pivot.h"
#include "reports/svg.h"

namespace evictbench {
namespace {

std::string failures(const PointSummary& point, const char* style) {
  return point.failed == 0 ? "" : fmt::format("<span class=\"{}\">failed: {}</span>", style, point.failed);
}

std::string score_text(const Setting& setting, const PointSummary& point, bool bold) {
  const auto score = main_score(setting, point);
  if (!score) return point.failed == 0 ? "<span class=\"quiet\">no score</span>" : failures(point, "hole");
  const std::string mean = bold ? "<b>" + score->mean + "</b>" : score->mean;
  return mean + "<span class=\"range\">" + score->range + "</span>" + failures(point, "hole under");
}

// "+4.2", "−4.2" or "0.0"
std::string signed_label(double share) {
  const std::string digits = fmt::format("{:.1f}", std::abs(100 * share));
  return digits == "0.0" ? digits : (share < 0 ? "−" : "+") + digits;
}

// "−4.2 −7.0 to −1.1"
std::string gap_text(const Setting& setting, const PointSummary& point) {
  const auto found = point.scores.find(setting.main_score);
  if (point.is_full() || found == point.scores.end() || !found->second.gap) return "";
  const Estimate& gap = *found->second.gap;
  std::string text = signed_label(gap.mean);
  if (gap.interval)
    text += fmt::format("<span class=\"range gap\">{} to {}</span>", signed_label(gap.interval->low),
                        signed_label(gap.interval->high));
  return text;
}

std::string cost_row(const Page& page, const Setting& setting, const PointSummary& point) {
  const bool full = point.is_full(), known = point.answered > 0;
  const auto cell = [](const std::string& text) { return "<td>" + text + "</td>"; };
  std::string row = full ? "<tr class=\"base\"><th>" + svg_key_full() + "full cache</th><td></td>"
                         : "<tr><th>" + page.key(point.policy) + "</th><td>" +
                               budget_label(point.budget_unit, point.budget) + "</td>";
  row += cell(known ? count_label(point.asked) : "") + cell(known ? count_label(point.kept) : "");
  row +=
      cell(known ? share_label(point.kept_share) : "") + cell(known ? bytes_label(point.retained_bytes) : "");
  row += cell(gap_text(setting, point));
  row += cell(full || setting.full() == nullptr || !known
                  ? ""
                  : fmt::format("{} of {}", point.same_answers, point.answered - point.unpaired));
  return row + cell(std::to_string(point.answered)) + cell(failures(point, "hole")) + "</tr>\n";
}

}  // namespace

std::string score_table(const Page& page, const Setting& setting) {
  const Pivot pivot = pivot_of(page.all, setting);
  std::string head = "<th class=\"left\">" + escape_html(pivot.unit_label) + "</th>";
  for (const Pivot::Column& column : pivot.columns)
    head += "<th>" + column.label + "<span class=\"range\"></span></th>";
  std::string body;
  if (const PointSummary* full = setting.full())
    body += fmt::format(
        "<tr class=\"base\"><th>{}full cache</th><td class=\"across\" colspan=\"{}\">{}</td></tr>\n",
        svg_key_full(), std::max<std::size_t>(pivot.columns.size(), 1), score_text(setting, *full, false));
  for (std::size_t r = 0; r < pivot.rows.size(); ++r) {
    body += "<tr><th>" + page.key(pivot.rows[r].policy) + "</th>";
    for (std::size_t c = 0; c < pivot.columns.size(); ++c) {
      const PointSummary* point = pivot.rows[r].points[c];
      body += point == nullptr
                  ? "<td class=\"quiet\">not run</td>"
                  : "<td>" + score_text(setting, *point, rank_in_column(setting, pivot, r, c) == 1) + "</td>";
    }
    body += "</tr>\n";
  }
  return fmt::format(
      "<div class=\"scroll\"><table "
      "class=\"scores\"><thead><tr>{}</tr></thead>\n<tbody>{}</tbody></table></div>",
      head, body);
}

std::string scores_section(const Page& page) {
  std::string body;
  for (const Setting& setting : page.all.settings)
    body += "<h3>" + setting_title(setting) +
            "<span class=\"quiet\">, score: " + escape_html(setting.main_score) + "</span></h3>\n" +
            score_table(page, setting) + "\n";
  return section(
      "scores", "Scores",
      "Mean, and its 95 % interval in grey; the best of a budget in bold. A failed example is left out "
      "and counted, never scored as 0.",
      body);
}

std::string costs_section(const Page& page) {
  std::string body;
  for (const Setting& setting : page.all.settings) {
    std::string rows;
    for (const PointSummary& point : setting.points) rows += cost_row(page, setting, point);
    body += fmt::format(
        "<details{}><summary>{}</summary>\n<div class=\"scroll\"><table><thead><tr><th></th><th>budget</th>"
        "<th>entries asked</th><th>entries kept</th><th>share kept</th><th>retained</th>"
        "<th>{} minus full</th><th>same answer as full</th><th>answered</th><th></th></tr></thead>\n"
        "<tbody>{}</tbody></table></div></details>\n",
        &setting == page.all.settings.data() ? " open=\"open\"" : "", setting_title(setting),
        escape_html(setting.main_score), rows);
  }
  return section(
      "costs", "Kept entries and bytes",
      "Means per example over all layers and heads: what was asked for, what was kept, and the bytes of "
      "its keys and values. The difference to the full cache is paired by example and prompt; its 95 % "
      "interval is in grey.",
      body);
}

}  // namespace evictbench
