// The side of RaggedCache that decode rules meet: a live sequence shown as an observation, and replaced.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/ragged_cache.h"

namespace evictbench {
namespace {

// The slots of a lane, base before tail: where each comes from.
struct Slots {
  std::vector<std::int32_t> base, tail;  // entries of the runs
};

Slots slots_of(const LaneView& lane) {
  Slots slots;
  for (std::int32_t e = 0; e < lane.base.entries; ++e)
    if (lane.base.has(e)) slots.base.push_back(e);
  for (std::int32_t e = 0; e < lane.tail.entries; ++e) slots.tail.push_back(e);
  return slots;
}

}  // namespace

void RaggedCache::accumulate(const AttentionRow& row) {
  Sequence& s = at(row.point);
  require(!s.mass.empty(), "ragged cache: the prefill collected no column sums");
  auto& mass = s.mass[static_cast<std::size_t>(row.layer * shape(row.point).q_heads + row.head)];  // [slots]
  mass.resize(std::max(mass.size(), row.probabilities.size()));
  for (std::size_t i = 0; i < row.probabilities.size(); ++i) mass[i] += row.probabilities[i];
}

Observation::Parts RaggedCache::observe(int point) const {
  const Sequence& s = at(point);
  const KvShape& shape = s.snapshot->shape();
  const int D = shape.head_dim, lanes = shape.layers * s.heads;
  Device& device = s.tail.keys.device();
  std::vector<Slots> slots;        // [lanes]
  std::vector<GatherTask> copies;  // [lanes]
  int T = 0;
  for (int lane = 0; lane < lanes; ++lane) {
    slots.push_back(slots_of(lane_view(s, lane)));
    T = std::max(T, static_cast<int>(slots.back().base.size() + slots.back().tail.size()));
  }

  Observation::Parts live;
  live.shape = shape;
  live.shape.kv_heads = s.heads;
  live.shape.tokens = T;
  live.prompt_hash = s.snapshot->observation.prompt_hash();
  live.cache = DenseKv(device, shape.layers, s.heads, T, D, shape.dtype);
  if (!s.bias.empty()) live.bias.resize(static_cast<std::size_t>(lanes) * static_cast<std::size_t>(T));
  for (int lane = 0; lane < lanes; ++lane) {
    const LaneView view = lane_view(s, lane);
    const Slots& from = slots[static_cast<std::size_t>(lane)];
    auto& positions = live.positions.emplace_back();
    for (const auto e : from.base) {
      if (!live.bias.empty() && view.base.bias)
        live.bias[static_cast<std::size_t>(lane) * static_cast<std::size_t>(T) + positions.size()] =
            view.base.bias[e];
      positions.push_back(view.base.positions[e]);
    }
    for (const auto e : from.tail) positions.push_back(view.tail.positions[e]);
    copies.push_back({{view.base.keys, view.base.values, from.base},
                      live.cache.lane_keys(lane),
                      live.cache.lane_values(lane),
                      {view.tail.keys, view.tail.values, from.tail}});
  }
  device.ops().gather(device, shape.dtype, D, copies);

  if (!s.mass.empty()) {
    const auto columns = static_cast<std::size_t>(T);
    std::vector<float> mass(s.mass.size() * columns);  // [L, H, T]
    for (std::size_t row = 0; row < s.mass.size(); ++row)
      std::copy_n(s.mass[row].begin(), std::min(s.mass[row].size(), columns),
                  mass.begin() + static_cast<std::ptrdiff_t>(row * columns));
    live.given.emplace(Stat{Stat::kColumnSums},
                       Tensor::from_host<float>(device, mass, {shape.layers, shape.q_heads, T}));
  }
  return live;
}

void RaggedCache::replace(int point, const Kept& kept) {
  Sequence& s = at(point);
  const Observation live(observe(point));
  std::vector<GatherTask> copies;
  Sequence next = open(live, kept, s.next, s.room, /*in_place=*/false, mass_of(live), copies);
  live.device().ops().gather(live.device(), live.shape().dtype, live.shape().head_dim, copies);
  next.snapshot = s.snapshot;
  s = std::move(next);
}

void RaggedCache::renumber(int point, const MoveKeys& move) {
  Sequence& s = at(point);
  require(!s.in_place && s.tail_positions.empty(), "ragged cache: only a base of its own is numbered anew");
  const int D = shape(point).head_dim, lanes = static_cast<int>(s.lanes.size());
  Device& device = s.keys.device();
  s.next = 0;
  for (const BaseLane& base : s.lanes) s.next = std::max(s.next, base.entries);
  for (int lane = 0; lane < lanes; ++lane) {
    const BaseLane& base = s.lanes[static_cast<std::size_t>(lane)];
    const auto from =
        std::span(s.positions)
            .subspan(static_cast<std::size_t>(base.first_row), static_cast<std::size_t>(base.entries));
    std::vector<std::int32_t> to(from.size());
    std::iota(to.begin(), to.end(), s.next - base.entries);
    if (std::ranges::equal(from, to)) continue;
    Recipe all;
    for (std::int32_t entry = 0; entry < base.entries; ++entry) all.push({{entry}}, {{1.0f}});
    Tensor keys(device, DType::kF32, {base.entries, D}), values(device, DType::kF32, {base.entries, D});
    const std::ptrdiff_t first = std::ptrdiff_t{base.first_row} * D;
    device.ops().combine(device, s.keys.dtype(), s.keys.at(first), s.values.at(first), all, keys, values);
    move(lane / s.heads, from, to, keys);
    device.ops().put_rows(device, keys, values, s.keys.dtype(), s.keys.at(first), s.values.at(first));
    std::ranges::copy(to, from.begin());
  }
}

int RaggedCache::first_layer_not_finite(int point) const {
  const DenseKv& tail = at(point).tail;
  const auto layers = static_cast<std::size_t>(tail.layers());
  int first = tail.layers();
  for (const Tensor* rows : {&tail.keys, &tail.values}) {
    const std::vector<float> host = rows->to_floats();
    const auto bad = std::ranges::find_if_not(host, [](float x) { return std::isfinite(x); });
    if (bad != host.end())
      first = std::min(
          first, static_cast<int>(static_cast<std::size_t>(bad - host.begin()) / (host.size() / layers)));
  }
  return first;
}

}  // namespace evictbench
