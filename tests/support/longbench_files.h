#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "datasets/task_options.h"

namespace evictbench {

// A line of an official file; `changes` replaces fields, and removes those that it sets to null but for all_classes.
inline std::string longbench_line(const std::string& id,
                                  const nlohmann::json& changes = nlohmann::json::object()) {
  nlohmann::json record{
      {"input", "What?"},      {"context", "Some context."}, {"answers", {"this"}},    {"length", 2},
      {"dataset", "hotpotqa"}, {"language", "en"},           {"all_classes", nullptr}, {"_id", id}};
  for (const auto& [key, value] : changes.items()) {
    if (value.is_null() && key != "all_classes")
      record.erase(key);
    else
      record[key] = value;
  }
  return record.dump() + "\n";
}

// A line of stored answers.
inline std::string prediction_line(const nlohmann::json& changes = nlohmann::json::object()) {
  nlohmann::json record{{"pred", "this"}, {"answers", {"this"}}, {"all_classes", nullptr}, {"length", 2}};
  for (const auto& [key, value] : changes.items()) {
    if (value.is_null() && key != "all_classes")
      record.erase(key);
    else
      record[key] = value;
  }
  return record.dump() + "\n";
}

// Options as the sweep reader hands them over; every key stands on a line of its own, from 4 on.
inline TaskOptions longbench_options(const std::map<std::string, std::vector<std::string>>& keys) {
  TaskOptions task;
  task.file = "sweep.yaml";
  task.position = "3:5";
  int line = 4;
  for (const auto& [key, values] : keys) {
    const std::string at = std::to_string(line++);
    TaskOptions::Option option{{}, at + ":5", key == "tasks"};
    for (const std::string& value : values) option.values.push_back({value, at + ":20", false});
    task.options[key] = std::move(option);
  }
  return task;
}

}  // namespace evictbench
