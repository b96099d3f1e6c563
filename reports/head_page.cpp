#include "reports/head_page.h"

#include <fmt/format.h>

#include <algorithm>

#include "reports/html_page.h"
#include "reports/html_text.h"

namespace evictbench {
namespace {

constexpr int kLeft = 40, kTop = 40, kRight = 12, kBottom = 34;

// Pixels of a cell: a map of few heads need not be tiny, one of many not fill a wall.
int cell_of(const HeadMap& map) { return std::clamp(260 / std::max(map.layers, map.heads), 6, 22); }

int width_of(const HeadMap& map) { return kLeft + std::max(map.heads * cell_of(map), 130) + kRight; }
int height_of(const HeadMap& map) { return kTop + map.layers * cell_of(map) + kBottom; }

// Every so many layers or heads has its number beside it.
int step_of(int count) {
  int step = 1;
  for (const int wider : {2, 4, 8, 16, 32})
    if (count / step > 10) step = wider;
  return step;
}

std::string words(const char* anchor, int x, int y, const std::string& text) {
  return fmt::format("<text text-anchor=\"{}\" x=\"{}\" y=\"{}\">{}</text>", anchor, x, y, escape_html(text));
}

std::string cells(const HeadMap& map, double most) {
  const int cell = cell_of(map);
  std::string out;
  for (int layer = 0; layer < map.layers; ++layer)
    for (int head = 0; head < map.heads; ++head) {
      const double score = map.scores[static_cast<std::size_t>(layer * map.heads + head)];
      out += fmt::format(
          "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill-opacity=\"{:.3f}\"><title>layer {}, head "
          "{}: {:.4g}</title></rect>\n",
          kLeft + head * cell, kTop + layer * cell, cell - 1, cell - 1, most > 0 ? score / most : 0, layer,
          head, score);
    }
  return out;
}

// One map with its upper left corner at (0, 0).
std::string drawn(const HeadMap& map) {
  const int cell = cell_of(map), right = kLeft + map.heads * cell, bottom = kTop + map.layers * cell;
  const double most = map.scores.empty() ? 0 : std::ranges::max(map.scores);
  std::string out =
      fmt::format("<text class=\"title\" x=\"{}\" y=\"14\">{}</text>", kLeft, escape_html(map.title));
  out += words("start", kLeft, 29, fmt::format("highest {:.3g}", most));
  for (int layer = 0; layer < map.layers; layer += step_of(map.layers))
    out += words("end", kLeft - 5, kTop + layer * cell + cell / 2 + 4, fmt::format("{}", layer));
  for (int head = 0; head < map.heads; head += step_of(map.heads))
    out += words("middle", kLeft + head * cell + cell / 2, bottom + 14, fmt::format("{}", head));
  out += words("middle", (kLeft + right) / 2, bottom + 29, "head");
  out += fmt::format("<text text-anchor=\"middle\" transform=\"translate(11 {}) rotate(-90)\">layer</text>\n",
                     (kTop + bottom) / 2);
  return out + fmt::format(
                   "<rect class=\"frame\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/><g "
                   "class=\"cells\">\n{}</g>",
                   kLeft - 1, kTop - 1, right - kLeft + 1, bottom - kTop + 1, cells(map, most));
}

std::string figure(const HeadMap& map) {
  return fmt::format(
      "<figure><figcaption><strong>{}</strong> <span class=\"quiet\">{}</span></figcaption>\n"
      "<svg class=\"heads\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{} "
      "score of "
      "each head\">{}</svg></figure>\n",
      escape_html(map.title), escape_html(map.note), width_of(map), height_of(map), width_of(map),
      height_of(map), escape_html(map.title), drawn(map));
}

std::string table(const HeadTable& from) {
  std::string body = "<div class=\"scroll\"><table><thead><tr>";
  for (const std::string& column : from.columns) body += "<th>" + escape_html(column) + "</th>";
  body += "</tr></thead>\n<tbody>";
  for (const auto& row : from.rows) {
    body += "<tr>";
    for (const std::string& value : row) body += "<td>" + escape_html(value) + "</td>";
    body += "</tr>\n";
  }
  return section(from.id.c_str(), from.title.c_str(), escape_html(from.lead),
                 body + "</tbody></table></div>");
}

// Of the page beyond those of the report.
constexpr const char* kStyle = R"css(
.maps{display:flex;flex-wrap:wrap;gap:22px 34px}
svg.heads{max-width:100%;height:auto}
.heads text{font-size:11px;fill:var(--quiet)}
.heads text.title{display:none}
.heads .cells{fill:var(--s0)}
.heads .frame{fill:var(--panel);stroke:var(--rule)}
)css";

}  // namespace

std::string svg_head_maps(std::span<const HeadMap> maps) {
  constexpr int kGap = 24;
  std::string body;
  int x = 0, height = 0;
  for (const HeadMap& map : maps) {
    body += fmt::format("<g transform=\"translate({} 0)\">{}</g>\n", x, drawn(map));
    x += width_of(map) + kGap;
    height = std::max(height, height_of(map));
  }
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" width=\"{}\" height=\"{}\" "
      "role=\"img\" "
      "aria-label=\"head scores, layers down, heads across\">\n<style>text{{font:11px "
      "sans-serif;fill:#5b6470}}"
      ".title{{font-size:13px;font-weight:bold;fill:#1b1f24}}.cells{{fill:#0072b2}}"
      ".frame{{fill:#f7f8f9;stroke:#d9dde2}}</style>\n<rect width=\"100%\" height=\"100%\" "
      "fill=\"#fff\"/>\n{}</svg>\n",
      std::max(x, 1), std::max(height, 1), std::max(x, 1), std::max(height, 1), body);
}

std::string head_page(const HeadPage& page) {
  std::string maps = "<div class=\"maps\">\n", rest;
  for (const HeadMap& map : page.maps) maps += figure(map);
  for (const HeadTable& from : page.tables) rest += table(from);
  return page_of(
      {.title = "evictbench heads",
       .heading = "Which heads retrieve",
       .lead = escape_html(page.lead),
       .navigation = "",
       .body =
           section("maps", "Layers and heads",
                   "Layers down, heads across. A cell is as dark as its share of its map's highest score.",
                   maps + "</div>") +
           rest + section("method", "How it was measured", "", facts_list(page.facts)),
       .footer = "Made by evictbench heads.",
       .style = kStyle});
}

}  // namespace evictbench
