#include "datasets/registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/error.h"

namespace evictbench {
namespace {

std::vector<DatasetEntry>& table() {
  static std::vector<DatasetEntry> entries;
  return entries;
}

}  // namespace

int register_dataset(DatasetEntry entry) {
  auto& entries = table();
  const auto at = std::ranges::lower_bound(entries, entry.name, {}, &DatasetEntry::name);
  require(at == entries.end() || at->name != entry.name, "a dataset is registered twice");
  entry.keys.insert(entry.keys.begin(), {"name", "id"});
  entries.insert(at, std::move(entry));
  return static_cast<int>(entries.size());
}

const std::vector<DatasetEntry>& all_datasets() { return table(); }

std::vector<std::unique_ptr<const Dataset>> make_datasets(const TaskOptions& options) {
  const std::string name = options.text("name");
  const auto found = std::ranges::find(table(), name, &DatasetEntry::name);
  if (found == table().end()) {
    std::vector<std::string> known;
    for (const DatasetEntry& entry : table()) known.push_back(entry.name);
    const std::string near = nearest(name, known);
    reject(
        Exit::kSweep,
        {"E-TK-07", options.file, options.position_of("name"),
         fmt::format("unknown task '{}'", printable(name)), fmt::format("one of {}", fmt::join(known, ", ")),
         near.empty() ? "see evictbench list tasks" : fmt::format("did you mean '{}'?", near)});
  }
  options.refuse_unknown(found->keys);
  if (found->make_several != nullptr) return found->make_several(options);
  std::vector<std::unique_ptr<const Dataset>> one;
  one.push_back(found->make(options));
  return one;
}

std::unique_ptr<const Dataset> make_dataset(const TaskOptions& options) {
  auto all = make_datasets(options);
  require(all.size() == 1, "a benchmark of several tasks where one was asked for");
  return std::move(all.front());
}

}  // namespace evictbench
