#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "reports/ablation_writers.h"
#include "reports/heat_map.h"
#include "reports/html_page.h"
#include "reports/html_text.h"
#include "reports/labels.h"
#include "reports/svg.h"

namespace evictbench {
namespace {

std::string title_of(const AblationTable& table) {
  return fmt::format("<strong>{}</strong> <span class=\"quiet\">{}, {} examples</span>",
                     escape_html(table.task), escape_html(table.score),
                     count_label(static_cast<double>(table.none.score.count)));
}

std::string key_of_row(const Ablation& all, const AblationTable& table, std::size_t row) {
  return svg_key(row) + escape_html(kind_label(all, table.rows[row].kind));
}

Interval percent(const Interval& share) { return {100 * share.low, 100 * share.high}; }

std::string range_text(const std::optional<Interval>& share) {
  return share ? fmt::format("{:.1f} to {:.1f}", 100 * share->low, 100 * share->high) : "";
}

// A kind's whisker is its interval over examples; random heads show what the draws span.
const std::optional<Interval>& whisker(const AblationPoint& point) {
  return point.draws ? point.draws : point.score.interval;
}

std::string chart_of(const Ablation& all, const AblationTable& table) {
  Chart chart;
  chart.description = table.score + " over the number of masked heads, " + table.task;
  chart.x = {.low = -0.25,
             .high = static_cast<double>(all.counts.size()) + 0.25,
             .log = false,
             .ticks = {},
             .label = "masked heads",
             .names = {}};
  chart.y = linear_axis(100, table.score);
  chart.spread = true;
  const auto tick = [&](double at, int count) {
    chart.x.ticks.push_back(at);
    chart.x.names.push_back(std::to_string(count));
  };
  tick(0, 0);
  for (std::size_t c = 0; c < all.counts.size(); ++c) tick(static_cast<double>(c + 1), all.counts[c]);
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    ChartLine line{r, {{}}};
    const auto add = [&](double x, const AblationPoint& point) {
      const std::optional<Interval>& range = whisker(point);
      line.pieces[0].push_back({x, 100 * point.score.mean,
                                range ? std::optional(percent(*range)) : std::nullopt,
                                fmt::format("{}, {} masked: {:.1f} ({})", kind_label(all, table.rows[r].kind),
                                            point.count, 100 * point.score.mean, range_text(range))});
    };
    add(0, table.none);
    for (std::size_t c = 0; c < all.counts.size(); ++c)
      add(static_cast<double>(c + 1), table.rows[r].points[c]);
    chart.lines.push_back(std::move(line));
  }
  return fmt::format("<figure><figcaption>{}</figcaption>\n{}</figure>\n", title_of(table), svg_chart(chart));
}

std::string curves(const Ablation& all, std::span<const AblationTable> tables) {
  std::string body = "<ul class=\"legend\">";
  for (std::size_t r = 0; r < tables.front().rows.size(); ++r)
    body += "<li>" + key_of_row(all, tables.front(), r) + "</li>";
  body += "</ul>\n<div class=\"grid\">\n";
  for (const AblationTable& table : tables) body += chart_of(all, table);
  return section(
      "curves", "Score over masked heads",
      "Whiskers: of a kind the 95 % interval over examples, of random heads the worst and the best "
      "draw. Lines are set slightly apart so that they can be told apart.",
      body + "</div>");
}

std::string ranged(double share, const std::optional<Interval>& range) {
  return fmt::format("<td>{:.1f}<span class=\"range gap\">{}</span></td>", 100 * share, range_text(range));
}

// Scores of every row, or what a kind costs beyond random heads.
std::string table_of(const Ablation& all, const AblationTable& table, bool costs) {
  std::string head = costs ? "<th class=\"left\">cost beyond random heads</th><th></th>"
                           : "<th class=\"left\">masked</th><th>0</th>",
              body;
  for (const int count : all.counts)
    head += fmt::format("<th>{}<span class=\"range gap\"></span></th>", count);
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    if (costs && table.rows[r].kind == "random") continue;
    body += "<tr><th>" + key_of_row(all, table, r) + "</th>";
    body += costs ? "<td></td>" : fmt::format("<td>{:.1f}</td>", 100 * table.none.score.mean);
    for (const AblationPoint& point : table.rows[r].points)
      body +=
          costs ? ranged(point.cost->mean, point.cost->interval) : ranged(point.score.mean, whisker(point));
    body += "</tr>\n";
  }
  return fmt::format(
      "<div class=\"scroll\"><table><thead><tr>{}</tr></thead>\n<tbody>{}</tbody></table></div>\n", head,
      body);
}

