#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/io/json.h"
#include "models/added_tokens.h"
#include "models/bpe.h"
#include "models/normalizer.h"
#include "models/pretokenizer.h"
#include "models/token_table.h"
#include "models/tokenizer.h"
#include "models/unigram.h"

namespace evictbench {

// The bytes that `spelling` stands for in a byte-level vocabulary; nothing where a character of it is outside the alphabet.
std::optional<std::string> byte_level_bytes(std::string_view spelling);

// All that a tokenizer.json says about encoding.
struct BpeModel {
  TokenTable table;
  std::unordered_map<std::string, std::int32_t> pieces;  // the model's own tokens, by what they spell in text
  BpeMerges merges;
  std::optional<Unigram> unigram;  // stands in for the merges
  bool byte_level = false;         // merging starts from bytes, else from characters
  bool ignore_merges = false, byte_fallback = false, fuse_unknown = false;
  std::int32_t unknown = -1;

  AddedTokens added;
  std::vector<Normalization> normalization;
  std::string space_mark;          // what a normalized space turns into, if it does
  std::string prefix;              // goes in front of a text that does not begin with it
  bool prefix_first_only = false;  // of the text that comes first, not behind added tokens
  PreTokenizer pre_tokenizer;
  Tokens before, after;  // put around the text by add_special
};

std::unique_ptr<const Tokenizer> make_bpe_tokenizer(BpeModel model);

// tokenizer.json; errors E-TJ-.., exit 4.
BpeModel read_tokenizer_json(const Json& root);

}  // namespace evictbench
