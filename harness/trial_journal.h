#pragma once

#include <span>
#include <string>
#include <vector>

#include "harness/line_journal.h"
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

// The finished trials of an output folder, in trials.jsonl: a LineJournal. Damaged lines are refused (exit 6).
class TrialJournal {
 public:
  TrialJournal(const OutputFolder& folder, const std::string& identity, std::span<const Trial> trials,
               std::size_t heads);

  const std::vector<TrialRecord>& records() const { return records_; }  // of the first trials
  void append(TrialRecord record);

 private:
  const OutputFolder& folder_;
  LineJournal journal_;
  std::vector<TrialRecord> records_;
};

}  // namespace evictbench
