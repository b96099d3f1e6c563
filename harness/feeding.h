#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "harness/evaluate.h"

// How the points of one example are fed: what decoding, fidelity and perplexity share.
namespace evictbench {

// What is fed to every point before it answers, and where that begins.
struct Feed {
  Tokens prompt;  // prefilled
  Tokens tokens;  // then fed through each point's cache; empty: the snapshot's logits give the first token
  int from = 0;   // position of the first of them
};
Feed feed_of(const Prompt& example, const Protocol& protocol);

// One example after its prefill.
struct Prefilled {
  Device& device;
  const Model& model;
  std::shared_ptr<const Snapshot> snapshot;
  const Feed& feed;
  const DecodeLimits& limits;
  const std::function<void()>& checkpoint;
  bool alone =
      true;  // else other examples take memory too: where that runs out, OutOfMemory, and no point fails for it

  const KvShape& shape() const { return snapshot->shape(); }
};

// Whether an error of a point's policy or rule is that point's alone: a lost device is everybody's, and so is memory that
// runs out where there is not `alone` one example.
bool fails_alone(const Error& error, bool alone);

// Points that are fed together, a cache each: heads are masked and decode rules are asked as the points have it.
class Feeder {
 public:
  Feeder(Device& device, const Model& model, const std::function<void()>& checkpoint);  // of no points
  Feeder(const Prefilled& example, std::span<const Point> points, std::span<const Kept> kept, int room);
  Feeder(const Feeder&) = delete;  // its tap points into it

  // Points of this or another example, behind those that are there. At most `room` tokens will be fed to each.
  void add(const Prefilled& example, std::span<const Point> points, std::span<const Kept> kept, int room);
  // A point leaves with its cache; those behind it move up by one.
  void drop(std::size_t p);

  std::size_t points() const { return fed_.size(); }
  const RaggedCache& cache() const { return cache_; }

  // Feeds tokens[p] to point p -> logits of each fed point's last token, [points fed, V]. `watch` is told of rows of
  // attention, `all_logits` as in PassOptions; both may be empty.
  Tensor feed(const std::vector<Tokens>& tokens, const std::function<void(const AttentionRow&)>& watch = {},
              const std::function<void(int first, const Tensor& logits)>& all_logits = {});
  // After a feed: the decode rule of point p, whenever another `every()` tokens have been fed. May throw.
  void apply_rule(std::size_t p);

 private:
  struct Fed {
    Point point;
    KvShape shape;                     // of its prompt
    std::unique_ptr<DecodeRule> rule;  // null where nothing happens while decoding
    bool sums = false;                 // it adds up attention
    std::size_t now = 0;               // tokens that are fed at present
    int before = 0;                    // and that were before
  };
  void mask_heads(int layer, Tensor& queries) const;

  Device& device_;
  const Model& model_;
  const std::function<void()>& checkpoint_;
  RaggedCache cache_;
  std::vector<Fed> fed_;  // [P]
};

// The points `alive`, in order, in groups whose `bytes` [P] fit together; at least one point in each.
std::vector<std::vector<std::size_t>> groups_of(std::span<const std::size_t> bytes,
                                                const std::vector<std::size_t>& alive,
                                                std::size_t most_bytes);
// Of a cache that keeps so many entries in all its lanes, and has room for new tokens.
std::size_t cache_bytes(std::int64_t entries, std::int64_t lanes, const KvShape& shape, int room);
std::size_t cache_bytes(const Kept& kept, const KvShape& shape, int room);  // nothing for what stays in place
// Groups whose caches fit together.
std::vector<std::vector<std::size_t>> batches_of(std::span<const Kept> kept,
                                                 const std::vector<std::size_t>& alive, const KvShape& shape,
                                                 int room, std::size_t most_bytes);

// Of the points `alive`, those whose cache a rule goes on evicting from, or those that have none. Given tokens are fed to
// the former one by one, as they decode, whoever else is there; to the latter in pieces.
std::vector<std::size_t> with_rule(std::span<const Point> points, const std::vector<std::size_t>& alive,
                                   bool rule);

// A part of `all` by index.
template <class T>
std::vector<T> picked(std::span<const T> all, std::span<const std::size_t> which) {
  std::vector<T> some;
  for (const std::size_t i : which) some.push_back(all[i]);
  return some;
}

}  // namespace evictbench
