#include "core/observation.h"

#include <algorithm>

#include "core/ops.h"

namespace evictbench {
namespace {

struct Rows {
  Tensor keys, values;  // [slots, D]
};

Rows pick(const DenseKv& cache, int lane, std::span<const std::int32_t> slots) {
  Recipe recipe;
  for (const std::int32_t slot : slots) recipe.push({{slot}}, {{1.0f}});
  Device& device = cache.keys.device();
  Rows rows;
  for (Tensor* t : {&rows.keys, &rows.values})
    *t = Tensor(device, DType::kF32, {static_cast<int>(slots.size()), cache.dim()});
  device.ops().combine(device, cache.dtype(), cache.lane_keys(lane), cache.lane_values(lane), recipe,
                       rows.keys, rows.values);
  return rows;
}

}  // namespace

Observation::Observation(Parts parts) : parts_(std::move(parts)), memo_(std::move(parts_.given)) {
  parts_.shape.dtype = parts_.cache.dtype();
  const std::size_t lists = parts_.positions.size();
  require(lists == 1 || lists == static_cast<std::size_t>(shape().lanes()),
          "observation: positions of every lane");
}

std::span<const std::int32_t> Observation::positions(int lane) const {
  return parts_.positions.size() == 1 ? parts_.positions[0]
                                      : parts_.positions.at(static_cast<std::size_t>(lane));
}

std::vector<std::int32_t> Observation::lengths(int heads) const {
  std::vector<std::int32_t> lengths;
  for (int row = 0; row < shape().layers * heads; ++row)
    lengths.push_back(static_cast<std::int32_t>(positions(row * shape().kv_heads / heads).size()));
  return lengths;
}

bool Observation::has(const Stat& stat) const {
  const std::scoped_lock lock(memo_mutex_);
  if (memo_.contains(stat)) return true;
  if (stat.kind == Stat::kWindowAttention)
    return !parts_.queries.empty() && std::min(stat.window, shape().tokens) <= parts_.queries.dim(2);
  return stat.kind == Stat::kKeyNorm || stat.kind == Stat::kValueNorm;
}

const Tensor& Observation::table(const Stat& stat) const {
  require(has(stat), "observation: a table that needs() did not ask for");
  const std::scoped_lock lock(memo_mutex_);
  if (!memo_.contains(stat)) compute(stat);
  return memo_.at(stat);
}

const Tensor& Observation::probe(const std::string& name) const {
  const auto it = parts_.probes.find(name);
  require(it != parts_.probes.end(), "observation: a probe that needs() did not ask for");
  return it->second;
}

Tensor Observation::keys(int lane, std::span<const std::int32_t> slots) const {
  return pick(parts_.cache, lane, slots).keys;
}

Tensor Observation::values(int lane, std::span<const std::int32_t> slots) const {
  return pick(parts_.cache, lane, slots).values;
}

void Observation::compute(const Stat& stat) const {
  const Ops& ops = device().ops();
  require(stat.kind != Stat::kColumnSums, "observation: column sums are collected during prefill");
  if (stat.kind == Stat::kKeyNorm) memo_.emplace(stat, ops.key_norms(device(), parts_.cache, shape().tokens));
  if (stat.kind == Stat::kValueNorm)
    memo_.emplace(stat, ops.value_norms(device(), parts_.cache, shape().tokens));
  if (stat.kind != Stat::kWindowAttention) return;
  std::vector<Reduction> reductions{stat.reduction};
  for (const Stat& other : parts_.wanted)
    if (other.kind == stat.kind && other.window == stat.window && !memo_.contains(other) &&
        !std::ranges::count(reductions, other.reduction))
      reductions.push_back(other.reduction);
  auto tables = ops.window_attention(device(), parts_.queries, parts_.log_sums, parts_.cache, parts_.forms,
                                     shape().tokens, stat.window, reductions);
  for (std::size_t i = 0; i < tables.size(); ++i)
    memo_.emplace(Stat{stat.kind, stat.window, reductions[i]}, std::move(tables[i]));
}

}  // namespace evictbench
