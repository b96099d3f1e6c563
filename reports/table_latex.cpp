#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "reports/fidelity.h"
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
  // Signs of the measures of fidelity, which plain LaTeX has in formulas only.
  for (const auto& [sign, formula] : {std::pair{"‖", "$\\|$"}, {"Δ", "$\\Delta$"}, {"−", "$-$"}})
    for (std::size_t at = 0; (at = out.find(sign, at)) != out.npos;)
      out.replace(at, std::string_view(sign).size(), formula);
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

// A table of `body` under the budgets; `what` it shows goes into the caption.
std::string framed(const Aggregate& all, const Setting& setting, const Pivot& pivot, const std::string& what,
                   const std::string& body) {
  std::string out = "\\begin{table}\n\\centering\n";
  out += fmt::format(
      "\\caption{{{}: {}, $\\pm$ half of the 95\\,\\% interval.{}}}\n", plain(setting_label(setting)), what,
      marks_text(all, setting) + (pivot.unit_label.empty() ? "" : " Budget: " + pivot.unit_label + "."));
  out += "\\begin{tabular}{l" + std::string(pivot.columns.size(), 'r') + "}\n\\toprule\npolicy";
  for (const Pivot::Column& column : pivot.columns) out += " & " + plain(column.label);
  return out + " \\\\\n\\midrule\n" + body + "\\bottomrule\n\\end{tabular}\n\\end{table}\n";
}

// `cell(row, column)` gives the text of one cell.
template <class Cell>
std::string rows(const Pivot& pivot, Cell cell) {
  std::string out;
  for (std::size_t r = 0; r < pivot.rows.size(); ++r) {
    out += plain(pivot.rows[r].label);
    for (std::size_t c = 0; c < pivot.columns.size(); ++c) out += " & " + cell(r, c);
    out += " \\\\\n";
  }
  return out;
}

std::string score_table(const Aggregate& all, const Setting& setting, const Pivot& pivot) {
  std::string body;
  if (const PointSummary* full = setting.full())
    body = fmt::format("full cache & \\multicolumn{{{}}}{{c}}{{{}}} \\\\\n\\midrule\n",
                       std::max<std::size_t>(pivot.columns.size(), 1), score_text(setting, full, 0));
  body += rows(pivot, [&](std::size_t r, std::size_t c) {
    return score_text(setting, pivot.rows[r].points[c], rank_in_column(setting, pivot, r, c));
  });
  return framed(all, setting, pivot, plain(setting.main_score) + ", 0 to 100", body);
}

std::string fidelity_text(const FidelityMeasure& measure, const PointSummary* point) {
  if (point == nullptr || !point->fidelity)
    return point == nullptr || point->failed == 0 ? "--" : fmt::format("failed: {}", point->failed);
  const Estimate& value = (*point->fidelity).*measure.value;
  const std::string half = measure.half_width(value);
  return plain(measure.label(value.mean)) + (half.empty() ? "" : " {\\scriptsize$\\pm$" + half + "}");
}

// A block of rows for each measure.
std::string fidelity_table(const Aggregate& all, const Setting& setting, const Pivot& pivot) {
  std::string body;
  for (const FidelityMeasure& measure : kFidelityMeasures)
    body += fmt::format("{}\\multicolumn{{{}}}{{l}}{{\\emph{{{}}}}} \\\\\n",
                        body.empty() ? "" : "\\midrule\n", pivot.columns.size() + 1, plain(measure.title)) +
            rows(pivot, [&](std::size_t r, std::size_t c) {
              return fidelity_text(measure, pivot.rows[r].points[c]);
            });
  return framed(all, setting, pivot, "fidelity to the full cache", body);
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

std::string tables(const Aggregate& all, const Setting& setting) {
  const Pivot pivot = pivot_of(all, setting);
  std::string out = "\n" + score_table(all, setting, pivot);
  return has_fidelity(setting) ? out + "\n" + fidelity_table(all, setting, pivot) : out;
}

}  // namespace

std::string table_latex(const Aggregate& all) {
  std::string out = "% Needs \\usepackage{booktabs,graphicx}. Best of a budget in bold, second underlined.\n";
  for (const Overview& overview : all.overviews) {
    out += tables(all, overview.mean);
    for (const TaskTable& of : task_tables(all, overview)) out += "\n" + tasks_table(all, overview, of);
  }
  for (const Setting& setting : all.settings) out += tables(all, setting);
  return out;
}

}  // namespace evictbench
