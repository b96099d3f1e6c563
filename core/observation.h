#pragma once

#include <map>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "core/forms.h"
#include "core/lane.h"
#include "core/shape.h"
#include "core/stat.h"
#include "core/tensor.h"

namespace evictbench {

// What a policy may look at: a cache's keys and values and every statistic of them. Of a snapshot, slot t of
// each lane is prompt token t; of a live cache a slot is whatever positions() says. Tables are computed when
// first asked for and kept, all in f32; none depends on which others were asked for. Safe to read from several threads.
class Observation {
 public:
  struct Parts {
    KvShape shape;                  // its type is the cache's
    std::uint64_t prompt_hash = 0;  // XXH3 of the prompt's ids
    DenseKv cache;                  // after RoPE; shorter lanes are padded
    Tensor queries;  // [L, H, Wmax, D] as the cache is, after RoPE, newest first; empty if no stat needs them
    Tensor log_sums;                   // [L, H, Wmax] log-sum-exp of the logits of each of them
    std::vector<AttentionForm> forms;  // [L], or empty: all of the plain form
    std::vector<std::vector<std::int32_t>> positions;  // [L * G][slots], or [1][T] shared by all lanes
    std::vector<float> bias;               // [L * G, T] of blended entries in a live cache, or empty
    std::vector<Stat> wanted;              // will be asked for: those of one window come from one pass
    std::map<Stat, Tensor> given;          // collected in passing, such as column sums [L, H, T]
    std::map<std::string, Tensor> probes;  // [L, H, T]
  };
  explicit Observation(Parts parts);
  // For the prefill that makes it; nobody else holds one that is not const.
  void add_probe(const std::string& name, Tensor table) { parts_.probes[name] = std::move(table); }

  const KvShape& shape() const { return parts_.shape; }
  Device& device() const { return parts_.cache.keys.device(); }
  std::uint64_t prompt_hash() const { return parts_.prompt_hash; }
  std::span<const std::int32_t> positions(int lane) const;  // [slots] ascending
  std::vector<std::int32_t> lengths(int heads) const;       // [L * heads] slots in use, heads = G or H

  bool has(const Stat& stat) const;             // given, or computable from what was kept
  const Tensor& table(const Stat& stat) const;  // throws if needs() did not ask for it
  const Tensor& probe(const std::string& name) const;

  const DenseKv& cache() const { return parts_.cache; }
  std::span<const float> bias() const { return parts_.bias; }        // [L * G, T] or empty
  Tensor keys(int lane, std::span<const std::int32_t> slots) const;  // f32 [slots, D], whatever the cache is
  Tensor values(int lane, std::span<const std::int32_t> slots) const;  // f32 [slots, D]

 private:
  void compute(const Stat& stat) const;  // into the memo, with what one pass gives beside it

  Parts parts_;
  mutable std::mutex memo_mutex_;
  mutable std::map<Stat, Tensor> memo_;  // nodes never move: references into it stay good
};

}  // namespace evictbench
