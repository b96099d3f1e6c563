#include "harness/feeding.h"

#include <algorithm>
#include <iterator>

namespace evictbench {
namespace {

bool adds_up(const DecodeRule* rule) {
  return rule != nullptr && std::ranges::count(rule->needs().stats, Stat{Stat::kColumnSums}) > 0;
}

std::size_t bytes_of(const Kept& kept, const KvShape& shape, int room) {
  const bool in_place = kept.selection.size() == std::int64_t{shape.lanes()} * shape.tokens &&
                        kept.blends.empty() && kept.codecs.empty();
  return cache_bytes(in_place ? 0 : kept.entries(), kept.selection.lanes(), shape, room);
}

}  // namespace

std::size_t cache_bytes(std::int64_t entries, std::int64_t lanes, const KvShape& shape, int room) {
  return static_cast<std::size_t>((entries + lanes * (room + 2 * kPanel)) * shape.entry_bytes());
}

Feed feed_of(const Prompt& example, const Protocol& protocol) {
  Tokens prompt = example.context;
  if (protocol.question == Protocol::Question::kAfter)
    return {prompt, example.question, static_cast<int>(prompt.size())};
  prompt.insert(prompt.end(), example.question.begin(), example.question.end());
  const int length = static_cast<int>(prompt.size());
  if (protocol.first_token == Protocol::FirstToken::kFull) return {prompt, {}, length};
  return {prompt, {prompt.back()}, length - 1};
}

Feeder::Feeder(const Prefilled& example, std::span<const Point> points, std::span<const Kept> kept, int room)
    : example_(example),
      points_(points),
      cache_(example.snapshot, kept, example.feed.from, room, example.limits.layout),
      fed_(points.size()) {
  for (const Point& point : points) {
    rules_.push_back(point.policy->decode_rule());
    masks_ = masks_ || !point.masked_heads.empty();
    sums_ = sums_ || adds_up(rules_.back().get());
  }
}

Tensor Feeder::feed(const std::vector<Tokens>& tokens, const std::function<void(const AttentionRow&)>& watch,
                    const std::function<void(int, const Tensor&)>& all_logits) {
  now_ = tokens;
  AttentionTap tap;
  if (masks_) tap.queries = [this](int layer, Tensor& queries) { mask_heads(layer, queries); };
  if (sums_ || watch)
    tap.row = [&](const AttentionRow& row) {
      tell(row);
      if (watch) watch(row);
    };
  const bool tapped = tap.row || tap.queries;
  return example_.model.extend(
      example_.device, cache_, tokens,
      {.tap = tapped ? &tap : nullptr, .all_logits = all_logits, .checkpoint = example_.checkpoint});
}

void Feeder::mask_heads(int layer, Tensor& queries) const {  // [N, H, D]
  const int H = queries.dim(1);
  const std::ptrdiff_t D = queries.dim(2);
  const std::size_t bytes = size_of(queries.dtype()) * static_cast<std::size_t>(D);
  std::ptrdiff_t row = 0;
  for (std::size_t p = 0; p < points_.size(); ++p)
    for (std::size_t i = 0; i < now_[p].size(); ++i, ++row)
      for (const int head : points_[p].masked_heads)
        if (head / H == layer) queries.device().zero(queries.at((row * H + head % H) * D), bytes);
}

void Feeder::tell(const AttentionRow& row) {
  if (adds_up(rules_[static_cast<std::size_t>(row.point)].get())) cache_.accumulate(row);
}

void Feeder::apply_rule(std::size_t p) {
  const int fed = static_cast<int>(now_[p].size()), before = fed_[p];
  fed_[p] += fed;
  DecodeRule* rule = rules_[p].get();
  if (rule == nullptr || fed_[p] / rule->every() == before / rule->every()) return;
  const int point = static_cast<int>(p);
  const Observation live(cache_.observe(point));
  const Kept kept = rule->decide(live, points_[p].budget(example_.shape()));
  kept.selection.check(live.lengths(kept.selection.heads()));
  cache_.replace(point, kept);
}

std::vector<std::vector<std::size_t>> groups_of(std::span<const std::size_t> bytes,
                                                const std::vector<std::size_t>& alive,
                                                std::size_t most_bytes) {
  std::vector<std::vector<std::size_t>> groups;
  std::size_t held = 0;
  for (const std::size_t p : alive) {
    if (groups.empty() || held + bytes[p] > most_bytes) {
      groups.emplace_back();
      held = 0;
    }
    groups.back().push_back(p);
    held += bytes[p];
  }
  return groups;
}

std::vector<std::vector<std::size_t>> batches_of(std::span<const Kept> kept,
                                                 const std::vector<std::size_t>& alive, const KvShape& shape,
                                                 int room, std::size_t most_bytes) {
  std::vector<std::size_t> bytes;  // [P]
  for (const Kept& one : kept) bytes.push_back(bytes_of(one, shape, room));
  return groups_of(bytes, alive, most_bytes);
}

std::vector<std::size_t> with_rule(std::span<const Point> points, const std::vector<std::size_t>& alive,
                                   bool rule) {
  std::vector<std::size_t> some;
  std::ranges::copy_if(alive, std::back_inserter(some),
                       [&](std::size_t p) { return (points[p].policy->decode_rule() != nullptr) == rule; });
  return some;
}

}  // namespace evictbench
