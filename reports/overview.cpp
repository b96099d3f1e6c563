#include "reports/overview.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "reports/json_text.h"
#include "reports/labels.h"
#include "reports/pivot.h"

namespace evictbench {
namespace {

using Points = std::vector<const PointSummary*>;  // one point in every task

bool is_same(const PointSummary& a, const PointSummary& b) {
  return a.policy == b.policy && a.budget_unit == b.budget_unit && a.budget == b.budget && a.point == b.point;
}

// The values of every task, in groups; none where a task has none.
template <class Values>
std::vector<std::vector<double>> groups_of(const Points& points, const Values& values) {
  std::vector<std::vector<double>> groups;
  for (std::size_t i = 0; i < points.size(); ++i) groups.push_back(values(i));
  return groups;
}

void add_costs(PointSummary& mean, const Points& points) {
  const double weight = 1 / static_cast<double>(points.size());
  for (const PointSummary* point : points) {
    mean.answered += point->answered;
    mean.failed += point->failed;
    mean.overspent += point->overspent;
    mean.unevicted += point->unevicted;
    mean.unpaired += point->unpaired;
    mean.same_answers += point->same_answers;
    mean.leaked += point->leaked;
    mean.asked += point->asked * weight;
    mean.kept += point->kept * weight;
    mean.full_entries += point->full_entries * weight;
    mean.kept_share += point->kept_share * weight;
    mean.retained_bytes += point->retained_bytes * weight;
    mean.layer_share.resize(std::max(mean.layer_share.size(), point->layer_share.size()));
    for (std::size_t l = 0; l < point->layer_share.size(); ++l)
      mean.layer_share[l] += point->layer_share[l] * weight;
  }
}

template <class Key>
void add_fidelity(PointSummary& mean, const Points& points, const Key& key) {
  if (!std::ranges::all_of(points, [](const PointSummary* point) { return point->fidelity.has_value(); }))
    return;
  FidelitySummary& out = mean.fidelity.emplace();
  const auto estimate = [&](double Fidelity::*measure, const char* name) {
    const auto values = [&](std::size_t task) {
      std::vector<double> of;
      for (const Record* record : points[task]->records)
        if (record->error.empty() && record->fidelity) of.push_back((*record->fidelity).*measure);
      return of;
    };
    return estimate_mean_of_means(groups_of(points, values), key(name));
  };
  out.kl = estimate(&Fidelity::kl, "fidelity kl");
  out.agreement = estimate(&Fidelity::agreement, "fidelity agreement");
  out.delta_nll = estimate(&Fidelity::delta_nll, "fidelity delta_nll");
  out.mass = estimate(&Fidelity::mass, "fidelity mass");
  for (const PointSummary* point : points) {
    const FidelitySummary& task = *point->fidelity;
    out.tokens += task.tokens;
    out.layer_mass.resize(std::max(out.layer_mass.size(), task.layer_mass.size()));
    for (std::size_t l = 0; l < task.layer_mass.size(); ++l)
      out.layer_mass[l] += task.layer_mass[l] / static_cast<double>(points.size());
  }
}

// The mean of one point over the tasks, or nothing where one of them has no score.
std::optional<PointSummary> mean_of(const Setting& mean, const Points& points,
                                    const std::vector<const Setting*>& tasks) {
  const auto score_of = [&](std::size_t task) -> const ScoreSummary* {
    const auto found = points[task]->scores.find(tasks[task]->main_score);
    return found == points[task]->scores.end() || found->second.values.empty() ? nullptr : &found->second;
  };
  for (std::size_t task = 0; task < points.size(); ++task)
    if (score_of(task) == nullptr) return std::nullopt;
  const PointSummary& first = *points[0];
  PointSummary out;
  out.policy = first.policy;
  out.policy_name = first.policy_name;
  out.budget_unit = first.budget_unit;
  out.budget = first.budget;
  out.point = first.point;
  const auto key = [&](const char* name) {
    return key_of({mean.task, mean.question, mean.first_token, mean.compute, first.policy, first.budget_unit,
                   shortest(first.budget), name});
  };
  ScoreSummary& score = out.scores[mean.main_score];
  score.mean = estimate_mean_of_means(
      groups_of(points, [&](std::size_t task) { return score_of(task)->values; }), key("mean"));
  const Estimate gap = estimate_mean_of_means(
      groups_of(points, [&](std::size_t task) { return score_of(task)->gaps; }), key("gap"));
  if (gap.count > 0) score.gap = gap;
  add_costs(out, points);
  add_fidelity(out, points, key);
  return out;
}

Overview overview_of(const std::vector<Setting>& settings, const std::string& benchmark,
                     std::vector<std::size_t> places) {
  std::vector<const Setting*> tasks;
  for (const std::size_t place : places) tasks.push_back(&settings[place]);
  const Setting& first = *tasks[0];
  Overview overview{benchmark, std::move(places), {}};
  overview.mean = {fmt::format("{}, mean of {} tasks", benchmark, tasks.size()),
                   first.question,
                   first.first_token,
                   first.compute,
                   "mean score",
                   {}};
  for (const PointSummary& point : first.points) {
    Points points;
    for (const Setting* task : tasks) {
      const auto found = std::ranges::find_if(
          task->points, [&](const PointSummary& other) { return is_same(other, point); });
      if (found != task->points.end()) points.push_back(&*found);
    }
    if (points.size() != tasks.size()) continue;
    if (auto mean = mean_of(overview.mean, points, tasks)) overview.mean.points.push_back(std::move(*mean));
  }
  return overview;
}

const PointSummary* task_point(const Setting& task, const PointSummary& mean) {
  const auto found =
      std::ranges::find_if(task.points, [&](const PointSummary& point) { return is_same(point, mean); });
  return found == task.points.end() ? nullptr : &*found;
}

bool apart(const Estimate& a, const Estimate& b) {
  return a.interval && b.interval &&
         (a.interval->high < b.interval->low || b.interval->high < a.interval->low);
}

}  // namespace

std::string benchmark_of(const std::string& task) {
  const auto slash = task.rfind('/');
  return slash == task.npos ? "" : task.substr(0, slash);
}

std::vector<Overview> overviews_of(const std::vector<Setting>& settings) {
  using Key = std::tuple<std::string, std::string, std::string, std::string>;
  std::vector<std::pair<Key, std::vector<std::size_t>>> groups;
  for (std::size_t i = 0; i < settings.size(); ++i) {
    const Setting& s = settings[i];
    const Key key{benchmark_of(s.task), s.question, s.first_token, s.compute};
    if (std::get<0>(key).empty()) continue;
    const auto found = std::ranges::find(groups, key, [](const auto& group) { return group.first; });
    found == groups.end() ? void(groups.push_back({key, {i}})) : found->second.push_back(i);
  }
  std::vector<Overview> out;
  for (auto& [key, places] : groups)
    if (places.size() > 1) {
      Overview overview = overview_of(settings, std::get<0>(key), std::move(places));
      if (!overview.mean.points.empty()) out.push_back(std::move(overview));
    }
  return out;
}

std::vector<TaskTable> task_tables(const Aggregate& all, const Overview& overview) {
  TaskTable empty;
  for (const std::size_t place : overview.settings)
    empty.tasks.push_back(all.settings[place].task.substr(overview.benchmark.size() + 1));
  const auto row_of = [&](const PointSummary& mean) {
    TaskTable::Row row{&mean, {}};
    for (const std::size_t place : overview.settings)
      row.tasks.push_back(task_point(all.settings[place], mean));
    return row;
  };
  std::map<std::pair<std::string, double>, TaskTable> tables;  // by unit, budget
  for (const PointSummary& point : overview.mean.points) {
    if (point.is_full()) {
      empty.rows.push_back(row_of(point));  // it stands before the others
      continue;
    }
    TaskTable& table = tables.try_emplace({point.budget_unit, point.budget}, empty).first->second;
    table.budget = budget_label(point.budget_unit, point.budget);
    table.rows.push_back(row_of(point));
  }
  std::vector<TaskTable> out;
  for (auto& [key, table] : tables) out.push_back(std::move(table));
  return out;
}

TaskCell cell_of(const Aggregate& all, const Overview& overview, const TaskTable& table, std::size_t row,
                 std::size_t column) {
  const auto score = [&](const TaskTable::Row& of) {
    const bool mean = column == overview.settings.size();
    return main_score(mean ? overview.mean : all.settings[overview.settings[column]],
                      mean ? *of.mean : *of.tasks[column]);
  };
  const auto own = score(table.rows[row]);
  if (!own) return {};
  if (table.rows[row].mean->is_full()) return {own->mean};
  bool beaten = false, beats = false;
  for (const TaskTable::Row& other : table.rows)
    if (const auto printed = score(other); printed && !other.mean->is_full()) {
      beaten |= std::stod(printed->mean) > std::stod(own->mean);
      beats |= std::stod(printed->mean) < std::stod(own->mean);
    }
  return {own->mean, beats && !beaten};
}

ToldApart told_apart(const Setting& setting) {
  ToldApart out;
  for (const PointSummary& a : setting.points)
    for (const PointSummary& b : setting.points) {
      if (&a >= &b || a.is_full() || a.budget_unit != b.budget_unit || a.budget != b.budget) continue;
      const auto x = a.scores.find(setting.main_score), y = b.scores.find(setting.main_score);
      if (x == a.scores.end() || y == b.scores.end() || !a.fidelity || !b.fidelity) continue;
      ++out.pairs;
      out.by_score += apart(x->second.mean, y->second.mean);
      out.by_kl += apart(a.fidelity->kl, b.fidelity->kl);
    }
  return out;
}

std::string told_apart_text(const Setting& setting) {
  const ToldApart told = told_apart(setting);
  if (told.pairs == 0) return "";
  return fmt::format(
      "Of {} pairs of policies at one budget the score tells {} apart and fidelity (KL) {}, by 95 % "
      "intervals that do not overlap{}.",
      told.pairs, told.by_score, told.by_kl,
      told.by_kl > told.by_score ? ": here fidelity discriminates more than the score" : "");
}

}  // namespace evictbench
