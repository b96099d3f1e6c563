#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "reports/aggregate.h"
#include "reports/record.h"

// Everything that is derived from records: same records in, in any order, same bytes out.
namespace evictbench {

struct ReportInput {
  std::vector<Record> records;
  // Shown in report.html alone, in this order: what ran (manifest), and what a clock or a memory mark said.
  std::vector<std::pair<std::string, std::string>> facts, timings;
  std::vector<std::string> warnings;  // must follow from the sweep and the records, never from the machine
  std::map<std::string, std::string> main_scores;  // task -> the score its tables and charts show
  std::map<std::string, std::string> references;   // "task/example" -> right answer, for the sample answers
  std::vector<Leak> leaks = {};
};

// File name and content: results.json, results.csv, results.md, results.tex, report.html.
std::vector<std::pair<std::string, std::string>> derived_files(const ReportInput& input);

}  // namespace evictbench
