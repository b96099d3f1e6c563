#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>

#include "tests/support/tiny_tokenizer.h"

namespace evictbench {

// A SentencePiece model in the dress of tokenizer.json.
inline nlohmann::json dressed_json() {
  nlohmann::json vocab = {{"<unk>", 0}, {"<s>", 1}, {"\u2581", 2},  {"a", 3},
                          {"b", 4},     {"ab", 5},  {"\u2581ab", 6}};
  for (unsigned b = 0; b < 256; ++b) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", b);
    vocab[name] = 7 + b;
  }
  const auto replace = [](const char* from, const char* to) -> nlohmann::json {
    return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
  };
  return {{"added_tokens", {added_token(0, "<unk>"), added_token(1, "<s>")}},
          {"normalizer",
           {{"type", "Sequence"},
            {"normalizers", {{{"type", "Prepend"}, {"prepend", "\u2581"}}, replace(" ", "\u2581")}}}},
          {"pre_tokenizer", nullptr},
          {"post_processor", nullptr},
          {"decoder",
           {{"type", "Sequence"},
            {"decoders",
             {replace("\u2581", " "),
              {{"type", "ByteFallback"}},
              {{"type", "Fuse"}},
              {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}}},
          {"model",
           {{"type", "BPE"},
            {"unk_token", "<unk>"},
            {"fuse_unk", true},
            {"byte_fallback", true},
            {"vocab", vocab},
            {"merges", {"a b", "\u2581 ab"}}}}};
}

}  // namespace evictbench
