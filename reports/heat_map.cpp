#include "reports/heat_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "reports/labels.h"

namespace evictbench {
namespace {

// Linear through the colours that the papers use for 0, 50 and 100 %.
std::string heat_colour(double score) {
  static constexpr int kStops[3][3] = {{0xf0, 0x49, 0x6e}, {0xeb, 0xb8, 0x39}, {0x0c, 0xd7, 0x9f}};
  const double position = 2 * std::clamp(score, 0.0, 1.0);
  const int from = position < 1 ? 0 : 1;
  std::string out = "#";
  for (int c = 0; c < 3; ++c)
    out += fmt::format(
        "{:02x}", static_cast<int>(std::lround(kStops[from][c] +
                                               (position - from) * (kStops[from + 1][c] - kStops[from][c]))));
  return out;
}

std::string heat_cell(const HeatMap::Cell& cell) {
  const std::string failed = cell.failed == 0 ? "" : fmt::format("failed: {}", cell.failed);
  if (!cell.score) return "<td class=\"hole\">" + failed + "</td>";
  return fmt::format("<td style=\"background:{}\" title=\"{} answered\">{:.0f}{}</td>",
                     heat_colour(*cell.score), cell.answered, 100 * *cell.score,
                     failed.empty() ? "" : "<small>" + failed + "</small>");
}

}  // namespace

const char* const kHeatLead =
    "Mean score per cell: context length across, depth of the needle down. "
    "0<span class=\"scale\"></span>100";

std::string heat_table(const HeatMap& map) {
  std::set<int> lengths;
  std::set<double> depths;
  for (const auto& [place, cell] : map.cells) {
    depths.insert(place.first);
    lengths.insert(place.second);
  }
  std::string out = fmt::format("<table class=\"heat\"><caption>{} <span class=\"quiet\">{}</span></caption>",
                                map.caption, map.note);
  out += "<thead><tr><th>depth</th>";
  for (const int length : lengths) out += "<th>" + count_label(length) + "</th>";
  out += "</tr></thead>\n<tbody>";
  for (const double depth : depths) {
    out += fmt::format("<tr><th>{:.4g} %</th>", depth);
    for (const int length : lengths) {
      const auto cell = map.cells.find({depth, length});
      out += heat_cell(cell == map.cells.end() ? HeatMap::Cell{} : cell->second);
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table>\n";
}

std::string folded_heat_maps(bool open, const std::string& title, const std::string& maps) {
  return fmt::format("<details{}><summary>{}</summary>\n<div class=\"heats\">{}</div></details>\n",
                     open ? " open=\"open\"" : "", title, maps);
}

}  // namespace evictbench
