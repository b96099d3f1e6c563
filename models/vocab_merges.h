#pragma once

#include <string>

#include "models/bpe_tokenizer.h"

namespace evictbench {

// The tokenizer of a folder that holds vocab.json and merges.txt, and no tokenizer.json: byte-level, of GPT-2 or Qwen2 as
// tokenizer_config.json says (without it: GPT-2), with the special tokens that it or special_tokens_map.json names.
// Errors E-TJ-.., exit 4.
BpeModel read_vocab_and_merges(const std::string& folder);

}  // namespace evictbench
