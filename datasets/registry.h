#pragma once

#include <memory>
#include <string>
#include <vector>

#include "datasets/dataset.h"
#include "datasets/task_options.h"

namespace evictbench {

struct DatasetEntry {
  std::string name;                  // "niah", as in `tasks: - name: niah`
  std::string description;           // one line
  std::vector<std::string> metrics;  // names in all_metrics(); the main one first
  std::vector<std::string> keys;     // the options it reads, besides `name` and `id`
  std::unique_ptr<const Dataset> (*make)(const TaskOptions&) = nullptr;
  // In place of `make`, for a benchmark of several tasks: one dataset each, named "<id>/<task>".
  std::vector<std::unique_ptr<const Dataset>> (*make_several)(const TaskOptions&) = nullptr;
};

const std::vector<DatasetEntry>& all_datasets();  // sorted by name

// The datasets that the option `name` asks for. An unknown name or key is an Error (exit 3) with the nearest one.
std::vector<std::unique_ptr<const Dataset>> make_datasets(const TaskOptions& options);
std::unique_ptr<const Dataset> make_dataset(const TaskOptions& options);  // where it is one

// The one line that puts a dataset in the catalogue:
//   const int entry = register_dataset({"niah", "...", {"exact"}, {"lengths"}, make});
int register_dataset(DatasetEntry entry);

}  // namespace evictbench
