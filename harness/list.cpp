// list policies|tasks|families|metrics
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "datasets/metrics/metric.h"
#include "datasets/registry.h"
#include "harness/commands.h"
#include "models/family.h"
#include "policies/deviations.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

using Out = nlohmann::ordered_json;

Out policies() {
  Out rows = Out::array();
  for (const PolicyEntry& entry : all_policies()) {
    Out options = Out::array();
    for (const OptionInfo& option : describe(entry))
      options.push_back({{"key", option.key},
                         {"default", option.fallback},
                         {"allowed", option.allowed},
                         {"unit", option.unit},
                         {"when", option.when}});
    Out deviations = Out::array();
    for (const Deviation& row : deviations_of(entry.name))
      deviations.push_back({{"number", row.number},
                            {"of", row.general() ? row.policies : "policy"},
                            {"from", row.from},
                            {"what", row.what},
                            {"effect", row.effect}});
    rows.push_back({{"name", entry.name},
                    {"what", entry.summary},
                    {"paper", entry.paper},
                    {"formula", entry.formula},
                    {"options", options},
                    {"deviations", deviations}});
  }
  return rows;
}

Out tasks() {
  Out rows = Out::array();
  for (const DatasetEntry& entry : all_datasets())
    rows.push_back({{"name", entry.name},
                    {"what", entry.description},
                    {"metrics", entry.metrics},
                    {"keys", entry.keys}});
  return rows;
}

Out families() {
  Out rows = Out::array();
  for (const Family& family : all_families())
    rows.push_back({{"name", family.model_type}, {"what", family.summary}});
  return rows;
}

Out metrics() {
  Out rows = Out::array();
  for (const auto& metric : all_metrics())
    rows.push_back({{"name", metric.name}, {"what", metric.description}, {"source", metric.source}});
  return rows;
}

std::string text(const Out& of, const char* key) { return of[key].get<std::string>(); }

std::string line_of(const Deviation& row) {
  return fmt::format("{:>2}  {}: {}; {}", row.number, row.from, row.what, row.effect);
}

void show_options(const Out& options) {
  for (const Out& option : options) {
    const std::string unit = text(option, "unit"), when = text(option, "when");
    fmt::print("                     {} = {}{}  ({}){}\n", text(option, "key"), text(option, "default"),
               unit.empty() ? "" : " " + unit, text(option, "allowed"), when.empty() ? "" : "  with " + when);
  }
}

void show(const Out& rows) {
  for (const Out& row : rows) {
    fmt::print("{:<20} {}", text(row, "name"), text(row, "what"));
    for (const char* from : {"paper", "source"})
      if (row.contains(from) && row[from] != "") fmt::print(" [{}]", text(row, from));
    fmt::print("\n");
    if (row.contains("options")) show_options(row["options"]);
  }
}

// With formulas and with what differs from papers and repositories; what holds of many policies stands first.
void show_in_full(const Out& rows) {
  fmt::print("{}\n\n", kFormulaLetters);
  for (const Deviation& row : all_deviations())
    if (row.general()) fmt::print("{:<18} {}\n", row.policies, line_of(row));
  for (const Out& row : rows) {
    fmt::print("\n{}: {} [{}]\n", text(row, "name"), text(row, "what"), text(row, "paper"));
    fmt::print("                     {}\n", text(row, "formula"));
    show_options(row["options"]);
    for (const Deviation& deviation : deviations_of(text(row, "name")))
      if (!deviation.general()) fmt::print("                     {}\n", line_of(deviation));
  }
}

}  // namespace

void add_list(CLI::App& app, Action& action) {
  auto what = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false), verbose = std::make_shared<bool>(false);
  CLI::App* sub = app.add_subcommand("list", "policies, tasks, families or metrics");
  sub->add_option("what", *what, "policies, tasks, families or metrics")
      ->required()
      ->check(CLI::IsMember({"policies", "tasks", "families", "metrics"}));
  sub->add_flag("--json", *json, "one JSON array, with everything");
  sub->add_flag("--verbose", *verbose,
                "policies with formulas and with what differs from papers and repositories");
  sub->callback([=, &action] {
    action = [=] {
      const Out rows = *what == "policies"   ? policies()
                       : *what == "tasks"    ? tasks()
                       : *what == "families" ? families()
                                             : metrics();
      if (*json)
        fmt::print("{}\n", rows.dump());
      else if (*verbose && *what == "policies")
        show_in_full(rows);
      else
        show(rows);
      return 0;
    };
  });
}

}  // namespace evictbench
