#include <fmt/format.h>

#include "reports/fidelity.h"
#include "reports/labels.h"
#include "reports/markdown_text.h"
#include "reports/overview.h"
#include "reports/pivot.h"
#include "reports/sufficient.h"
#include "reports/writers.h"

namespace evictbench {
namespace {

std::string failures(const PointSummary& point) {
  return point.failed == 0 ? "" : fmt::format("failed: {}", point.failed);
}

std::string joined(const std::string& a, const std::string& b) {
  return a + (a.empty() || b.empty() ? "" : ", ") + b;
}

std::string score_text(const Setting& setting, const PointSummary& point, bool bold) {
  const auto score = main_score(setting, point);
  if (!score) return joined("", point.failed == 0 ? "no score" : failures(point));
  std::string text = bold ? "**" + score->mean + "**" : score->mean;
  if (!score->half_width.empty()) text += " ± " + score->half_width;
  return joined(text, failures(point));
}

std::string cost_text(const PointSummary& point) {
  if (point.answered == 0) return failures(point);
  return fmt::format("{}, {}", share_label(point.kept_share), bytes_label(point.retained_bytes));
}

// `cell(row, column)` gives the text of one cell.
template <class Cell>
std::string table(const Pivot& pivot, const std::string& corner, const std::string& full, Cell cell) {
  std::string head = "| " + corner + " |", rule = "|:--|";
  for (const Pivot::Column& column : pivot.columns) {
    head += " " + column.label + " |";
    rule += "--:|";
  }
  std::string out = head + (full.empty() ? "\n" : " full |\n") + rule + (full.empty() ? "\n" : "--:|\n");
  for (std::size_t r = 0; r < pivot.rows.size(); ++r) {
    out += "| " + escape_markdown(pivot.rows[r].label) + " |";
    for (std::size_t c = 0; c < pivot.columns.size(); ++c)
      out += " " + (pivot.rows[r].points[c] == nullptr ? std::string("–") : cell(r, c)) + " |";
    out += full.empty() ? "\n" : " |\n";
  }
  if (full.empty()) return out;
  out += "| full |";
  for (std::size_t c = 0; c < pivot.columns.size(); ++c) out += " |";
  return out + " " + full + " |\n";
}

std::string sufficient_text(const Aggregate& all, const Setting& setting) {
  const auto found = sufficient_budgets(setting);
  if (found.empty()) return "";
  std::string out = fmt::format(
      "\nSmallest budget from which on {:.0f} % of the full cache's score are kept:\n\n", 100 * kSufficient);
  for (const Sufficient& of : found) {
    out += "- " + escape_markdown(all.labels.at(of.policy)) + ": ";
    out += of.point == nullptr ? "not at " + budget_label(of.largest->budget_unit, of.largest->budget)
                               : budget_label(of.point->budget_unit, of.point->budget) + ", " +
                                     bytes_label(of.point->retained_bytes);
    out += "\n";
  }
  return out;
}

std::string fidelity_table(const Pivot& pivot, const FidelityMeasure& measure) {
  const auto text = [&](const PointSummary& point) {
    if (!point.fidelity) return failures(point);
    const Estimate& value = (*point.fidelity).*measure.value;
    const std::string half = measure.half_width(value);
    return measure.label(value.mean) + (half.empty() ? "" : " ± " + half);
  };
  return fmt::format("\nFidelity: {}.\n\n", measure.title) +
         table(pivot, measure.name, "",
               [&](std::size_t r, std::size_t c) { return text(*pivot.rows[r].points[c]); });
}

std::string section(const Aggregate& all, const Setting& setting) {
  const Pivot pivot = pivot_of(all, setting);
  const PointSummary* full = setting.full();
  std::string out = "## " + escape_markdown(setting_label(setting)) + "\n\n";
  out += fmt::format("Score: {}, 0 to 100, mean ± half of the 95 % interval. Best of a budget in bold.{}\n\n",
                     escape_markdown(setting.main_score),
                     pivot.unit_label.empty() ? "" : " Columns: " + pivot.unit_label + ".");
  out +=
      table(pivot, "score", full == nullptr ? "" : score_text(setting, *full, false),
            [&](std::size_t r, std::size_t c) {
              return score_text(setting, *pivot.rows[r].points[c], rank_in_column(setting, pivot, r, c) == 1);
            });
  out += "\nKept share of the full cache and retained bytes, means per example:\n\n";
  out += table(pivot, "kept", full == nullptr ? "" : cost_text(*full),
               [&](std::size_t r, std::size_t c) { return cost_text(*pivot.rows[r].points[c]); });
  for (const FidelityMeasure& measure : kFidelityMeasures)
    if (has_fidelity(setting)) out += fidelity_table(pivot, measure);
  return out + sufficient_text(all, setting) + "\n";
}

std::string tasks_table(const Aggregate& all, const Overview& overview, const TaskTable& of) {
  std::string out = "\nBudget " + of.budget + ", task by task:\n\n| |", rule = "|:--|";
  for (const std::string& task : of.tasks) {
    out += " " + escape_markdown(task) + " |";
    rule += "--:|";
  }
  out += " mean |\n" + rule + "--:|\n";
  for (std::size_t r = 0; r < of.rows.size(); ++r) {
    const PointSummary& mean = *of.rows[r].mean;
    out += "| " + (mean.is_full() ? "full" : escape_markdown(all.labels.at(mean.policy))) + " |";
    for (std::size_t c = 0; c <= of.tasks.size(); ++c) {
      const TaskCell cell = cell_of(all, overview, of, r, c);
      out += cell.best ? " **" + cell.text + "** |" : " " + cell.text + " |";
    }
    out += "\n";
  }
  return out;
}

// The mean over a benchmark's tasks, as a section of its own.
std::string section(const Aggregate& all, const Overview& overview) {
  std::string out = section(all, overview.mean);
  out.pop_back();
  if (const std::string told = told_apart_text(overview.mean); !told.empty()) out += "\n" + told + "\n";
  for (const TaskTable& table : task_tables(all, overview)) out += tasks_table(all, overview, table);
  return out + "\n";
}

}  // namespace

std::string table_markdown(const Aggregate& all) {
  std::string out = "# evictbench results\n\n";
  for (const std::string& note : all.notes) out += "- Note: " + escape_markdown(note) + "\n";
  if (!all.notes.empty()) out += "\n";
  for (const Overview& overview : all.overviews) out += section(all, overview);
  for (const Setting& setting : all.settings) out += section(all, setting);
  out.pop_back();
  return out;
}

}  // namespace evictbench
