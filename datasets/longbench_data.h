#pragma once

#include <string>
#include <vector>

#include "datasets/longbench_tasks.h"
#include "datasets/warning.h"

// The official files: <task>.jsonl, of LongBench-E <task>_e.jsonl, in a folder or in data/ within it, as data.zip unpacks.
namespace evictbench {

struct LongBenchRecord {
  std::string id, context, input;
  std::vector<std::string> answers, classes;
  int length = 0;  // words, of Chinese text characters: as the file says it
};

struct LongBenchFile {
  std::vector<LongBenchRecord> records;
  std::vector<Warning> warnings;  // a number of lines that is not the official one, records of another task
};

std::string longbench_path(const std::string& folder, const LongBenchTask& task,
                           bool e);  // "" if there is none

// A line that is not whole, a field that is absent or of the wrong kind, an id twice: Errors (exit 4, E-LB-..).
LongBenchFile read_longbench(const std::string& path, const LongBenchTask& task, bool e);

std::string how_to_get_longbench();

}  // namespace evictbench
