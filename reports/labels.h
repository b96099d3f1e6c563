#pragma once

#include <map>
#include <string>
#include <vector>

#include "reports/aggregate.h"

// How things are called in every table and chart.
namespace evictbench {

std::string setting_label(const Setting& setting);  // "niah, question inside, first token evicted, f32"
std::string budget_label(const std::string& unit, double budget);          // "128", "25 %", "1.5 MiB", "full"
std::string bytes_label(double bytes);                                     // "1.5 MiB"
std::string share_label(double share);                                     // "6.3 %"
std::string count_label(double entries);                                   // "12,345" or "12.5"
std::string point_label(const Aggregate& all, const PointSummary& point);  // "snapkv at 128"

// Two marks follow a label: "*" where options were compared on the scored data, "(leak)" where a score file was measured
// on them. notes_on() explains both.
std::map<std::string, std::string> policy_labels(const Aggregate& all);
std::map<std::string, std::vector<std::string>> compared_options(const Aggregate& all);
bool leaks(const Aggregate& all, const std::string& policy);  // in any setting
std::vector<std::string> notes_on(const Aggregate& all);

}  // namespace evictbench
