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

Scores pick(const Scores& scores, std::span<const int> heads) {
  const int L = scores.shape.layers, T = scores.shape.tokens, k = static_cast<int>(heads.size()) / L;
  Device& device = scores.values.device();
  Scores out{scores.shape, Tensor(device, DType::kF32, {L, k, T}), {}};
  std::vector<std::int32_t> rows;  // [L * k]
  for (int row = 0; row < L * k; ++row) {
    rows.push_back(row / k * scores.heads() + heads[static_cast<std::size_t>(row)]);
    out.lengths.push_back(scores.lengths[static_cast<std::size_t>(rows.back())]);
  }
  device.ops().take_rows(device, scores.values, rows, out.values);
  return out;
}

Scores together(const Observation& seen, const Scores& scores) {
  const KvShape& s = scores.shape;
  Device& device = scores.values.device();
  const Tensor means =  // [L, 1, T]
      device.ops().reduce_heads(device, scores.values, 1, HeadReduce::kMean, Grouping::kContiguous);
  std::vector<std::int32_t> layers;  // [L * G]
  for (int lane = 0; lane < s.lanes(); ++lane) layers.push_back(lane / s.kv_heads);
  Tensor rows(device, DType::kF32, {s.layers, s.kv_heads, s.tokens});
  device.ops().take_rows(device, means, layers, rows);
  return {s, std::move(rows), seen.lengths(s.kv_heads)};
}

Scores weighed_sum(const Scores& a, float of_a, const Scores& b, float of_b) {
  Device& device = a.values.device();
  const auto scaled = [&](const Scores& scores, float factor) {
    Tensor out(device, DType::kF32, scores.values.dims());
    device.copy(out.data<float>(), scores.values.data<float>(), out.bytes());
    device.ops().scale(device, factor, out);
    return out;
  };
  Tensor sum = scaled(a, of_a);
  device.ops().add(device, scaled(b, of_b), sum);
  return with(a, std::move(sum));
}

std::vector<double> layer_sums(const Observation& seen, const Stat& stat, int window) {
  const Tensor& table = seen.table(stat);  // [L, H, T]
  Device& device = table.device();
  const int L = table.dim(0), H = table.dim(1), T = table.dim(2);
  const auto means =
      device.ops().reduce_heads(device, table, 1, HeadReduce::kMean, Grouping::kContiguous).to_host<float>();
  std::vector<double> sums;
  for (int layer = 0; layer < L; ++layer) {
    double sum = 0;
    for (int t = 0; t < T - window; ++t) sum += means[static_cast<std::size_t>(layer * T + t)];
    sums.push_back(sum * H);
  }
  return sums;
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
