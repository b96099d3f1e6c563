#pragma once

#include <cstdint>

#include "core/shape.h"

namespace evictbench {

// How much a policy may keep: the mean number of entries per lane, sinks and window included.
struct Budget {
  enum class Rule {
    kExact,      // every policy spends the same total, to the entry
    kPublished,  // a repository's own arithmetic; over- and under-spend are reported
  };
  double entries = 0;
  Rule rule = Rule::kExact;

  static Budget of_ratio(double kept, const KvShape& shape) { return {kept * shape.tokens}; }
  static Budget of_bytes(double bytes, const KvShape& shape) {
    return {bytes / shape.lanes() / static_cast<double>(shape.entry_bytes())};
  }

  // Entries of all lanes together. A total within a millionth of a whole number is that number: 0.9 of 1,000
  // tokens are 900, whatever the floating-point product says.
  std::int64_t total(const KvShape& shape) const {
    return static_cast<std::int64_t>(entries * shape.lanes() + 1e-6);
  }
};

}  // namespace evictbench
