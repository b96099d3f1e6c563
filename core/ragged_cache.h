#pragma once

#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/kept.h"
#include "core/ops.h"
#include "core/snapshot.h"

namespace evictbench {

// One row of attention, after the softmax: for head identification, decode rules and probes.
struct AttentionRow {
  int point, layer, head;
  std::int32_t position;  // of the query
  std::span<const float>
      probabilities;  // [slots], in slot order, on the host; 0 where the query does not look
};

// One sequence per point, from a snapshot of one prompt or of several. Each of its lanes is an immutable base, what the
// policy kept, and a private tail of new tokens.
class RaggedCache {
 public:
  // Copies of what was kept, bits over the snapshot, or whatever is cheaper for a point; nobody else can tell which.
  enum class Layout { kList, kMask, kEither };

  RaggedCache() = default;  // of no points
  RaggedCache(std::shared_ptr<const Snapshot> from, std::span<const Kept> kept, int feed_from, int room,
              Layout layout = Layout::kEither) {
    add(std::move(from), kept, feed_from, room, layout);
  }

  // A point for each of `kept`, behind those that are there; snapshots may differ in tokens, and in nothing else of their
  // shape. Base entries at or after `feed_from` are left out: those positions will be fed again. At most `room` will be.
  // Where this throws, nothing has changed.
  void add(std::shared_ptr<const Snapshot> from, std::span<const Kept> kept, int feed_from, int room,
           Layout layout = Layout::kEither);
  // A point leaves with all that it holds, its part in the snapshot too; those behind it move up by one.
  void drop(int point);

  // Does a point that keeps so many of the snapshot's rows read them where they are (kEither)?
  static bool aliases(std::int64_t kept, std::int64_t rows);

  const KvShape& shape(int point) const { return at(point).snapshot->shape(); }  // of what it came from
  int points() const { return static_cast<int>(sequences_.size()); }             // P
  int heads(int point) const { return at(point).heads; }  // lanes of a layer: G, or H in query-head units
  std::int32_t next_position(int point) const { return at(point).next; }

  // New tokens: reserve their places, store each layer's K and V in the tail, read the lane that a query head
  // attends to.
  int reserve(int point, int tokens);  // -> first new entry of every tail
  DenseKv& tail(int point) { return at(point).tail; }
  LaneView view(int point, int layer, int lane_head) const;  // lane_head in [0, heads(point))

  // The first layer whose new keys or values are not all numbers, or L: where a NaN came from.
  int first_layer_not_finite(int point) const;

  // For decode rules, on the host: add up attention, show the live cache, put another in its place.
  bool accumulates(int point) const { return !at(point).mass.empty(); }
  void accumulate(const AttentionRow& row);
  Observation::Parts observe(int point) const;
  void replace(int point, const Kept& kept);
  // Right behind a replace: entries of the base are numbered anew, without gaps, and the next token behind them. Keys are
  // moved there; where lanes differ in length, the shorter ones begin later.
  using MoveKeys = std::function<void(int layer, std::span<const std::int32_t> from,
                                      std::span<const std::int32_t> to, Tensor& keys)>;  // [n, D] in place
  void renumber(int point, const MoveKeys& move);

  std::int64_t base_entries(int point, int lane) const {
    return at(point).lanes[static_cast<std::size_t>(lane)].entries;
  }
  std::int64_t retained_bytes(int point) const;  // of the base's keys and values, as if it owned them
  std::size_t allocated_bytes(int point) const;  // all that this point owns, tails and padding included
  double logical_bytes(int point) const {
    return at(point).logical_bytes;
  }  // the base, as its codecs would store it

 private:
  struct BaseLane {
    int first_row = 0;  // in the base tensors; a multiple of the panel
    int entries = 0;
  };
  struct Sequence {
    std::shared_ptr<const Snapshot> snapshot;
    int heads = 0;
    int room = 0;                                  // new tokens at most
    bool in_place = false;                         // the base is the snapshot's own rows, seen through `mask`
    std::vector<std::vector<std::uint64_t>> mask;  // [lanes][T / 64] in place; empty: all are present
    std::vector<BaseLane> lanes;                   // [L * heads]
    Tensor keys;                                   // [rows / 16, D, 16] otherwise
    Tensor values;                                 // [rows, D]
    std::vector<float> bias;                       // [rows]; empty without blends
    std::vector<std::int32_t> positions;           // [rows]
    DenseKv tail;                                  // [L, heads, room, D]
    std::vector<std::int32_t> tail_positions;      // [new tokens], the same in every lane
    std::vector<std::vector<float>> mass;  // [L * H][slots] column sums, if the prefill collected them
    double logical_bytes = 0;
    std::int32_t next = 0;
  };
  // Column sums, [L, H, T] on the host; empty if there are none.
  static std::vector<float> mass_of(const Observation& from);
  static Sequence open(const Observation& from, const Kept& kept, std::int32_t feed_from, int room,
                       bool in_place, std::span<const float> mass, std::vector<GatherTask>& copies);
  static void open_lane(Sequence& sequence, const Observation& from, const Kept& kept, int lane,
                        std::int32_t feed_from, std::span<const float> mass);
  static void copy_lane(Sequence& sequence, const Observation& from, const Kept& kept, int lane,
                        std::vector<GatherTask>& copies);
  static void build_lane(Sequence& sequence, const Observation& from, const Kept& kept, int lane,
                         std::int32_t feed_from);
  static LaneView lane_view(const Sequence& sequence, int lane);
  Sequence& at(int point) { return sequences_.at(static_cast<std::size_t>(point)); }
  const Sequence& at(int point) const { return sequences_.at(static_cast<std::size_t>(point)); }

  std::vector<Sequence> sequences_;  // [P]
};

}  // namespace evictbench
