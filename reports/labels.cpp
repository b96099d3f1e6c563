#include "reports/labels.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>
#include <utility>

#include "reports/json_text.h"

namespace evictbench {
namespace {

// "snapkv{kernel=7,window=32}" -> {"kernel=7", "window=32"}; commas inside inner braces do not cut.
std::set<std::string> options_of(const std::string& policy) {
  std::set<std::string> options;
  const std::size_t open = policy.find('{');
  if (open == policy.npos || !policy.ends_with('}')) return options;
  std::string option;
  int depth = 0;
  for (std::size_t i = open + 1; i < policy.size(); ++i) {
    const char c = policy[i];
    const bool last = i + 1 == policy.size();
    if (last || (c == ',' && depth == 0)) {
      if (!option.empty()) options.insert(std::exchange(option, ""));
      continue;
    }
    depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
    option += c;
  }
  return options;
}

// Policies that differ in their options alone.
std::map<std::string, std::set<std::string>> policies_by_name(const Aggregate& all) {
  std::map<std::string, std::set<std::string>> by_name;
  for (const Setting& setting : all.settings)
    for (const PointSummary& point : setting.points) by_name[point.policy_name].insert(point.policy);
  return by_name;
}

// "headkv (beta), snapkv (kernel, window)"
std::string compared_label(const Aggregate& all) {
  std::vector<std::string> parts;
  for (const auto& [name, policies] : policies_by_name(all)) {
    std::set<std::string> keys;
    for (const std::string& policy : policies)
      if (const auto found = all.compared.find(policy); found != all.compared.end())
        keys.insert(found->second.begin(), found->second.end());
    if (!keys.empty()) parts.push_back(fmt::format("{} ({})", name, fmt::join(keys, ", ")));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

// The name, and the options that not all policies of this name share.
std::string distinct_label(const std::string& name, const std::string& policy,
                           const std::set<std::string>& namesakes) {
  std::string label = name;
  for (const std::string& option : options_of(policy)) {
    const auto has = [&](const std::string& other) { return options_of(other).contains(option); };
    if (!std::all_of(namesakes.begin(), namesakes.end(), has)) label += " " + option;
  }
  return label;
}

// "adakv 64 (40 of 40), every policy at 512 (10 of 40)": the points where `count` is not 0.
std::string points_where(const Aggregate& all, const Setting& setting, std::size_t PointSummary::*count) {
  std::map<std::tuple<std::string, double, std::string>, std::vector<const PointSummary*>> alike;
  std::map<std::pair<std::string, double>, std::size_t> points_at;
  for (const PointSummary& point : setting.points) {
    ++points_at[{point.budget_unit, point.budget}];
    const std::string share = fmt::format("({} of {})", point.*count, point.records.size());
    if (point.*count > 0) alike[{point.budget_unit, point.budget, share}].push_back(&point);
  }
  std::vector<std::string> parts;
  for (const auto& [key, points] : alike) {
    const auto& [unit, budget, share] = key;
    if (points.size() > 1 && points.size() == points_at[{unit, budget}])
      parts.push_back(fmt::format("every policy at {} {}", budget_label(unit, budget), share));
    else
      for (const PointSummary* point : points) parts.push_back(point_label(all, *point) + " " + share);
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::vector<std::string> notes_on(const Aggregate& all, const Setting& setting) {
  std::vector<std::string> notes;
  const auto note = [&](const char* what, std::size_t PointSummary::*count) {
    if (const std::string points = points_where(all, setting, count); !points.empty())
      notes.push_back(fmt::format("{}: {}.", what, points));
  };
  note("examples failed", &PointSummary::failed);
  note("more was kept than was asked", &PointSummary::overspent);
  note("the budget held the whole prompt, nothing was evicted", &PointSummary::unevicted);
  note("no full-cache answer to be paired with", &PointSummary::unpaired);
  note("leakage, a score file was measured on examples that are scored here", &PointSummary::leaked);
  if (setting.full() == nullptr)
    notes.push_back("the full cache was not run, so no difference to it is given.");
  const auto has_main = [&](const PointSummary& point) { return point.scores.contains(setting.main_score); };
  if (std::none_of(setting.points.begin(), setting.points.end(), has_main))
    notes.push_back(fmt::format("no record holds the score '{}'.", setting.main_score));
  return notes;
}

// Without the parts that are the same in all settings.
std::string short_label(const Aggregate& all, const Setting& setting) {
  const auto differs = [&](std::string Setting::*part) {
    return std::any_of(all.settings.begin(), all.settings.end(),
                       [&](const Setting& other) { return other.*part != setting.*part; });
  };
  std::string label = setting.task;
  if (differs(&Setting::question)) label += ", question " + setting.question;
  if (differs(&Setting::first_token)) label += ", first token " + setting.first_token;
  return differs(&Setting::compute) ? label + ", " + setting.compute : label;
}

}  // namespace

std::string setting_label(const Setting& s) {
  return fmt::format("{}, question {}, first token {}, {}", s.task, s.question, s.first_token, s.compute);
}

std::string bytes_label(double bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  for (; bytes >= 1024 && unit < 4; ++unit) bytes /= 1024;
  return fmt::format("{:.{}f} {}", bytes, unit == 0 || bytes >= 100 ? 0 : bytes >= 10 ? 1 : 2, kUnits[unit]);
}

std::string share_label(double share) { return fmt::format("{:.{}f} %", 100 * share, share < 0.01 ? 2 : 1); }

std::string count_label(double entries) {
  const std::string digits = fmt::format("{:.0f}", std::abs(entries));
  std::string grouped = entries <= -0.5 ? "-" : "";
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) grouped += ',';
    grouped += digits[i];
  }
  return grouped;
}

std::string budget_label(const std::string& unit, double budget) {
  if (unit == "full") return "full";
  if (unit == "bytes") return bytes_label(budget);
  if (unit == "ratio") return fmt::format("{:.6g} %", 100 * budget);
  return fmt::format("{:.10g}", budget);
}

std::string point_label(const Aggregate& all, const PointSummary& point) {
  if (point.is_full()) return "full";
  return all.labels.at(point.policy) + " at " + budget_label(point.budget_unit, point.budget);
}

std::map<std::string, std::string> policy_labels(const Aggregate& all) {
  std::map<std::string, std::string> labels;
  for (const auto& [name, policies] : policies_by_name(all)) {
    std::set<std::string> used;
    for (const std::string& policy : policies) {
      const std::string label = distinct_label(name, policy, policies);
      const bool alone = used.insert(label).second;
      labels[policy] = (alone ? label : policy) + (all.compared.contains(policy) ? "*" : "") +
                       (leaks(all, policy) ? " (leak)" : "");
    }
  }
  return labels;
}

std::map<std::string, std::vector<std::string>> compared_options(const Aggregate& all) {
  const auto key_of = [](const std::string& option) { return option.substr(0, option.find('=')); };
  std::map<std::string, std::vector<std::string>> compared;
  for (const auto& [name, policies] : policies_by_name(all)) {
    std::map<std::string, std::set<std::string>> values;  // of each option
    for (const std::string& policy : policies)
      for (const std::string& option : options_of(policy)) values[key_of(option)].insert(option);
    for (const std::string& policy : policies)
      for (const std::string& option : options_of(policy))
        if (values[key_of(option)].size() > 1) compared[policy].push_back(key_of(option));
  }
  return compared;
}

bool leaks(const Aggregate& all, const std::string& policy) {
  return std::ranges::any_of(all.settings, [&](const Setting& setting) {
    return std::ranges::any_of(setting.points, [&](const PointSummary& point) {
      return point.policy == policy && point.leaked > 0;
    });
  });
}

std::vector<std::string> notes_on(const Aggregate& all) {
  std::vector<std::string> texts;
  std::map<std::string, std::vector<std::string>> settings_of;  // text -> where it holds
  for (const Setting& setting : all.settings)
    for (const std::string& text : notes_on(all, setting)) {
      if (!settings_of.contains(text)) texts.push_back(text);
      settings_of[text].push_back(short_label(all, setting));
    }
  std::vector<std::string> notes;
  if (const std::string compared = compared_label(all); !compared.empty())
    notes.push_back("* options compared on the scored data: " + compared +
                    ". The best of them is known from these figures alone, which flatter it.");
  for (const std::string& text : texts) {
    const auto& where = settings_of.at(text);
    const bool everywhere = where.size() == all.settings.size() && where.size() > 1;
    notes.push_back((everywhere ? "All settings" : fmt::format("{}", fmt::join(where, "; "))) + ": " + text);
  }
  return notes;
}

}  // namespace evictbench
