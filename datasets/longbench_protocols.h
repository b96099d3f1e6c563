#pragma once

#include <span>
#include <string_view>

#include "datasets/dataset.h"
#include "datasets/longbench_tasks.h"

// How programs of the field run LongBench, one row each: the switches between the same texts and different numbers.
namespace evictbench {

struct LongBenchProtocol {
  std::string_view name, source;  // source: repository, file and commit that it was read in
  std::span<const PromptRules::Wrap> wraps;
  bool own_template = false;     // models that `wraps` does not name: in their own template; else bare
  bool wraps_plain = false;      // also the tasks that LongBench leaves out of any template
  bool wrap_before_cut = false;  // so that the cut counts, and may hit, the template
  bool in_parts = false;      // context | question | answer prefix; the cue of an input is its answer prefix
  bool cuts_context = false;  // from the end of the context instead of the middle of the prompt
  bool line_ends = true;      // honours the tasks' rule that a line feed ends an answer
  bool never_empty = false;   // no task's first token may end its answer; else those where a line feed does
  bool strips =
      false;         // leading white space of any kind, not line feeds alone, before the first line is scored
  int more_new = 0;  // answer tokens beyond the official ones
};

std::span<const LongBenchProtocol> longbench_protocols();

}  // namespace evictbench
