#include "policies/stages.h"

namespace evictbench {
namespace {

const Ops& ops(const Scores& scores) { return scores.values.device().ops(); }

// The same rows with other numbers in them.
Scores with(const Scores& scores, Tensor values) { return {scores.shape, std::move(values), scores.lengths}; }

Scores from_table(const Observation& seen, const Tensor& table) {
  Device& device = table.device();
  Tensor copy(device, DType::kF32, table.dims());
  device.copy(copy.data<float>(), table.data<float>(), table.bytes());
  return {seen.shape(), std::move(copy), seen.lengths(table.dim(1))};
}

}  // namespace

Scores observe(const Observation& seen, const Stat& stat) { return from_table(seen, seen.table(stat)); }

Scores probe(const Observation& seen, const std::string& name) { return from_table(seen, seen.probe(name)); }

Scores negate(const Scores& scores) {
  return with(scores, ops(scores).negate(scores.values.device(), scores.values));
}

Scores group(const Scores& scores, HeadReduce how, Grouping grouping) {
  const int G = scores.shape.kv_heads, members = scores.heads() / G;
  Scores out{
      scores.shape, ops(scores).reduce_heads(scores.values.device(), scores.values, G, how, grouping), {}};
  for (std::size_t row = 0; row < scores.lengths.size(); row += static_cast<std::size_t>(members))
    out.lengths.push_back(scores.lengths[row]);
  return out;
}

Scores pool(const Scores& scores, Pool how, int kernel, int window) {
  require(kernel > 0 && kernel % 2 == 1, "pool: the kernel must be odd");
  return with(scores, ops(scores).pool(scores.values.device(), scores, how, kernel, window));
}

Ranking rank(const Scores& scores, Protect protect) {
  return {scores.shape, ops(scores).rank(scores.values.device(), scores, protect), scores.lengths, protect};
}

Selection take(const Ranking& ranking, const Shares& shares) {
  Device& device = ranking.order.device();
  const auto slots = device.ops().prefix(device, ranking.order, shares);
  Selection kept(ranking.shape.layers, ranking.heads());
  std::size_t first = 0;
  for (const std::int32_t share : shares) {
    kept.push_lane(std::span(slots).subspan(first, static_cast<std::size_t>(share)));
    first += static_cast<std::size_t>(share);
  }
  return kept;
}

}  // namespace evictbench
