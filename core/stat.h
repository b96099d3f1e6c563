#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/shape.h"

namespace evictbench {

enum class Reduction { kSum, kMax, kVariance, kEntropy };  // over the W rows of a window

// One table an observation can give: a number per (layer, head, slot).
struct Stat {
  enum Kind {
    kWindowAttention,  // [L, H, T] attention of the last W queries, softmax over all visible keys
    kColumnSums,       // [L, H, T] attention of all queries, summed; collected during prefill
    kKeyNorm,          // [L, G, T] |k|, after RoPE (rotation keeps it)
    kValueNorm,        // [L, G, T] |v|
  };
  Kind kind;
  int window = 0;  // W, for kWindowAttention
  Reduction reduction = Reduction::kSum;

  auto operator<=>(const Stat&) const = default;
};

// A second pass over the full cache, fed with tokens made from the prompt's (KVzip repeats it). Its table,
// [L, H, T], holds the most attention that any probe token paid to each prompt token.
struct Probe {
  std::string name;  // its identity: two policies that ask for the same name share the pass
  std::function<Tokens(std::span<const std::int32_t> prompt)> tokens;
};

// What prefill must collect for a policy.
struct Needs {
  std::vector<Stat> stats;
  std::vector<Probe> probes;

  void add(const Needs& other);  // union; stats by value, probes by name
};

}  // namespace evictbench
