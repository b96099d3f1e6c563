#include <fmt/format.h>

#include <cmath>

#include "core/error.h"
#include "reports/ablation_writers.h"
#include "reports/csv_text.h"
#include "reports/json_text.h"
#include "reports/markdown_text.h"

namespace evictbench {
namespace {

void add(JsonText& json, const char* name, const std::optional<Interval>& interval) {
  json.key(name);
  if (!interval) {
    json.null();
    return;
  }
  json.open('[').number(interval->low).number(interval->high).close();
}

void add_point(JsonText& json, const AblationPoint& point) {
  json.open('{').key("count").integer(point.count).key("mean").number(point.score.mean);
  add(json, "interval", point.score.interval);
  if (point.draws) add(json, "draws", point.draws);
  if (point.cost) {
    json.key("cost").number(point.cost->mean);
    add(json, "cost_interval", point.cost->interval);
  }
  json.key("cells").open('[');
  for (const auto& [place, cell] : point.cells)
    json.open('{')
        .key("depth")
        .number(place.first)
        .key("length")
        .integer(place.second)
        .key("mean")
        .number(cell.first)
        .key("examples")
        .integer(static_cast<std::int64_t>(cell.second))
        .close();
  json.close().close();
}

void add_table(JsonText& json, const AblationTable& table) {
  json.open('{').key("task").text(table.task).key("score").text(table.score);
  json.key("examples").integer(static_cast<std::int64_t>(table.none.score.count));
  json.key("none");
  add_point(json, table.none);
  json.key("masked").open('[');
  for (const AblationTable::Row& row : table.rows) {
    json.open('{').key("kind").text(row.kind).key("points").open('[');
    for (const AblationPoint& point : row.points) add_point(json, point);
    json.close().close();
  }
  json.close().close();
}

void add_answers(JsonText& json, const Ablation::Example& example) {
  json.open('{').key("task").text(example.task).key("example").text(example.id);
  json.key("length").integer(example.length).key("depth").number(example.depth);
  json.key("scores").open('{');
  for (const auto& [name, first] : example.scores.front()) {
    json.key(name).open('[');
    for (const auto& scores : example.scores) json.number(scores.at(name));
    json.close();
  }
  json.close().close();
}

std::string percent(double share) { return fmt::format("{:.1f}", 100 * share); }

// "87.5 (80.0–92.5)": mean, and the worst and best draw of random heads.
std::string score_text(const AblationPoint& point) {
  if (!point.draws) return percent(point.score.mean);
  return fmt::format("{} ({}–{})", percent(point.score.mean), percent(point.draws->low),
                     percent(point.draws->high));
}

std::string cost_text(const AblationPoint& point) {
  if (!point.cost) return "";
  if (!point.cost->interval) return percent(point.cost->mean);
  return fmt::format("{} ({} to {})", percent(point.cost->mean), percent(point.cost->interval->low),
                     percent(point.cost->interval->high));
}

using Text = std::string (*)(const AblationPoint&);

std::string markdown_table(const Ablation& all, const AblationTable& table, std::size_t rows, bool with_none,
                           Text text) {
  std::string head = "| masked |", rule = "|:--|";
  if (with_none) head += " 0 |", rule += "--:|";
  for (const int count : all.counts) {
    head += fmt::format(" {} |", count);
    rule += "--:|";
  }
  std::string out = head + "\n" + rule + "\n";
  for (std::size_t r = 0; r < rows; ++r) {
    out += "| " + escape_markdown(kind_label(all, table.rows[r].kind)) + " |";
    if (with_none) out += " " + text(table.none) + " |";
    for (const AblationPoint& point : table.rows[r].points) out += " " + text(point) + " |";
    out += "\n";
  }
  return out;
}

}  // namespace

std::string head_label(const Ablation& all, int head) {
  return fmt::format("{}-{}", head / all.heads_per_layer, head % all.heads_per_layer);
}

std::string kind_label(const Ablation& all, const std::string& kind) {
  return kind == "random" ? fmt::format("random heads, {} draws", all.draws) : "best " + kind + " heads";
}

std::string ablation_json(const Ablation& all) {
  JsonText json;
  json.open('{').key("facts").open('{');
  for (const auto& [name, value] : all.facts) json.key(name).text(value);
  json.close().key("masks").open('[');
  for (const Ablation::Mask& mask : all.masks) {
    json.open('{')
        .key("kind")
        .text(mask.kind)
        .key("count")
        .integer(mask.count)
        .key("draw")
        .integer(mask.draw);
    json.key("heads").open('[');
    for (const int head : mask.heads) json.text(head_label(all, head));
    json.close().close();
  }
  json.close().key("tables").open('[');
  for (const AblationTable& table : ablation_tables(all)) add_table(json, table);
  json.close().key("answers").open('[');
  for (const Ablation::Example& example : all.examples) add_answers(json, example);
  return json.close().close().str() + "\n";
}

std::string ablation_csv(std::span<const AblationTable> tables) {
  Csv csv;
  for (const char* name : {"task", "score", "main", "masked", "count", "examples", "mean", "low", "high",
                           "interval", "draw_low", "draw_high", "cost", "cost_low", "cost_high"})
    csv.text(name);
  csv.end_row();
  const auto add_row = [&](const AblationTable& table, const std::string& kind, const AblationPoint& point) {
    csv.text(table.task).text(table.score).text(table.main ? "yes" : "no").text(kind);
    csv.text(std::to_string(point.count)).count(point.score.count);
    csv.estimate(&point.score).text(point.score.method);
    csv.text(point.draws ? shortest(point.draws->low) : "")
        .text(point.draws ? shortest(point.draws->high) : "");
    csv.estimate(point.cost ? &*point.cost : nullptr).end_row();
  };
  for (const AblationTable& table : tables) {
    add_row(table, "none", table.none);
    for (const AblationTable::Row& row : table.rows)
      for (const AblationPoint& point : row.points) add_row(table, row.kind, point);
  }
  return csv.str();
}

std::string ablation_markdown(const Ablation& all, std::span<const AblationTable> tables) {
  std::string out = "# Masking ablation\n";
  for (const AblationTable& table : tables) {
    out += fmt::format("\n## {}, {}\n\n", escape_markdown(table.task), escape_markdown(table.score));
    out += fmt::format(
        "Mean score of {} examples, 0 to 100, by number of masked heads; of random heads also the worst and "
        "the best "
        "draw.\n\n",
        table.none.score.count);
    out += markdown_table(all, table, table.rows.size(), true, score_text);
    out += "\nPoints that they cost beyond as many random heads, and the 95 % interval:\n\n";
    out += markdown_table(all, table, table.rows.size() - 1, false, cost_text);
  }
  out += "\n## How it was made\n\n";
  for (const auto& [name, value] : all.facts)
    out += "- " + escape_markdown(name) + ": " + escape_markdown(value) + "\n";
  return out;
}

std::string ablation_summary(const Ablation& all) {
  std::string out;
  for (const AblationTable& table : ablation_tables(all)) {
    if (!table.main) continue;
    out += fmt::format("{}, {}, {} examples\n{:<28}{:>7}", printable(table.task), table.score,
                       table.none.score.count, "masked heads", 0);
    for (const int count : all.counts) out += fmt::format("{:>7}", count);
    for (const AblationTable::Row& row : table.rows) {
      out +=
          fmt::format("\n{:<28}{:>7}", printable(kind_label(all, row.kind)), percent(table.none.score.mean));
      for (const AblationPoint& point : row.points) out += fmt::format("{:>7}", percent(point.score.mean));
    }
    out += "\n";
  }
  return out;
}

}  // namespace evictbench
