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
  std::unique_ptr<const Dataset> (*make)(const TaskOptions&);
};

const std::vector<DatasetEntry>& all_datasets();  // sorted by name

// The dataset that the option `name` asks for. An unknown name or key is an Error (exit 3) with the nearest one.
std::unique_ptr<const Dataset> make_dataset(const TaskOptions& options);

// The one line that puts a dataset in the catalogue:
//   const int entry = register_dataset({"niah", "...", {"exact"}, {"lengths"}, make});
int register_dataset(DatasetEntry entry);

}  // namespace evictbench
