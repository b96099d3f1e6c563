#include <fmt/format.h>

#include "reports/fidelity.h"
#include "reports/html_sections.h"
#include "reports/html_text.h"
#include "reports/overview.h"
#include "reports/svg.h"

namespace evictbench {
namespace {

// One budget, a column per task.
std::string tasks_table(const Page& page, const Overview& overview, const TaskTable& table) {
  std::string head = "<th></th>", body;
  for (const std::string& task : table.tasks) head += "<th>" + escape_html(task) + "</th>";
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    const PointSummary& mean = *table.rows[r].mean;
    body += mean.is_full() ? "<tr class=\"base\"><th>" + svg_key_full() + "full cache</th>"
                           : "<tr><th>" + page.key(mean.policy) + "</th>";
    for (std::size_t c = 0; c <= table.tasks.size(); ++c) {
      const TaskCell cell = cell_of(page.all, overview, table, r, c);
      body += cell.best ? "<td><b>" + cell.text + "</b></td>" : "<td>" + cell.text + "</td>";
    }
    body += "</tr>\n";
  }
  return fmt::format(
      "<details><summary>budget {}, task by task</summary>\n<div class=\"scroll\"><table><thead><tr>{}"
      "<th>mean</th></tr></thead>\n<tbody>{}</tbody></table></div></details>\n",
      table.budget, head, body);
}

std::string part(const Page& page, const Overview& overview) {
  const Setting& mean = overview.mean;
  std::string out = "<h3>" + setting_title(mean) + "</h3>\n";
  if (const std::string told = told_apart_text(mean); !told.empty())
    out += "<p>" + escape_html(told) + "</p>\n";
  out += "<div class=\"grid\">\n" + score_chart(page, mean) + fidelity_chart(page, mean) + "</div>\n" +
         score_table(page, mean) + "\n";
  for (const TaskTable& table : task_tables(page.all, overview)) out += tasks_table(page, overview, table);
  return has_fidelity(mean) ? out + fidelity_table(page, mean, false) : out;
}

}  // namespace

std::string overview_section(const Page& page) {
  if (page.all.overviews.empty()) return "";
  std::string body = legend(page, true);
  for (const Overview& overview : page.all.overviews) body += part(page, overview);
  return section(
      "overview", "Benchmarks",
      "Means over the tasks of a benchmark, in which every task counts the same, with 95 % intervals of a "
      "bootstrap within the tasks. The best of a budget in bold.",
      body);
}

}  // namespace evictbench
