#pragma once

#include <string>
#include <vector>

// What a folder of data holds, for people who are about to run on it.
namespace evictbench {

struct DataFinding {
  std::string what;   // "longbench hotpotqa"
  std::string state;  // "200 records"; empty where there is an error
  std::string error;  // the one line that a run would end with
  std::vector<std::string> warnings;
};

struct DataFolder {
  std::vector<DataFinding> found;    // benchmark by benchmark, in their own order
  std::vector<std::string> missing;  // of a benchmark that is there in part: what is not, and where to get it
  std::vector<std::string> unknown;  // names of data files that belong to none
};

// Reads every file that it knows: LongBench, LongBench-E, BABILong, RULER, summaries, stored answers, haystacks, a dictionary of Chinese words. A folder
// that is none, or holds nothing of the kind, is an Error (exit 4, E-DF-..).
DataFolder look_at_data(const std::string& folder);

}  // namespace evictbench
