#include "core/ragged_cache.h"

#include <algorithm>
#include <iterator>

namespace evictbench {
namespace {

constexpr Stat kMass{Stat::kColumnSums};

// From this share of the snapshot on, bits over it are cheaper than a copy: points that share rows read them from a
// near cache, which outweighs the work on rows that are absent (measured: tests/benchmarks/RESULTS.md).
constexpr double kMuch = 0.4;

struct Entry {  // one base entry: a kept slot, or a blend of several
  std::int32_t position = 0;
  float bias = 0;
  std::vector<std::int32_t> slots;
  std::vector<float> weights;
};

int source_lane(const Observation& from, const Selection& kept, int lane) {
  return lane * from.shape().kv_heads / kept.heads();
}

// How many kept slots of a lane stand before `feed_from`: what is fed again is left out.
std::size_t kept_before(const Observation& from, const Selection& kept, int lane, std::int32_t feed_from) {
  const auto positions = from.positions(source_lane(from, kept, lane));
  const auto slots = kept.lane(lane);
  return static_cast<std::size_t>(
      std::ranges::partition_point(
          slots, [&](std::int32_t slot) { return positions[static_cast<std::size_t>(slot)] < feed_from; }) -
      slots.begin());
}

// The base of one lane, ascending by position; a kept slot comes before a blend that stands at the same place.
std::vector<Entry> entries_of(const Observation& from, const Kept& kept, int lane, std::int32_t feed_from) {
  const int source = source_lane(from, kept.selection, lane);
  const auto positions = from.positions(source);
  const auto slots = kept.selection.lane(lane).first(kept_before(from, kept.selection, lane, feed_from));
  std::vector<Entry> entries;
  for (const std::int32_t slot : slots) {
    const auto row = static_cast<std::size_t>(source) * static_cast<std::size_t>(from.shape().tokens) +
                     static_cast<std::size_t>(slot);
    const float bias = from.bias().empty() ? 0 : from.bias()[row];
    entries.push_back({positions[static_cast<std::size_t>(slot)], bias, {slot}, {1.0f}});
  }
  for (const Blend& blend : kept.blends) {
    if (blend.lane != lane) continue;
    const std::int32_t place =
        blend.position.value_or(positions[static_cast<std::size_t>(blend.slots.back())]);
    entries.push_back({std::min(place, feed_from - 1), blend.bias, blend.slots, blend.weights});
  }
  std::ranges::stable_sort(entries, {}, &Entry::position);
  return entries;
}

bool plain(const Observation& from, const Kept& kept) {
  return kept.blends.empty() && kept.codecs.empty() && from.bias().empty();
}

bool alike(KvShape a, const KvShape& b) {
  a.tokens = b.tokens;
  return a == b;
}

std::vector<std::uint64_t> bits_of(std::span<const std::int32_t> slots, int tokens) {
  std::vector<std::uint64_t> bits(static_cast<std::size_t>(tokens + 63) / 64);
  for (const auto slot : slots) bits[static_cast<std::size_t>(slot) / 64] |= std::uint64_t{1} << (slot % 64);
  return bits;
}

}  // namespace

std::vector<float> RaggedCache::mass_of(const Observation& from) {
  return from.has(kMass) ? from.table(kMass).to_host<float>() : std::vector<float>{};
}

bool RaggedCache::aliases(std::int64_t kept, std::int64_t rows) {
  return static_cast<double>(kept) >= kMuch * static_cast<double>(rows);
}

void RaggedCache::add(std::shared_ptr<const Snapshot> from, std::span<const Kept> kept, int feed_from,
                      int room, Layout layout) {
  const Observation& all = from->observation;
  const KvShape& shape = all.shape();
  require(sequences_.empty() || alike(shape, this->shape(0)), "ragged cache: snapshots of different models");
  const std::vector<float> mass = mass_of(all);
  std::vector<GatherTask> copies;
  std::vector<Sequence> added;
  for (const Kept& k : kept) {
    const std::int64_t rows = std::int64_t{shape.lanes()} * shape.tokens;
    const bool much = aliases(static_cast<std::int64_t>(k.selection.size()), rows);
    const bool wanted = layout == Layout::kMask || (layout == Layout::kEither && much) ||
                        k.selection.size() == rows;  // nothing was evicted: nothing to copy
    const bool in_place = wanted && plain(all, k) && k.selection.heads() == shape.kv_heads;
    added.push_back(open(all, k, feed_from, room, in_place, mass, copies));
    added.back().snapshot = from;
  }
  all.device().ops().gather(all.device(), shape.dtype, shape.head_dim, copies);
  sequences_.insert(sequences_.end(), std::make_move_iterator(added.begin()),
                    std::make_move_iterator(added.end()));
}

void RaggedCache::drop(int point) {
  require(point >= 0 && point < points(), "ragged cache: no such point");
  sequences_.erase(sequences_.begin() + point);
}

RaggedCache::Sequence RaggedCache::open(const Observation& from, const Kept& kept, std::int32_t feed_from,
                                        int room, bool in_place, std::span<const float> mass,
                                        std::vector<GatherTask>& copies) {
  const KvShape& shape = from.shape();
  const int D = shape.head_dim, lanes = kept.selection.lanes();
  Device& device = from.device();
  Sequence s;
  s.heads = kept.selection.heads();
  s.room = room;
  s.in_place = in_place;
  s.next = feed_from;
  const DType dtype = shape.dtype;
  s.tail = DenseKv(device, shape.layers, s.heads, room, D, dtype);
  s.lanes.resize(static_cast<std::size_t>(lanes));
  if (!mass.empty()) s.mass.resize(static_cast<std::size_t>(shape.layers * shape.q_heads));
  for (int lane = 0; lane < lanes; ++lane) open_lane(s, from, kept, lane, feed_from, mass);
  if (in_place) return s;
  const int rows = static_cast<int>(s.positions.size());
  s.keys = Tensor(device, dtype, {rows / kPanel, D, kPanel});
  s.values = Tensor(device, dtype, {rows, D});
  for (int lane = 0; lane < lanes; ++lane)
    if (plain(from, kept))
      copy_lane(s, from, kept, lane, copies);
    else
      build_lane(s, from, kept, lane, feed_from);
  return s;
}

// What is known of a lane before its rows are: how many, where they stand, what they weigh.
void RaggedCache::open_lane(Sequence& s, const Observation& from, const Kept& kept, int lane,
                            std::int32_t feed_from, std::span<const float> mass) {
  const int D = from.shape().head_dim, T = from.shape().tokens;
  BaseLane& base = s.lanes[static_cast<std::size_t>(lane)];
  base.first_row = static_cast<int>(s.positions.size());
  if (plain(from, kept) && s.mass.empty()) {
    const auto positions = from.positions(source_lane(from, kept.selection, lane));
    base.entries = static_cast<int>(kept_before(from, kept.selection, lane, feed_from));
    if (!s.in_place)
      for (const auto slot : kept.selection.lane(lane).first(static_cast<std::size_t>(base.entries)))
        s.positions.push_back(positions[static_cast<std::size_t>(slot)]);
  } else {
    const int queries = from.shape().q_heads / s.heads;  // query heads that read this lane
    const std::vector<Entry> entries = entries_of(from, kept, lane, feed_from);
    base.entries = static_cast<int>(entries.size());
    for (const Entry& entry : entries) {
      s.positions.push_back(entry.position);
      if (!plain(from, kept)) s.bias.resize(s.positions.size()), s.bias.back() = entry.bias;
      for (int row = lane * queries; !s.mass.empty() && row < (lane + 1) * queries; ++row) {
        float sum = 0;
        for (const auto slot : entry.slots)
          sum += mass[static_cast<std::size_t>(row) * static_cast<std::size_t>(T) +
                      static_cast<std::size_t>(slot)];
        s.mass[static_cast<std::size_t>(row)].push_back(sum);
      }
    }
  }
  s.positions.resize(static_cast<std::size_t>(padded(static_cast<int>(s.positions.size()))));
  if (!s.bias.empty()) s.bias.resize(s.positions.size());
  const Codec* codec = kept.codecs.empty() ? nullptr : kept.codecs[static_cast<std::size_t>(lane)].get();
  s.logical_bytes += codec ? codec->logical_bytes(base.entries, D)
                           : static_cast<double>(base.entries * from.shape().entry_bytes());
  const bool all_present = kept.selection.size() == std::int64_t{kept.selection.lanes()} * T;
  if (s.in_place && !all_present) s.mask.push_back(bits_of(kept.selection.lane(lane), T));
}

void RaggedCache::copy_lane(Sequence& s, const Observation& from, const Kept& kept, int lane,
                            std::vector<GatherTask>& copies) {
  const BaseLane& base = s.lanes[static_cast<std::size_t>(lane)];
  const int source = source_lane(from, kept.selection, lane);
  const std::ptrdiff_t first = std::ptrdiff_t{base.first_row} * from.shape().head_dim;
  copies.push_back({{from.cache().lane_keys(source), from.cache().lane_values(source),
                     kept.selection.lane(lane).first(static_cast<std::size_t>(base.entries))},
                    s.keys.at(first),
                    s.values.at(first)});
}

// The slow way: rows are built one by one, because some are blends or pass through a codec.
void RaggedCache::build_lane(Sequence& s, const Observation& from, const Kept& kept, int lane,
                             std::int32_t feed_from) {
  const BaseLane& base = s.lanes[static_cast<std::size_t>(lane)];
  if (base.entries == 0) return;
  const int D = from.shape().head_dim, source = source_lane(from, kept.selection, lane);
  Device& device = from.device();
  Recipe recipe;
  for (const Entry& entry : entries_of(from, kept, lane, feed_from)) recipe.push(entry.slots, entry.weights);
  Tensor keys(device, DType::kF32, {base.entries, D}), values(device, DType::kF32, {base.entries, D});
  device.ops().combine(device, from.cache().dtype(), from.cache().lane_keys(source),
                       from.cache().lane_values(source), recipe, keys, values);
  const Codec* codec = kept.codecs.empty() ? nullptr : kept.codecs[static_cast<std::size_t>(lane)].get();
  if (codec) codec->round_trip(device, keys.data<float>(), values.data<float>(), base.entries, D);
  const std::ptrdiff_t first = std::ptrdiff_t{base.first_row} * D;
  device.ops().put_rows(device, keys, values, s.keys.dtype(), s.keys.at(first), s.values.at(first));
}

int RaggedCache::reserve(int point, int tokens) {
  Sequence& s = at(point);
  const int first = static_cast<int>(s.tail_positions.size());
  require(first + tokens <= s.room, "ragged cache: no room for more tokens");
  for (int i = 0; i < tokens; ++i) s.tail_positions.push_back(s.next++);
  return first;
}

LaneView RaggedCache::view(int point, int layer, int lane_head) const {
  const Sequence& s = at(point);
  return lane_view(s, layer * s.heads + lane_head);
}

LaneView RaggedCache::lane_view(const Sequence& s, int lane) {
  const BaseLane& base = s.lanes[static_cast<std::size_t>(lane)];
  const std::ptrdiff_t first = std::ptrdiff_t{base.first_row} * s.snapshot->shape().head_dim;
  LaneView view{.base = {},
                .tail = {.keys = s.tail.lane_keys(lane),
                         .values = s.tail.lane_values(lane),
                         .positions = s.tail_positions.data(),
                         .entries = static_cast<int>(s.tail_positions.size()),
                         .dtype = s.tail.dtype()}};
  if (s.in_place) {
    const Observation& all = s.snapshot->observation;
    const int fed =
        s.tail_positions.empty() ? s.next : s.tail_positions.front();  // the base ends before what was fed
    view.base = {.keys = all.cache().lane_keys(lane),
                 .values = all.cache().lane_values(lane),
                 .positions = all.positions(lane).data(),
                 .present = s.mask.empty() ? nullptr : s.mask[static_cast<std::size_t>(lane)].data(),
                 .entries = std::min(fed, s.snapshot->shape().tokens),
                 .dtype = all.cache().dtype()};
  } else {
    view.base = {.keys = s.keys.at(first),
                 .values = s.values.at(first),
                 .positions = s.positions.data() + base.first_row,
                 .bias = s.bias.empty() ? nullptr : s.bias.data() + base.first_row,
                 .entries = base.entries,
                 .dtype = s.keys.dtype()};
  }
  return view;
}

std::int64_t RaggedCache::retained_bytes(int point) const {
  std::int64_t rows = 0;
  for (const BaseLane& lane : at(point).lanes) rows += lane.entries;
  return rows * shape(point).entry_bytes();
}

std::size_t RaggedCache::allocated_bytes(int point) const {
  const Sequence& s = at(point);
  std::size_t bytes = s.tail.bytes() + s.keys.bytes() + s.values.bytes() + s.bias.size() * sizeof(float);
  for (const auto& words : s.mask) bytes += words.size() * sizeof words[0];
  return bytes;
}

}  // namespace evictbench
