// list policies|tasks|families|metrics
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "datasets/metrics/metric.h"
#include "datasets/registry.h"
#include "harness/commands.h"
#include "models/family.h"
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
                         {"when", option.when}});
    rows.push_back(
        {{"name", entry.name}, {"what", entry.summary}, {"paper", entry.paper}, {"options", options}});
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

void show(const Out& rows) {
  for (const Out& row : rows) {
    fmt::print("{:<20} {}", row["name"].get<std::string>(), row["what"].get<std::string>());
    for (const char* from : {"paper", "source"})
      if (row.contains(from) && row[from] != "") fmt::print(" [{}]", row[from].get<std::string>());
    fmt::print("\n");
    for (const Out& option : row.value("options", Out::array()))
      fmt::print(
          "{:<20}   {} = {}  ({}){}\n", "", option["key"].get<std::string>(),
          option["default"].get<std::string>(), option["allowed"].get<std::string>(),
          option["when"].get<std::string>().empty() ? "" : "  with " + option["when"].get<std::string>());
  }
}

}  // namespace

void add_list(CLI::App& app, Action& action) {
  auto what = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  CLI::App* sub = app.add_subcommand("list", "policies, tasks, families or metrics");
  sub->add_option("what", *what, "policies, tasks, families or metrics")
      ->required()
      ->check(CLI::IsMember({"policies", "tasks", "families", "metrics"}));
  sub->add_flag("--json", *json, "one JSON array");
  sub->callback([=, &action] {
    action = [=] {
      const Out rows = *what == "policies"   ? policies()
                       : *what == "tasks"    ? tasks()
                       : *what == "families" ? families()
                                             : metrics();
      if (*json)
        fmt::print("{}\n", rows.dump());
      else
        show(rows);
      return 0;
    };
  });
}

}  // namespace evictbench
