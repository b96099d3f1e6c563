#include "harness/perplexity.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "core/logit_rows.h"
#include "core/numerics.h"
#include "harness/feeding.h"

namespace evictbench {
namespace {

constexpr std::size_t kRows = 256;  // rows of all points that are fed, and have logits, at a time
constexpr const char* kNotANumber = "a logit that is not a number";

// The rows of a piece of logits [n, V].
class LogitRows {
 public:
  explicit LogitRows(const Tensor& logits)
      : host_(logits.to_host<float>()), V_(static_cast<std::size_t>(logits.columns())) {}
  std::span<const float> row(std::size_t i) const { return std::span(host_).subspan(i * V_, V_); }

 private:
  std::vector<float> host_;
  std::size_t V_;
};

void add(Likelihood& to, std::span<const float> logits, std::int32_t token) {
  to.sum += negative_log_likelihood(logits, token);
  ++to.scored;
}

// What one pass over `fed` makes of next[first ..]: row i foretells next[i].
Likelihood one_pass(Device& device, const Model& model, std::span<const std::int32_t> fed,
                    std::span<const std::int32_t> next, std::size_t first,
                    const std::function<void()>& checkpoint) {
  Likelihood out;
  const auto hear = [&](int first_row, const Tensor& logits) {
    const LogitRows rows(logits);
    const auto begin = static_cast<std::size_t>(first_row), n = static_cast<std::size_t>(logits.rows());
    for (std::size_t i = 0; i < n; ++i)
      if (begin + i >= first && begin + i < next.size()) add(out, rows.row(i), next[begin + i]);
  };
  model.prefill(device, fed, {}, {.tap = nullptr, .all_logits = hear, .checkpoint = checkpoint});
  return out;
}

void check_finite(PointLikelihood& point) {
  if (point.error.empty() && !std::isfinite(point.likelihood.sum)) point.error = kNotANumber;
}

// Feeds a batch of points all that the example has for them, and hears what each makes of `next`, token by token.
void feed_batch(const Prefilled& example, std::span<const Point> points, std::span<const Kept> kept,
                const std::vector<std::size_t>& batch, bool ruled, std::span<const std::int32_t> next,
                std::span<PointLikelihood> out) {
  const std::span<const std::int32_t> fed(example.feed.tokens);
  const std::vector<Point> mine = picked(points, batch);
  Feeder feeder(example, mine, picked(kept, batch), static_cast<int>(fed.size()));
  const std::size_t P = batch.size(), most = ruled ? 1 : std::max<std::size_t>(1, kRows / P);
  for (std::size_t p = 0; p < P; ++p)
    out[batch[p]].bytes = feeder.cache().retained_bytes(static_cast<int>(p));
  for (std::size_t at = 0; at < fed.size();) {
    const auto piece = fed.subspan(at, std::min(most, fed.size() - at));
    const std::size_t n = piece.size();
    const auto hear = [&](int first, const Tensor& logits) {  // rows first .. of [P * n, V]
      const LogitRows rows(logits);
      for (std::size_t r = 0; r < static_cast<std::size_t>(logits.rows()); ++r) {
        const std::size_t row = static_cast<std::size_t>(first) + r;
        add(out[batch[row / n]].likelihood, rows.row(r), next[at + row % n]);
      }
    };
    feeder.feed(std::vector<Tokens>(P, Tokens(piece.begin(), piece.end())), {}, hear);
    for (std::size_t p = 0; p < P; ++p) try {
        feeder.apply_rule(p);
      } catch (const Error& error) {
        out[batch[p]].error = error.what();
      }
    at += n;
  }
  for (const std::size_t p : batch) check_finite(out[p]);
}

// After every token, what each policy keeps of the live cache takes its place.
void evict_live(RaggedCache& cache, std::span<const Point> points, const KvShape& shape,
                const KeyMover* slots) {
  for (std::size_t p = 0; p < points.size(); ++p) {
    const int point = static_cast<int>(p);
    const Observation live(cache.observe(point));
    const Budget budget = points[p].budget(shape);
    const Kept kept = points[p].policy->select(live, std::span(&budget, 1)).front();
    kept.selection.check(live.lengths(kept.selection.heads()));
    cache.replace(point, kept);
    if (slots) cache.renumber(point, std::cref(*slots));
  }
}

std::int64_t base_entries(const RaggedCache& cache, int point) {
  std::int64_t entries = 0;
  for (int lane = 0; lane < cache.shape(point).layers * cache.heads(point); ++lane)
    entries += cache.base_entries(point, lane);
  return entries;
}

// A batch of evicting points, token by token.
std::vector<PointLikelihood> stream(Device& device, const Model& model, std::span<const std::int32_t> ids,
                                    std::span<const Point> points, const KeyMover* slots,
                                    const std::function<void()>& checkpoint) {
  const Needs needs = needs_of(points, model.shape(1));
  const auto snapshot = model.prefill(device, ids.first(1), needs);
  const KvShape& shape = snapshot->shape();
  const std::vector<Kept> all(points.size(),
                              {Selection::everything(shape.layers, shape.kv_heads, 1), {}, {}});
  RaggedCache cache(snapshot, all, 1, /*room=*/1);
  AttentionTap tap;
  if (!needs.stats.empty())
    tap.row = [&](const AttentionRow& row) {
      if (cache.accumulates(row.point)) cache.accumulate(row);
    };
  std::vector<PointLikelihood> out(points.size());
  for (PointLikelihood& point : out) add(point.likelihood, snapshot->last_logits, ids[1]);
  for (std::size_t t = 1; t + 1 < ids.size(); ++t) {
    const LogitRows rows(model.extend(device, cache, std::vector<Tokens>(points.size(), {ids[t]}),
                                      {.tap = &tap, .all_logits = {}, .checkpoint = checkpoint}));
    for (std::size_t p = 0; p < out.size(); ++p) add(out[p].likelihood, rows.row(p), ids[t + 1]);
    evict_live(cache, points, shape, slots);
  }
  for (std::size_t p = 0; p < out.size(); ++p) {
    out[p].kept = base_entries(cache, static_cast<int>(p));
    out[p].bytes = cache.retained_bytes(static_cast<int>(p));
    check_finite(out[p]);
  }
  return out;
}

}  // namespace

double negative_log_likelihood(std::span<const float> logits, std::int32_t token) {
  const LogitRow row = survey(logits);
  return row.best < 0 ? std::numeric_limits<double>::quiet_NaN()
                      : row.log_sum - double{logits[static_cast<std::size_t>(token)]};
}

double Likelihood::perplexity() const {
  constexpr double kMost = 700;  // of numerics::exp
  return nll() < kMost ? numerics::exp(nll()) : std::numeric_limits<double>::infinity();
}

SlidingLikelihood sliding_likelihood(Device& device, const Model& model, std::span<const std::int32_t> ids,
                                     int window, int stride, const std::function<void()>& checkpoint) {
  require(ids.size() >= 2 && window >= 2 && stride >= 1 && stride <= window, "sliding: a bad window");
  const auto W = static_cast<std::size_t>(window), S = static_cast<std::size_t>(stride);
  SlidingLikelihood out;
  double weighed = 0, weight = 0;
  for (std::size_t begin = 0, done = 0; done < ids.size(); begin += S) {
    const auto piece = ids.subspan(begin, std::min(W, ids.size() - begin));
    const std::size_t end = begin + piece.size(), fresh = end - done;
    const std::size_t first = std::max<std::size_t>(1, piece.size() - fresh);  // to be scored
    const Likelihood one = one_pass(device, model, piece, piece.subspan(1), first - 1, checkpoint);
    out.all.sum += one.sum;
    out.all.scored += one.scored;
    if (one.scored > 0) weighed += one.nll() * static_cast<double>(fresh - 1);
    weight += static_cast<double>(fresh - 1);
    ++out.windows;
    done = end;
  }
  out.published = weighed / weight;
  return out;
}

Likelihood rolling_likelihood(Device& device, const Model& model, std::span<const std::int32_t> ids,
                              std::int32_t prefix, int window, const std::function<void()>& checkpoint) {
  require(window >= 1, "rolling: a bad window");
  const auto W = static_cast<std::size_t>(window);
  Tokens all{prefix};
  all.insert(all.end(), ids.begin(), ids.end());
  const std::span<const std::int32_t> text(all);
  Likelihood out;
  for (std::size_t done = 0; done < ids.size();) {
    const std::size_t end = std::min(done + W, ids.size()), begin = end - std::min(W, end);
    const Likelihood one = one_pass(device, model, text.subspan(begin, end - begin),
                                    text.subspan(begin + 1, end - begin), done - begin, checkpoint);
    out.sum += one.sum;
    out.scored += one.scored;
    done = end;
  }
  return out;
}

std::vector<PointLikelihood> evicted_likelihood(Device& device, const Model& model,
                                                std::span<const std::int32_t> ids, int prefill,
                                                std::span<const Point> points, const DecodeLimits& limits,
                                                const std::function<void()>& checkpoint) {
  const auto P = static_cast<std::size_t>(prefill);
  require(prefill >= 2 && P < ids.size(), "evicted: a bad length");
  const auto fed = ids.subspan(P - 1, ids.size() - P), next = ids.subspan(P);
  const Feed feed{Tokens(ids.begin(), ids.begin() + prefill), Tokens(fed.begin(), fed.end()), prefill - 1};
  const auto snapshot = model.prefill(device, feed.prompt, needs_of(points, model.shape(prefill)),
                                      {.tap = nullptr, .all_logits = {}, .checkpoint = checkpoint});
  const Prefilled example{device, model, snapshot, feed, limits, checkpoint};
  std::vector<std::string> errors;
  const std::vector<Kept> kept = select_all(points, snapshot->observation, errors);
  std::vector<PointLikelihood> out(points.size());
  std::vector<std::size_t> alive;
  for (std::size_t p = 0; p < points.size(); ++p) {
    out[p].kept = kept[p].entries();
    out[p].error = errors[p];
    if (errors[p].empty()) alive.push_back(p);
  }
  for (const bool ruled : {false, true})
    for (const auto& batch : batches_of(kept, with_rule(points, alive, ruled), example.shape(),
                                        static_cast<int>(fed.size()), limits.batch_bytes))
      feed_batch(example, points, kept, batch, ruled, next, out);
  return out;
}

std::vector<PointLikelihood> streaming_likelihood(Device& device, const Model& model,
                                                  std::span<const std::int32_t> ids,
                                                  std::span<const Point> points, const DecodeLimits& limits,
                                                  const KeyMover* slots,
                                                  const std::function<void()>& checkpoint) {
  require(ids.size() >= 2, "streaming: two ids or more");
  const KvShape shape = model.shape(static_cast<int>(ids.size()) - 1);
  const std::int64_t all = std::int64_t{shape.lanes()} * shape.tokens;
  std::vector<PointLikelihood> out(points.size());
  std::vector<std::size_t> evicting, bytes;
  for (std::size_t p = 0; p < points.size(); ++p) {
    const std::int64_t most = std::min(all, points[p].budget(shape).total(shape));
    bytes.push_back(cache_bytes(most, shape.lanes(), shape, 1));
    if (points[p].policy->evicts()) {
      evicting.push_back(p);
      continue;
    }
    out[p].likelihood = one_pass(device, model, ids, ids.subspan(1), 0, checkpoint);
    out[p].kept = all;
    out[p].bytes = all * shape.entry_bytes();
    check_finite(out[p]);
  }
  for (const auto& batch : groups_of(bytes, evicting, limits.batch_bytes)) {
    auto streamed = stream(device, model, ids, picked(points, batch), slots, checkpoint);
    for (std::size_t i = 0; i < batch.size(); ++i) out[batch[i]] = std::move(streamed[i]);
  }
  return out;
}

bool can_stream(const Policy& policy, const KvShape& shape) {
  const Needs needs = policy.needs(shape);
  return needs.probes.empty() && policy.heads(shape) == shape.kv_heads &&
         std::ranges::none_of(needs.stats,
                              [](const Stat& stat) { return stat.kind == Stat::kWindowAttention; });
}

}  // namespace evictbench
