#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "reports/aggregate.h"

// A benchmark of many tasks at one glance.
namespace evictbench {

// What stands before the last / of a task; "" where it belongs to no benchmark.
std::string benchmark_of(const std::string& task);

std::vector<Overview> overviews_of(const std::vector<Setting>& settings);

// The points of one budget: a column per task, and the mean.
struct TaskTable {
  struct Row {
    const PointSummary* mean;                // of the overview
    std::vector<const PointSummary*> tasks;  // [tasks]
  };
  std::string budget;              // as columns are headed
  std::vector<std::string> tasks;  // their names without the benchmark's
  std::vector<Row> rows;           // the full cache first, if it was run
};
std::vector<TaskTable> task_tables(const Aggregate& all, const Overview& overview);

// The score in a row's column (the mean after the last task), and whether it is the best of the policies there, as
// printed, and better than some.
struct TaskCell {
  std::string text;
  bool best = false;
};
TaskCell cell_of(const Aggregate& all, const Overview& overview, const TaskTable& table, std::size_t row,
                 std::size_t column);

// How well a measure discriminates: pairs of policies at one budget whose 95 % intervals do not overlap.
struct ToldApart {
  std::size_t pairs = 0, by_score = 0, by_kl = 0;
};
ToldApart told_apart(const Setting& setting);
std::string told_apart_text(
    const Setting& setting);  // a sentence on that, or "" where fidelity was not measured

}  // namespace evictbench
