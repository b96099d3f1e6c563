#pragma once

#include <cstdint>
#include <vector>

#include "core/dtype.h"

// Dimension letters, used in every shape comment of this repository:
//   L layers   H query heads   G KV heads   T prompt tokens   W window queries   D head dim
//   P points   N rows in a batch   C model dim   F feed-forward dim   V vocabulary
namespace evictbench {

using Tokens = std::vector<std::int32_t>;

struct KvShape {
  int layers = 0;             // L
  int q_heads = 0;            // H
  int kv_heads = 0;           // G
  int head_dim = 0;           // D
  int tokens = 0;             // T; of a live cache: the entries of its longest lane
  DType dtype = DType::kF32;  // of keys and values

  int group() const { return q_heads / kv_heads; }  // query heads that share one KV head, contiguous
  int lanes() const { return layers * kv_heads; }   // a lane is one (layer, KV head)
  std::int64_t entry_bytes() const {                // of a key and its value
    return 2 * static_cast<std::int64_t>(size_of(dtype)) * head_dim;
  }
  bool operator==(const KvShape&) const = default;
};

}  // namespace evictbench
