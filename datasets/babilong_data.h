#pragma once

#include <string>
#include <vector>

#include "datasets/babilong_tasks.h"
#include "datasets/warning.h"

// BABILong's files, in the layouts that they go around in, of one task at one length ("1k") each:
//   <length>/<task>/data-*.arrow   as datasets.save_to_disk writes them
//   <length>/<task>.json(l)
//   <task>/<length>.json(l)        as the data set's repository has them, also in data/
namespace evictbench {

struct BabilongRecord {
  std::string input, question, target;
};

struct BabilongFile {
  std::vector<BabilongRecord> records;
  std::vector<Warning> warnings;  // targets that no answer can name
};

std::vector<std::string> babilong_lengths(const std::string& folder);  // that there is a task of, ascending
std::string babilong_path(const std::string& folder, const std::string& length,
                          const BabilongTask& task);  // "": none

// Thousands of tokens that a length stands for: "2k" is 2, "1M" 1000; -1: it is no length.
int babilong_thousands(const std::string& length);

// What is not whole, lacks a field or answers nothing is an Error (exit 4, E-BL-..).
BabilongFile read_babilong(const std::string& path, const BabilongTask& task);

std::string how_to_get_babilong();

}  // namespace evictbench
