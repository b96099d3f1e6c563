#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "models/tokenizer.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiktoken_to_json.h"

namespace evictbench {

// A byte-level tokenizer.json: id b is byte b, 256 on are " l", "he", "ll", "hell", "hello", " lo".
inline nlohmann::json tiny_tokenizer_json() {
  nlohmann::json vocab = nlohmann::json::object(), merges = nlohmann::json::array();
  for (int b = 0; b < 256; ++b) vocab[byte_level_spelling(std::string(1, static_cast<char>(b)))] = b;
  const std::vector<std::pair<std::string, std::string>> rules = {{" ", "l"},   {"h", "e"},    {"l", "l"},
                                                                  {"he", "ll"}, {"hell", "o"}, {" l", "o"}};
  for (const auto& [left, right] : rules) {
    vocab[byte_level_spelling(left + right)] = vocab.size();
    merges.push_back({byte_level_spelling(left), byte_level_spelling(right)});
  }
  return tiktoken::byte_level_json({{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}, nullptr);
}

inline nlohmann::json added_token(int id, const std::string& content, bool special = true) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", special}};
}

inline std::unique_ptr<const Tokenizer> load_tokenizer_json(const nlohmann::json& json) {
  const TempFolder folder;
  folder.write("tokenizer.json", json.dump());
  return load_tokenizer(folder.path());
}

inline std::unique_ptr<const Tokenizer> load_tokenizer_model(std::string_view bytes) {
  const TempFolder folder;
  folder.write("tokenizer.model", bytes);
  return load_tokenizer(folder.path());
}

}  // namespace evictbench
