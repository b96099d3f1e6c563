#pragma once

#include <string>
#include <vector>

#include "harness/line_journal.h"
#include "harness/plan.h"
#include "reports/ablation.h"

namespace evictbench {

// answers.jsonl of an output folder: what every finished example scored under every mask, so that an ablation that was
// stopped goes on. Lines of another ablation are refused (exit 8), damaged ones too (exit 6).
class AblationJournal {
 public:
  AblationJournal(const OutputFolder& folder, const std::string& identity, const Plan& plan,
                  std::size_t masks);

  const std::vector<Ablation::Example>& examples() const { return examples_; }  // the first of the plan
  void append(Ablation::Example example);

 private:
  const OutputFolder& folder_;
  LineJournal journal_;
  std::vector<Ablation::Example> examples_;
};

}  // namespace evictbench
