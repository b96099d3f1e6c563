#include "reports/aggregate.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <tuple>

#include "core/error.h"
#include "reports/json_text.h"
#include "reports/labels.h"
#include "reports/overview.h"

namespace evictbench {
namespace {

using Records = std::span<const Record* const>;

auto setting_key(const Record& r) {
  return std::make_tuple(std::cref(r.task), r.question != "inside", std::cref(r.question),
                         std::cref(r.first_token), std::cref(r.compute));
}
auto point_key(const Record& r) {
  return std::make_tuple(r.budget_unit != "full", std::cref(r.policy), std::cref(r.budget_unit), r.budget,
                         std::cref(r.point));
}
auto example_key(const Record& r) { return std::make_tuple(r.length, r.depth, std::cref(r.example)); }

bool precedes(const Record* a, const Record* b) {
  return std::make_tuple(setting_key(*a), point_key(*a), example_key(*a)) <
         std::make_tuple(setting_key(*b), point_key(*b), example_key(*b));
}

void refuse_twice(const Record* a, const Record* b) {
  if (precedes(a, b)) return;
  reject(Exit::kInput, {.code = "E-RC-06",
                        .file = "records",
                        .position = "",
                        .found = fmt::format("example '{}' of task '{}' twice at point '{}'", a->example,
                                             a->task, a->point),
                        .expected = "every example once",
                        .mend = "the results of two runs were mixed; keep one of them"});
}

// Calls `use` with every run of records of equal key.
template <class Key, class Use>
void for_each_group(Records sorted, Key key, Use use) {
  for (std::size_t first = 0, last; first < sorted.size(); first = last) {
    for (last = first + 1; last < sorted.size() && key(*sorted[last]) == key(*sorted[first]);) ++last;
    use(sorted.subspan(first, last - first));
  }
}

// The full cache's answers of one setting.
using Answers = std::map<std::pair<std::string, std::string>, const Record*>;  // by example, prompt hash

Answers answers_of(const PointSummary& point) {
  Answers answers;
  for (const Record* record : point.records)
    if (record->error.empty()) answers[{record->example, record->prompt_hash}] = record;
  return answers;
}

std::set<std::string> score_names(Records records) {
  std::set<std::string> names;
  for (const Record* record : records)
    if (record->error.empty())
      for (const auto& [name, value] : record->scores) names.insert(name);
  return names;
}

std::vector<double> values_of(Records records, const std::string& score) {
  std::vector<double> values;
  for (const Record* record : records)
    if (const auto found = record->scores.find(score); record->error.empty() && found != record->scores.end())
      values.push_back(found->second);
  return values;
}

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

Cell cell_of(Records records) {
  Cell cell{records[0]->length, records[0]->depth, 0, 0, {}};
  for (const Record* record : records) ++(record->error.empty() ? cell.answered : cell.failed);
  for (const std::string& name : score_names(records)) cell.scores[name] = mean_of(values_of(records, name));
  return cell;
}

// Means of what the answered examples cost.
void add_costs(PointSummary& point) {
  std::size_t layers = 0;
  for (const Record* r : point.records) layers = std::max(layers, r->kept_by_layer.size());
  if (point.answered == 0) return;
  point.layer_share.assign(layers, 0);
  const double weight = 1 / static_cast<double>(point.answered);
  for (const Record* r : point.records) {
    if (!r->error.empty()) continue;
    const auto full = static_cast<double>(std::max<std::int64_t>(r->full_entries, 1));
    point.asked += static_cast<double>(r->asked) * weight;
    point.kept += static_cast<double>(r->kept) * weight;
    point.full_entries += static_cast<double>(r->full_entries) * weight;
    point.kept_share += static_cast<double>(r->kept) / full * weight;
    point.retained_bytes += static_cast<double>(r->retained_bytes) * weight;
    for (std::size_t l = 0; l < r->kept_by_layer.size(); ++l)
      point.layer_share[l] +=
          static_cast<double>(r->kept_by_layer[l]) * static_cast<double>(layers) / full * weight;
    point.overspent += r->kept > r->asked;
    point.unevicted += !point.is_full() && r->kept == r->full_entries;
  }
}

// `key` of an interval, by the name of its measure.
template <class Key>
void add_fidelity(PointSummary& point, const Key& key) {
  std::vector<const Fidelity*> all;
  for (const Record* r : point.records)
    if (r->error.empty() && r->fidelity) all.push_back(&*r->fidelity);
  if (all.empty()) return;
  FidelitySummary& out = point.fidelity.emplace();
  const auto values = [&](double Fidelity::*measure) {
    std::vector<double> of;
    for (const Fidelity* one : all) of.push_back(one->*measure);
    return of;
  };
  out.kl = estimate_difference(values(&Fidelity::kl), key("kl"));
  out.agreement = estimate_score(values(&Fidelity::agreement), key("agreement"));
  out.delta_nll = estimate_difference(values(&Fidelity::delta_nll), key("delta_nll"));
  out.mass = estimate_difference(values(&Fidelity::mass), key("mass"));
  for (const Fidelity* one : all) {
    out.tokens += static_cast<std::size_t>(one->tokens);
    out.layer_mass.resize(std::max(out.layer_mass.size(), one->mass_by_layer.size()));
    for (std::size_t l = 0; l < one->mass_by_layer.size(); ++l) out.layer_mass[l] += one->mass_by_layer[l];
  }
  for (double& sum : out.layer_mass) sum /= static_cast<double>(all.size());
}

PointSummary summarise(Records records) {
  const Record& first = *records[0];
  PointSummary point;
  point.policy = first.policy;
  point.policy_name = first.policy_name;
  point.budget_unit = first.budget_unit;
  point.budget = first.budget;
  point.point = first.point;
  point.records.assign(records.begin(), records.end());
  for (const Record* record : records) ++(record->error.empty() ? point.answered : point.failed);
  const auto place = [](const Record& r) { return std::make_pair(r.length, r.depth); };
  for_each_group(records, place, [&](Records cell) { point.cells.push_back(cell_of(cell)); });
  add_costs(point);
  const auto key = [&](const std::string& name) {
    return key_of({first.task, first.question, first.first_token, first.compute, first.policy,
                   first.budget_unit, shortest(first.budget), name, "mean"});
  };
  for (const std::string& name : score_names(records)) {
    ScoreSummary& score = point.scores[name];
    score.values = values_of(records, name);
    score.mean = estimate_score(score.values, key(name));
  }
  add_fidelity(point, [&](const std::string& name) { return key("fidelity " + name); });
  return point;
}

void pair_with_full(PointSummary& point, const Setting& setting, const Answers& full) {
  for (const Record* record : point.records) {
    if (!record->error.empty()) continue;
    const auto other = full.find({record->example, record->prompt_hash});
    if (other == full.end()) {
      ++point.unpaired;
      continue;
    }
    point.same_answers += record->answer_ids == other->second->answer_ids;
    for (const auto& [name, value] : record->scores)
      if (const auto found = other->second->scores.find(name); found != other->second->scores.end())
        point.scores[name].gaps.push_back(value - found->second);
  }
  for (auto& [name, score] : point.scores) {
    if (score.gaps.empty()) continue;
    score.gap = estimate_difference(
        score.gaps, key_of({setting.task, setting.question, setting.first_token, setting.compute,
                            point.policy, point.budget_unit, shortest(point.budget), name, "gap"}));
  }
}

Setting setting_of(Records records, const std::map<std::string, std::string>& main_scores) {
  const Record& first = *records[0];
  Setting setting{first.task, first.question, first.first_token, first.compute, "", {}};
  const std::set<std::string> names = score_names(records);
  const auto named = main_scores.find(first.task);
  setting.main_score = named != main_scores.end() ? named->second : names.empty() ? "" : *names.begin();
  const auto key = [](const Record& r) { return point_key(r); };
  for_each_group(records, key, [&](Records point) { setting.points.push_back(summarise(point)); });
  if (setting.full() == nullptr) return setting;
  const Answers full = answers_of(*setting.full());
  for (PointSummary& point : setting.points) pair_with_full(point, setting, full);
  return setting;
}

void mark(Aggregate& all, const Leak& leak) {
  for (Setting& setting : all.settings)
    for (PointSummary& point : setting.points)
      if (setting.task == leak.task && point.policy == leak.policy) point.leaked = leak.shared;
}

}  // namespace

const PointSummary* Setting::full() const {
  return !points.empty() && points[0].is_full() ? points.data() : nullptr;
}

Aggregate aggregate(std::span<const Record> records, const std::map<std::string, std::string>& main_scores,
                    std::span<const Leak> leaks) {
  std::vector<const Record*> sorted;
  for (const Record& record : records) sorted.push_back(&record);
  std::sort(sorted.begin(), sorted.end(), precedes);
  for (std::size_t i = 1; i < sorted.size(); ++i) refuse_twice(sorted[i - 1], sorted[i]);
  Aggregate all;
  const auto key = [](const Record& r) { return setting_key(r); };
  for_each_group(sorted, key,
                 [&](Records setting) { all.settings.push_back(setting_of(setting, main_scores)); });
  for (const Leak& leak : leaks) mark(all, leak);
  all.overviews = overviews_of(all.settings);
  all.compared = compared_options(all);
  all.labels = policy_labels(all);
  all.notes = notes_on(all);
  return all;
}

}  // namespace evictbench
