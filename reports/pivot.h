#pragma once

#include <optional>
#include <string>
#include <vector>

#include "reports/aggregate.h"

// The points of a setting as a table: a row per policy, a column per budget.
namespace evictbench {

struct Pivot {
  struct Column {
    std::string unit, label;
    double budget = 0;
  };
  struct Row {
    std::string policy, label;
    std::vector<const PointSummary*> points;  // per column; nullptr: not run
  };
  std::vector<Column> columns;
  std::vector<Row> rows;   // without the full cache
  std::string unit_label;  // over the columns: "entries per lane", "of the prompt", "", ...
};

Pivot pivot_of(const Aggregate& all, const Setting& setting);

// The main score of a point, as printed, 0 to 100; nothing where no example was answered.
struct Score {
  std::string mean;               // one decimal
  std::string half_width, range;  // of the interval: "4.1", "87–95"; "" where there is none
};
std::optional<Score> main_score(const Setting& setting, const PointSummary& point);

// 1 for the best main score among the column's rows, as printed, 2 for the next; ties share; else 0.
int rank_in_column(const Setting& setting, const Pivot& pivot, std::size_t row, std::size_t column);

}  // namespace evictbench
