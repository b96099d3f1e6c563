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

  TokenCounter counter() const;  // of plain text, by the checkpoint's tokenizer
  Prompt prompt_of(const Example& example) const;

  Sweep sweep;
  Checkpoint checkpoint;
  ChatTemplate chat;
  Plan plan;

 private:
  // Tokens of a prompt beside context, question and answer prefix: template, specials, separators.
  int overhead() const;
  void check_lengths() const;
};

}  // namespace evictbench
