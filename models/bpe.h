#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "core/shape.h"

namespace evictbench {

// The merge rules of a byte-pair encoding. The rule of lowest rank is applied first, leftmost first among equals.
class BpeMerges {
 public:
  // Memory that calls share, so that a short piece allocates nothing.
  struct Workspace {
    struct Symbol {
      std::int32_t id, previous, next;  // `next` and `previous` are indices, -1 at the ends
      std::int32_t rank;                // of the rule for this symbol and the next; -1: none
      std::int32_t merged;              // what that rule makes
    };
    std::vector<Symbol> symbols;
    std::vector<std::uint64_t> queue;  // rank << 32 | index of the left symbol; a heap, least on top
  };

  void reserve(std::size_t rules) { rules_.reserve(rules); }
  bool add(std::int32_t left, std::int32_t right, std::int32_t rank,
           std::int32_t merged);  // false: known pair

  // Merges `piece` (at most 2^31 - 1 symbols) and appends the result to `out`. O(n log n).
  void apply(const Tokens& piece, Workspace& work, Tokens& out) const;

 private:
  struct Rule {
    std::int32_t rank, merged;
  };
  struct Hash {
    std::size_t operator()(std::uint64_t pair) const {
      pair *= 0x9e3779b97f4a7c15U;
      return static_cast<std::size_t>(pair ^ (pair >> 32));
    }
  };
  void watch(Workspace& work, std::int32_t at) const;

  std::unordered_map<std::uint64_t, Rule, Hash> rules_;  // key: left << 32 | right
};

}  // namespace evictbench
