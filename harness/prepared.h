#pragma once

#include <string>
#include <utility>
#include <vector>

#include "harness/plan.h"
#include "harness/score_files.h"
#include "harness/sweep.h"
#include "models/checkpoint.h"

namespace evictbench {

// A sweep with its checkpoint opened and its plan made. No weight is loaded; where a score file has a sidecar, the
// checkpoint's files are hashed.
struct Prepared {
  explicit Prepared(Sweep resolved);
  Prepared(const std::string& sweep_file, const std::vector<std::string>& overrides)
      : Prepared(load_sweep(sweep_file, overrides)) {}

  TokenCounter counter() const;  // by the checkpoint's tokenizer and template; not to outlive this
  Prompt prompt_of(const Example& example) const;
  DecodeLimits limits_of(const Example& example) const;  // how an answer to it ends
  // What fidelity is measured along, of this example and its prompt.
  Continuation continuation_of(const Example& example, const Prompt& prompt) const;
  // Of the checkpoint's files. Reads all of them, once.
  const std::vector<std::pair<std::string, std::string>>& digests() const;

  Sweep sweep;
  Checkpoint checkpoint;
  ChatTemplate chat;
  Plan plan;
  std::vector<CheckedScores> scores;  // of the points' score files

 private:
  void check_lengths() const;
  void check_references() const;  // that fidelity has one to go along, if it needs one
  mutable std::vector<std::pair<std::string, std::string>> digests_;
};

}  // namespace evictbench