std::string tables_section(const Ablation& all, std::span<const AblationTable> tables) {
  std::string body;
  for (const AblationTable& table : tables)
    body += fmt::format("<details{}><summary>{}</summary>\n{}<br/>{}</details>\n",
                        table.main ? " open=\"open\"" : "", title_of(table), table_of(all, table, false),
                        table_of(all, table, true));
  return section(
      "tables", "Scores",
      "Mean score, 0 to 100, by number of masked heads; in grey as the whiskers above. Cost: points "
      "that a kind loses beyond as many random heads, paired by example, with its 95 % interval.",
      body);
}

std::string heat_of(const AblationPoint& point) {
  HeatMap map{.caption = fmt::format("{} masked", point.count),
              .note = fmt::format("mean {:.1f}", 100 * point.score.mean),
              .cells = {}};
  for (const auto& [place, cell] : point.cells)
    map.cells[place] = {.score = cell.first, .answered = cell.second, .failed = 0};
  return heat_table(map);
}

std::string heat_section(const Ablation& all, std::span<const AblationTable> tables) {
  std::string body;
  for (const AblationTable& table : tables) {
    if (!table.main || table.none.cells.empty()) continue;
    std::string maps = folded_heat_maps(true, "nothing masked", heat_of(table.none));
    for (std::size_t r = 0; r < table.rows.size(); ++r) {
      std::string row;
      for (const AblationPoint& point : table.rows[r].points) row += heat_of(point);
      maps += folded_heat_maps(true, key_of_row(all, table, r), row);
    }
    body += fmt::format("<details{}><summary>{}</summary>\n{}</details>\n",
                        body.empty() ? " open=\"open\"" : "", title_of(table), maps);
  }
  return body.empty() ? "" : section("heat", "Length and depth", kHeatLead, body);
}

std::string masks_section(const Ablation& all) {
  std::string body;
  for (const Ablation::Mask& mask : all.masks) {
    if (mask.count == 0 || mask.count != all.counts.back()) continue;
    std::vector<std::string> heads;
    for (const int head : mask.heads) heads.push_back(head_label(all, head));
    body += fmt::format("<dt>{}</dt><dd>{}</dd>\n",
                        escape_html(mask.kind == "random" ? fmt::format("random draw {}", mask.draw + 1)
                                                          : kind_label(all, mask.kind)),
                        fmt::join(heads, ", "));
  }
  return section(
      "masks", "Masked heads",
      "Layer and head, in the order in which they are masked: K masked heads are the first K. Random heads "
      "are drawn from those that no kind masks.",
      "<dl>" + body + "</dl>");
}

}  // namespace

std::string ablation_page(const Ablation& all, std::span<const AblationTable> tables) {
  const std::string body = curves(all, tables) + tables_section(all, tables) + heat_section(all, tables) +
                           masks_section(all) +
                           section("method", "How it was made", "", facts_list(all.facts));
  return page_of(
      {.title = "evictbench heads --ablate",
       .heading = "What masked heads cost",
       .lead = "A masked head looks at everything alike while the answer is given; the prompt was read "
               "with all heads.",
       .navigation = "",
       .body = body,
       .footer = "Made by evictbench heads --ablate. Scores are 0 to 100.",
       .style = ""});
}

}  // namespace evictbench
