#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "reports/labels.h"
#include "reports/overview.h"
#include "reports/pivot.h"
#include "reports/writers.h"

namespace evictbench {
namespace {

std::string plain(const std::string& text) {
  std::string out;
  for (const char c : printable(text, 400)) {
    if (c == '\\')
      out += "\\textbackslash{}";
    else if (c == '~' || c == '^')
      out += fmt::format("\\{}{{}}", c);
    else if (std::string_view("&%$#_{}").find(c) != std::string_view::npos)
      (out += '\\') += c;
    else
      out += c;
  }
  return out;
}

std::string score_text(const Setting& setting, const PointSummary* point, int rank) {
  if (point == nullptr) return "--";
  const std::string failed = point->failed == 0 ? "" : fmt::format("failed: {}", point->failed);
  const auto score = main_score(setting, *point);
  if (!score) return failed.empty() ? "--" : failed;
  std::string text = rank == 1   ? "\\textbf{" + score->mean + "}"
                     : rank == 2 ? "\\underline{" + score->mean + "}"
                                 : score->mean;
  if (!score->half_width.empty()) text += " {\\scriptsize$\\pm$" + score->half_width + "}";
  return failed.empty() ? text : text + " (" + failed + ")";
}

// What the marks of its rows mean.
std::string marks_text(const Aggregate& all, const Setting& setting) {
  bool compared = false, leaked = false;
  for (const PointSummary& point : setting.points) {
    compared |= all.compared.contains(point.policy);
    leaked |= leaks(all, point.policy);
  }
  return std::string(compared ? " *: options compared on these data." : "") +
         (leaked ? " leak: score file measured on scored examples." : "");
}

std::string table(const Aggregate& all, const Setting& setting) {
  const Pivot pivot = pivot_of(all, setting);
  const std::size_t columns = pivot.columns.size();
  std::string out = "\\begin{table}\n\\centering\n";
  out += fmt::format(
      "\\caption{{{}: {}, 0 to 100, $\\pm$ half of the 95\\,\\% interval.{}}}\n",
      plain(setting_label(setting)), plain(setting.main_score),
      marks_text(all, setting) + (pivot.unit_label.empty() ? "" : " Budget: " + pivot.unit_label + "."));
  out += "\\begin{tabular}{l" + std::string(columns, 'r') + "}\n\\toprule\npolicy";
  for (const Pivot::Column& column : pivot.columns) out += " & " + plain(column.label);
  out += " \\\\\n\\midrule\n";
  if (const PointSummary* full = setting.full())
    out += fmt::format("full cache & \\multicolumn{{{}}}{{c}}{{{}}} \\\\\n\\midrule\n",
                       std::max<std::size_t>(columns, 1), score_text(setting, full, 0));
  for (std::size_t r = 0; r < pivot.rows.size(); ++r) {
    out += plain(pivot.rows[r].label);
    for (std::size_t c = 0; c < columns; ++c)
      out += " & " + score_text(setting, pivot.rows[r].points[c], rank_in_column(setting, pivot, r, c));
    out += " \\\\\n";
  }
  return out + "\\bottomrule\n\\end{tabular}\n\\end{table}\n";
}

// One budget of a benchmark: a column per task and the mean, as papers print it.
std::string tasks_table(const Aggregate& all, const Overview& overview, const TaskTable& of) {
  std::string out =
      fmt::format("\\begin{{table}}\n\\centering\n\\caption{{{}, task by task: budget {}.{}}}\n",
                  plain(setting_label(overview.mean)), plain(of.budget), marks_text(all, overview.mean));
  out += "\\resizebox{\\textwidth}{!}{\\begin{tabular}{l" + std::string(of.tasks.size() + 1, 'r') +
         "}\n\\toprule\npolicy";
  for (const std::string& task : of.tasks) out += " & \\rotatebox{60}{" + plain(task) + "}";
  out += " & mean \\\\\n\\midrule\n";
  for (std::size_t r = 0; r < of.rows.size(); ++r) {
    const PointSummary& mean = *of.rows[r].mean;
    out += mean.is_full() ? "full cache" : plain(all.labels.at(mean.policy));
    for (std::size_t c = 0; c <= of.tasks.size(); ++c) {
      const TaskCell cell = cell_of(all, overview, of, r, c);
      out += cell.best ? " & \\textbf{" + cell.text + "}" : " & " + cell.text;
    }
    out += mean.is_full() ? " \\\\\n\\midrule\n" : " \\\\\n";
  }
  return out + "\\bottomrule\n\\end{tabular}}\n\\end{table}\n";
}

}  // namespace

std::string table_latex(const Aggregate& all) {
  std::string out = "% Needs \\usepackage{booktabs,graphicx}. Best of a budget in bold, second underlined.\n";
  for (const Overview& overview : all.overviews) {
    out += "\n" + table(all, overview.mean);
    for (const TaskTable& of : task_tables(all, overview)) out += "\n" + tasks_table(all, overview, of);
  }
  for (const Setting& setting : all.settings) out += "\n" + table(all, setting);
  return out;
}

}  // namespace evictbench
