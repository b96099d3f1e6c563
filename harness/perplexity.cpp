#include "harness/perplexity.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/logit_rows.h"
#include "core/numerics.h"

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

// What one pass over `ids` makes of ids[first ..], first >= 1.
Likelihood one_pass(Device& device, const Model& model, std::span<const std::int32_t> ids, std::size_t first,
                    const std::function<void()>& checkpoint) {
  Likelihood out;
  const auto hear = [&](int first_row, const Tensor& logits) {  // row i foretells ids[i + 1]
    const LogitRows rows(logits);
    const auto begin = static_cast<std::size_t>(first_row), n = static_cast<std::size_t>(logits.rows());
    for (std::size_t i = 0; i < n; ++i)
      if (const std::size_t target = begin + i + 1; target >= first && target < ids.size())
        add(out, rows.row(i), ids[target]);
  };
  model.prefill(device, ids, {}, {.tap = nullptr, .all_logits = hear, .checkpoint = checkpoint});
  return out;
}

void check_finite(PointLikelihood& point) {
  if (!std::isfinite(point.likelihood.sum)) point.error = kNotANumber;
}

// Feeds ids[from ..) but the last through all points of the cache, and hears what each makes of the token behind.
void feed_all(Device& device, const Model& model, RaggedCache& cache, std::span<const std::int32_t> ids,
              std::size_t from, std::span<Likelihood> heard, const std::function<void()>& checkpoint) {
  const std::size_t P = heard.size(), most = std::max<std::size_t>(1, kRows / P);
  for (std::size_t at = from; at + 1 < ids.size();) {
    const std::size_t n = std::min(most, ids.size() - 1 - at);
    const auto piece = ids.subspan(at, n);
    const auto hear = [&](int first, const Tensor& logits) {  // rows first .. of [P * n, V]
      const LogitRows rows(logits);
      for (std::size_t r = 0; r < static_cast<std::size_t>(logits.rows()); ++r) {
        const std::size_t row = static_cast<std::size_t>(first) + r;
        add(heard[row / n], rows.row(r), ids[at + row % n + 1]);
      }
    };
    model.extend(device, cache, std::vector<Tokens>(P, Tokens(piece.begin(), piece.end())),
                 {.tap = nullptr, .all_logits = hear, .checkpoint = checkpoint});
    at += n;
  }
}

// After every token, what each policy keeps of the live cache takes its place.
void evict_live(RaggedCache& cache, std::span<const Point> points, const KvShape& shape) {
  for (std::size_t p = 0; p < points.size(); ++p) {
    const int point = static_cast<int>(p);
    const Observation live(cache.observe(point));
    const Budget budget = points[p].budget(shape);
    const Kept kept = points[p].policy->select(live, std::span(&budget, 1)).front();
    kept.selection.check(live.lengths(kept.selection.heads()));
    cache.replace(point, kept);
  }
}

std::int64_t base_entries(const RaggedCache& cache, int point) {
  std::int64_t entries = 0;
  for (int lane = 0; lane < cache.shape().layers * cache.heads(point); ++lane)
    entries += cache.base_entries(point, lane);
  return entries;
}

// The evicting points, token by token in one batch.
std::vector<PointLikelihood> stream(Device& device, const Model& model, std::span<const std::int32_t> ids,
                                    std::span<const Point> points, const std::function<void()>& checkpoint) {
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
    evict_live(cache, points, shape);
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
    const Likelihood one =
        one_pass(device, model, piece, std::max<std::size_t>(1, piece.size() - fresh), checkpoint);
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

std::vector<PointLikelihood> evicted_likelihood(Device& device, const Model& model,
                                                std::span<const std::int32_t> ids, int prefill,
                                                std::span<const Point> points,
                                                const std::function<void()>& checkpoint) {
  const auto P = static_cast<std::size_t>(prefill);
  require(prefill >= 2 && P < ids.size(), "evicted: a bad length");
  const auto snapshot = model.prefill(device, ids.first(P), needs_of(points, model.shape(prefill)),
                                      {.tap = nullptr, .all_logits = {}, .checkpoint = checkpoint});
  std::vector<std::string> errors;
  const std::vector<Kept> kept = select_all(points, snapshot->observation, errors);
  std::vector<PointLikelihood> out(points.size());
  std::vector<Kept> fed;
  std::vector<std::size_t> which;
  for (std::size_t p = 0; p < points.size(); ++p) {
    out[p].kept = kept[p].entries();
    out[p].error = errors[p];
    if (!errors[p].empty()) continue;
    fed.push_back(kept[p]);
    which.push_back(p);
  }
  if (fed.empty()) return out;
  RaggedCache cache(snapshot, fed, prefill - 1, static_cast<int>(ids.size() - P));
  std::vector<Likelihood> heard(fed.size());
  feed_all(device, model, cache, ids, P - 1, heard, checkpoint);
  for (std::size_t i = 0; i < which.size(); ++i) {
    out[which[i]].likelihood = heard[i];
    out[which[i]].bytes = cache.retained_bytes(static_cast<int>(i));
    check_finite(out[which[i]]);
  }
  return out;
}

std::vector<PointLikelihood> streaming_likelihood(Device& device, const Model& model,
                                                  std::span<const std::int32_t> ids,
                                                  std::span<const Point> points,
                                                  const std::function<void()>& checkpoint) {
  require(ids.size() >= 2, "streaming: two ids or more");
  std::vector<Point> evicting;
  for (const Point& point : points)
    if (point.policy->evicts()) evicting.push_back(point);
  std::vector<PointLikelihood> streamed, out;
  if (!evicting.empty()) streamed = stream(device, model, ids, evicting, checkpoint);
  const KvShape shape = model.shape(static_cast<int>(ids.size()) - 1);
  auto next = streamed.begin();
  for (const Point& point : points) {
    if (point.policy->evicts()) {
      out.push_back(*next++);
      continue;
    }
    PointLikelihood whole;
    whole.likelihood = one_pass(device, model, ids, 1, checkpoint);
    whole.kept = std::int64_t{shape.lanes()} * shape.tokens;
    whole.bytes = whole.kept * 2 * shape.head_dim * std::int64_t{sizeof(float)};
    check_finite(whole);
    out.push_back(std::move(whole));
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
