#include "harness/feeding.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "core/device_errors.h"

namespace evictbench {
namespace {

bool adds_up(const DecodeRule* rule) {
  return rule != nullptr && std::ranges::count(rule->needs().stats, Stat{Stat::kColumnSums}) > 0;
}

}  // namespace

std::size_t cache_bytes(std::int64_t entries, std::int64_t lanes, const KvShape& shape, int room) {
  return static_cast<std::size_t>((entries + lanes * (room + 2 * kPanel)) * shape.entry_bytes());
}

std::size_t cache_bytes(const Kept& kept, const KvShape& shape, int room) {
  const bool in_place = kept.selection.size() == std::int64_t{shape.lanes()} * shape.tokens &&
                        kept.blends.empty() && kept.codecs.empty();
  return cache_bytes(in_place ? 0 : kept.entries(), kept.selection.lanes(), shape, room);
}

bool fails_alone(const Error& error, bool alone) {
  if (dynamic_cast<const DeviceLost*>(&error) != nullptr) return false;
  return alone || dynamic_cast<const OutOfMemory*>(&error) == nullptr;
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

Feeder::Feeder(Device& device, const Model& model, const std::function<void()>& checkpoint)
    : device_(device), model_(model), checkpoint_(checkpoint) {}

Feeder::Feeder(const Prefilled& example, std::span<const Point> points, std::span<const Kept> kept, int room)
    : Feeder(example.device, example.model, example.checkpoint) {
  add(example, points, kept, room);
}

void Feeder::add(const Prefilled& example, std::span<const Point> points, std::span<const Kept> kept,
                 int room) {
  cache_.add(example.snapshot, kept, example.feed.from, room, example.limits.layout);
  for (const Point& point : points) {
    auto rule = point.policy->decode_rule();
    const bool sums = adds_up(rule.get());
    fed_.push_back({point, example.shape(), std::move(rule), sums});
  }
}

void Feeder::drop(std::size_t p) {
  cache_.drop(static_cast<int>(p));
  fed_.erase(fed_.begin() + static_cast<std::ptrdiff_t>(p));
}

Tensor Feeder::feed(const std::vector<Tokens>& tokens, const std::function<void(const AttentionRow&)>& watch,
                    const std::function<void(int, const Tensor&)>& all_logits) {
  for (std::size_t p = 0; p < fed_.size(); ++p) fed_[p].now = tokens[p].size();
  AttentionTap tap;
  if (std::ranges::any_of(fed_, [](const Fed& f) { return !f.point.masked_heads.empty(); }))
    tap.queries = [this](int layer, Tensor& queries) { mask_heads(layer, queries); };
  if (watch || std::ranges::any_of(fed_, [](const Fed& f) { return f.sums; }))
    tap.row = [&](const AttentionRow& row) {
      if (fed_[static_cast<std::size_t>(row.point)].sums) cache_.accumulate(row);
      if (watch) watch(row);
    };
  const bool tapped = tap.row || tap.queries;
  return model_.extend(device_, cache_, tokens,
                       {.tap = tapped ? &tap : nullptr, .all_logits = all_logits, .checkpoint = checkpoint_});
}

void Feeder::mask_heads(int layer, Tensor& queries) const {  // [N, H, D]
  const int H = queries.dim(1);
  const std::ptrdiff_t D = queries.dim(2);
  const std::size_t bytes = size_of(queries.dtype()) * static_cast<std::size_t>(D);
  std::ptrdiff_t row = 0;
  for (const Fed& fed : fed_)
    for (std::size_t i = 0; i < fed.now; ++i, ++row)
      for (const int head : fed.point.masked_heads)
        if (head / H == layer) queries.device().zero(queries.at((row * H + head % H) * D), bytes);
}

void Feeder::apply_rule(std::size_t p) {
  Fed& fed = fed_[p];
  const int before = fed.before;
  fed.before += static_cast<int>(fed.now);
  if (!fed.rule || fed.before / fed.rule->every() == before / fed.rule->every()) return;
  const int point = static_cast<int>(p);
  const Observation live(cache_.observe(point));
  const Kept kept = fed.rule->decide(live, fed.point.budget(fed.shape));
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
  for (const Kept& one : kept) bytes.push_back(cache_bytes(one, shape, room));
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
