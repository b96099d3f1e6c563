#include "reports/fidelity.h"
#include "reports/json_text.h"
#include "reports/labels.h"
#include "reports/sufficient.h"
#include "reports/writers.h"

namespace evictbench {
namespace {

constexpr int kResultsSchema = 1;

void add_estimate(JsonText& json, const Estimate& estimate) {
  json.open('{').key("count").integer(static_cast<std::int64_t>(estimate.count));
  json.key("mean");
  estimate.count == 0 ? json.null() : json.number(estimate.mean);
  json.key("interval");
  if (estimate.interval) {
    json.open('{').key("low").number(estimate.interval->low).key("high").number(estimate.interval->high);
    json.key("method").text(estimate.method).close();
  } else {
    json.null();
  }
  json.close();
}

void add_fidelity(JsonText& json, const FidelitySummary& fidelity) {
  json.key("fidelity").open('{').key("tokens").integer(static_cast<std::int64_t>(fidelity.tokens));
  for (const FidelityMeasure& measure : kFidelityMeasures) {
    json.key(measure.name);
    add_estimate(json, fidelity.*measure.value);
  }
  json.key("layer_mass").open('[');
  for (const double share : fidelity.layer_mass) json.number(share);
  json.close().close();
}

void add_cells(JsonText& json, const std::vector<Cell>& cells) {
  json.key("cells").open('[');
  for (const Cell& cell : cells) {
    json.open('{').key("length").integer(cell.length).key("depth");
    cell.depth < 0 ? json.null() : json.number(cell.depth);
    json.key("answered").integer(static_cast<std::int64_t>(cell.answered));
    json.key("failed").integer(static_cast<std::int64_t>(cell.failed)).key("scores").open('{');
    for (const auto& [name, mean] : cell.scores) json.key(name).number(mean);
    json.close().close();
  }
  json.close();
}

void add_costs(JsonText& json, const PointSummary& point) {
  const auto mean = [&](const char* name, double value) {
    json.key(name);
    point.answered == 0 ? json.null() : json.number(value);
  };
  mean("asked", point.asked);
  mean("kept", point.kept);
  mean("full_entries", point.full_entries);
  mean("kept_share", point.kept_share);
  mean("retained_bytes", point.retained_bytes);
  json.key("layer_share").open('[');
  for (const double share : point.layer_share) json.number(share);
  json.close();
}

void add_point(JsonText& json, const Aggregate& all, const PointSummary& point) {
  const auto count = [&](const char* name, std::size_t n) {
    json.key(name).integer(static_cast<std::int64_t>(n));
  };
  json.open('{').key("point").text(point.point).key("label").text(point_label(all, point));
  json.key("policy").text(point.policy).key("policy_name").text(point.policy_name);
  json.key("budget_unit").text(point.budget_unit).key("budget").number(point.budget);
  count("answered", point.answered);
  count("failed", point.failed);
  json.key("scores").open('{');
  for (const auto& [name, score] : point.scores) {
    json.key(name).open('{').key("mean");
    add_estimate(json, score.mean);
    json.key("gap_to_full");
    if (score.gap)
      add_estimate(json, *score.gap);
    else
      json.null();
    json.close();
  }
  json.close();
  count("same_answers", point.same_answers);
  count("unpaired", point.unpaired);
  count("overspent", point.overspent);
  count("unevicted", point.unevicted);
  count("leaked", point.leaked);
  json.key("compared_options").open('[');
  if (const auto found = all.compared.find(point.policy); found != all.compared.end())
    for (const std::string& option : found->second) json.text(option);
  json.close();
  add_costs(json, point);
  if (point.fidelity) add_fidelity(json, *point.fidelity);
  add_cells(json, point.cells);
  json.close();
}

void add_sufficient(JsonText& json, const Setting& setting) {
  json.key("sufficient").open('[');
  for (const Sufficient& of : sufficient_budgets(setting)) {
    json.open('{').key("policy").text(of.policy).key("point");
    of.point == nullptr ? json.null() : json.text(of.point->point);
    json.close();
  }
  json.close();
}

void add_setting(JsonText& json, const Aggregate& all, const Setting& setting) {
  json.key("task").text(setting.task).key("question").text(setting.question);
  json.key("first_token").text(setting.first_token).key("compute").text(setting.compute);
  json.key("main_score").text(setting.main_score).key("points").open('[');
  for (const PointSummary& point : setting.points) add_point(json, all, point);
  json.close();
  add_sufficient(json, setting);
}

}  // namespace

std::string results_json(const Aggregate& all) {
  JsonText json(1);
  json.open('{').key("schema").integer(kResultsSchema).key("notes").open('[');
  for (const std::string& note : all.notes) json.text(note);
  json.close().key("benchmarks").open('[');
  for (const Overview& overview : all.overviews) {
    json.open('{').key("benchmark").text(overview.benchmark).key("tasks").open('[');
    for (const std::size_t place : overview.settings) json.text(all.settings[place].task);
    json.close().key("mean").open('{');
    add_setting(json, all, overview.mean);
    json.close().close();
  }
  json.close().key("settings").open('[');
  for (const Setting& setting : all.settings) {
    json.open('{');
    add_setting(json, all, setting);
    json.close();
  }
  json.close().close();
  return json.str() + "\n";
}

}  // namespace evictbench
