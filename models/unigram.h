#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/shape.h"

namespace evictbench {

// A unigram language model over pieces of text: a text is cut so that the scores of its pieces add up to the most.
class Unigram {
 public:
  static constexpr std::size_t kMostPieceBytes = 512;  // bounds the work for each character

  // pieces: text (not empty, at most kMostPieceBytes) and score (a log probability) by id. Among equal texts the last
  // counts. unknown: -1 where the model has none; a text that needs it is then an Error of `file` (exit 4).
  Unigram(const std::vector<std::pair<std::string, double>>& pieces, std::int32_t unknown, bool byte_fallback,
          std::string file);

  void encode(std::string_view text, Tokens& out) const;  // valid UTF-8; appends

 private:
  std::int32_t find(std::string_view text) const;  // -1: no piece
  void spell_unknown(std::string_view text, Tokens& out) const;

  // A trie: node << 8 | byte leads to a node; node 0 is the root.
  std::unordered_map<std::uint64_t, std::uint32_t> edges_;
  struct End {
    std::int32_t id = -1;
    double score = 0;
  };
  std::vector<End> ends_;            // by node
  std::vector<std::int32_t> bytes_;  // [256] ids of byte pieces; empty without byte fallback
  double unknown_score_ = 0;
  std::int32_t unknown_;
  std::string file_;
};

}  // namespace evictbench
