#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <random>
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

// Valid UTF-8 from all planes.
inline std::string random_text(std::mt19937& rng, int characters) {
  std::string out;
  for (int i = 0; i < characters; ++i) {
    const std::uint_fast32_t kind = rng() % 4, any = rng();
    const auto code = static_cast<unsigned>(kind == 0   ? any % 0x80
                                            : kind == 1 ? 0x80 + any % 0x780
                                            : kind == 2 ? 0x800 + any % 0xd000
                                                        : 0x10000 + any % 0x100000);
    const auto add = [&](unsigned byte) { out += static_cast<char>(byte); };
    if (code < 0x80) {
      add(code);
    } else if (code < 0x800) {
      add(0xc0 | code >> 6), add(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
      add(0xe0 | code >> 12), add(0x80 | (code >> 6 & 0x3f)), add(0x80 | (code & 0x3f));
    } else {
      add(0xf0 | code >> 18), add(0x80 | (code >> 12 & 0x3f)), add(0x80 | (code >> 6 & 0x3f)),
          add(0x80 | (code & 0x3f));
    }
  }
  return out;
}

}  // namespace evictbench
