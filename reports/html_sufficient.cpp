#include <fmt/format.h>

#include <algorithm>

#include "reports/html_sections.h"
#include "reports/html_text.h"
#include "reports/labels.h"
#include "reports/sufficient.h"

namespace evictbench {
namespace {

std::string cell(const Sufficient& found) {
  if (found.point == nullptr)
    return fmt::format("<td class=\"quiet\">not at {}</td>",
                       budget_label(found.largest->budget_unit, found.largest->budget));
  return fmt::format("<td>{}<span class=\"range\">{}</span></td>",
                     budget_label(found.point->budget_unit, found.point->budget),
                     bytes_label(found.point->retained_bytes));
}

}  // namespace

std::string sufficient_section(const Page& page) {
  std::string head = "<th></th>";
  std::map<std::string, std::string> rows;  // policy -> cells
  for (const Setting& setting : page.all.settings) {
    const auto found = sufficient_budgets(setting);
    if (found.empty()) continue;
    head += "<th>" + setting_title(setting) + "</th>";
    for (const auto& [policy, style] : page.styles) {
      const auto mine = std::ranges::find(found, policy, &Sufficient::policy);
      rows[policy] += mine == found.end() ? "<td class=\"quiet\">not run</td>" : cell(*mine);
    }
  }
  if (rows.empty()) return "";
  std::vector<std::string> by_style(page.styles.size());
  for (const auto& [policy, style] : page.styles)
    by_style[style] = "<tr><th>" + page.key(policy) + "</th>" + rows[policy] + "</tr>\n";
  std::string body;
  for (const std::string& row : by_style) body += row;
  return section(
      "sufficient", "Smallest sufficient budget",
      fmt::format(
          "The smallest budget that was run from which on a policy keeps {:.0f} % of the full cache's "
          "score, and the bytes it retains there.",
          100 * kSufficient),
      fmt::format("<div class=\"scroll\"><table class=\"scores\"><thead><tr>{}</tr></thead>\n"
                  "<tbody>{}</tbody></table></div>",
                  head, body));
}

}  // namespace evictbench
