#pragma once

#include <span>
#include <string>
#include <vector>

#include "harness/output_folder.h"
#include "harness/trials.h"

namespace evictbench {

// What one trial gave.
struct TrialRecord {
  std::string task, example;
  Tokens answer;
  std::string text;           // of the answer
  double recall = 0, f1 = 0;  // ROUGE-1 against the best reference
  HeadTotals totals;          // [L * H]
};

// trials.jsonl of an output folder: a line that says what is measured, then a line for each finished trial, in order,
// made durable one by one. The same command goes on behind the last whole line; a line that was cut off is dropped.
// Lines of another measurement are refused (exit 8), damaged ones too (exit 6).
class TrialJournal {
 public:
  TrialJournal(const OutputFolder& folder, const std::string& identity, std::span<const Trial> trials,
               std::size_t heads);

  const std::vector<TrialRecord>& records() const { return records_; }  // of the first trials
  void append(TrialRecord record);

 private:
  void read_back(const std::string& identity, std::span<const Trial> trials, std::size_t heads);
  void write(const std::string& line);

  const OutputFolder& folder_;
  std::string path_;
  Descriptor file_;
  std::vector<TrialRecord> records_;
};

}  // namespace evictbench
