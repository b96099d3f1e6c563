#pragma once

#include <string>
#include <vector>

#include "datasets/ruler_tasks.h"
#include "datasets/warning.h"

// RULER's files as programs hand them on, one of a task at a length each:
//   <task>.jsonl or <task>/validation.jsonl, in a folder of their length ("4096") or in none
// Fields: input, outputs, and answer_prefix in newer files, which may stand at the end of the input as well.
namespace evictbench {

struct RulerFile {
  std::vector<RulerText> records;
  bool wrapped = false;   // inputs begin with a chat template of some model
  bool prefixed = false;  // the answer prefix is known apart
  std::vector<Warning> warnings;
};

std::vector<int> ruler_lengths(
    const std::string& folder);  // that there is a task of, ascending; 0: without a folder
std::string ruler_path(const std::string& folder, int length, const RulerTask& task);  // "": none

// What is not whole, lacks a field or asks nothing is an Error (exit 4, E-RL-..).
RulerFile read_ruler(const std::string& path, const RulerTask& task);

std::string how_to_get_ruler();

}  // namespace evictbench
