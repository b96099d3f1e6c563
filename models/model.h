#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/ragged_cache.h"
#include "core/snapshot.h"

namespace evictbench {

// What watches attention during a pass.
struct AttentionTap {
  // Every row of attention, on the host; in a prefill the point is 0 and slots are prompt tokens. May be empty.
  std::function<void(const AttentionRow&)> row;
  // The post-RoPE queries of a layer, [N, H, D], before they are used; may rewrite them. May be empty.
  std::function<void(int layer, Tensor& queries)> queries;
  // In an extend of two points of which only the first is fed: its tokens enter the second point too, and its queries
  // attend to both. What the attention of a layer gives either way, behind the output projection, [N, C]; the pass goes
  // on with the first. May be empty.
  std::function<void(int layer, const Tensor& first, const Tensor& second)> outputs = {};
};

struct PassOptions {
  const AttentionTap* tap = nullptr;
  // Logits of every row fed, in pieces: rows first .. first + n of the batch, [n, V]. May be empty.
  std::function<void(int first, const Tensor& logits)> all_logits;
  std::function<void()> checkpoint;  // called between pieces of work; may throw to stop. May be empty.
};

// A decoder. It fills snapshots and reads caches; that anything was ever evicted is not its business.
class Model {
 public:
  virtual ~Model() = default;
  virtual KvShape shape(int tokens) const = 0;  // of the cache that a prompt of T tokens leaves
  virtual int vocabulary() const = 0;           // V

  // One full pass over the prompt, and one more for each probe. Ids must be in [0, V), at least one.
  virtual std::shared_ptr<const Snapshot> prefill(Device&, std::span<const std::int32_t> prompt, const Needs&,
                                                  const PassOptions& = {}) const = 0;

  // Feeds tokens[p] to point p, all points in one batch; a point may be fed nothing. -> logits of each fed point's
  // last token, [points fed, V], in order of points.
  virtual Tensor extend(Device&, RaggedCache&, std::span<const Tokens> tokens,
                        const PassOptions& = {}) const = 0;
};

}  // namespace evictbench
