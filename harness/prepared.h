#pragma once

#include <string>
#include <vector>

#include "harness/plan.h"
#include "harness/sweep.h"
#include "models/checkpoint.h"

namespace evictbench {

// A sweep with its checkpoint opened and its plan made; no weight is read.
struct Prepared {
  Prepared(const std::string& sweep_file, const std::vector<std::string>& overrides);

  TokenCounter counter() const;  // by the checkpoint's tokenizer and template; not to outlive this
  Prompt prompt_of(const Example& example) const;
  Tokens end_tokens_of(const Example& example) const;  // any of them ends an answer

  Sweep sweep;
  Checkpoint checkpoint;
  ChatTemplate chat;
  Plan plan;

 private:
  void check_lengths() const;
};

}  // namespace evictbench
