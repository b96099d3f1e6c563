#include "harness/fidelity.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "core/logit_rows.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

constexpr const char* kNotANumber = "fidelity: a logit that is not a number";

using Row = std::span<const float>;  // [V]

// The tokens of one pass, the same for every point; logits are compared of its last `compared` rows: of all, or of one.
struct Pass {
  Tokens tokens;
  int first = 0, compared = 0;  // positions first .. first + compared of the comparison
};

std::vector<Pass> passes_of(const Feed& feed, const GivenTokens& given, int stride) {
  std::vector<Pass> passes;
  const auto more =
      std::span(given.tokens).first(given.tokens.size() - (given.ended || given.tokens.empty() ? 0 : 1));
  if (given.tokens.empty() && !given.ended) return passes;
  int position = 0;
  if (!feed.tokens.empty()) passes.push_back({feed.tokens, position++, 1});
  for (std::size_t at = 0; at < more.size();) {
    const auto piece = more.subspan(at, std::min(static_cast<std::size_t>(stride), more.size() - at));
    const int rows = static_cast<int>(piece.size());
    passes.push_back({Tokens(piece.begin(), piece.end()), position, rows});
    at += piece.size();
    position += rows;
  }
  return passes;
}

int fed_in(const std::vector<Pass>& passes) {
  int fed = 0;
  for (const Pass& pass : passes) fed += static_cast<int>(pass.tokens.size());
  return fed;
}

int positions_of(const std::vector<Pass>& passes) {
  return passes.empty() ? 0 : passes.back().first + passes.back().compared;
}

// Feeds a pass to all points; hear(p, position, logits) of each row that is compared, each point's in order.
template <class Hear>
void feed_pass(Feeder& feeder, const Pass& pass, const std::function<void(const AttentionRow&)>& watch,
               const Hear& hear) {
  const std::vector<Tokens> tokens(feeder.points(), pass.tokens);
  const int compared = pass.compared;
  const auto hear_rows = [&](int first, const Tensor& logits) {
    const std::vector<float> host = logits.to_host<float>();
    const auto V = static_cast<std::size_t>(logits.dim(1));
    for (int i = 0; i < logits.dim(0); ++i) {
      const int row = first + i;
      hear(static_cast<std::size_t>(row / compared), pass.first + row % compared,
           Row(host).subspan(static_cast<std::size_t>(i) * V, V));
    }
  };
  if (compared == 1)
    hear_rows(0, feeder.feed(tokens, watch));
  else
    feeder.feed(tokens, watch, hear_rows);
}

// What the full cache says along the continuation, and where it looks meanwhile.
class FullCache {
 public:
  FullCache(const Prefilled& example, const GivenTokens& given, const Continuation& continuation)
      : from_(example.feed.from),
        shape_(example.shape()),
        weighed_(kFidelityStride, -1),
        weights_(kFidelityStride) {
    const std::vector<Pass> passes = passes_of(example.feed, given, kFidelityStride);
    const Kept everything{Selection::everything(shape_.layers, shape_.kv_heads, shape_.tokens), {}, {}};
    const Point full{.name = "full", .policy = make_policy("full"), .unit = "full"};
    Feeder feeder(example, std::span(&full, 1), std::span(&everything, 1), fed_in(passes));
    mass_.resize(static_cast<std::size_t>(shape_.layers * shape_.q_heads) * static_cast<std::size_t>(from_));
    const int first_query = from_ + std::max(0, static_cast<int>(example.feed.tokens.size()) - 1);
    const auto watch = [&](const AttentionRow& row) {
      if (row.position >= first_query) add(row);
    };
    for (const Pass& pass : passes)
      feed_pass(feeder, pass, watch, [&](std::size_t, int, Row logits) {
        if (continuation.heard) continuation.heard(-1, logits);
        rows_.push_back(survey(logits));
        logits_.emplace_back(logits.begin(), logits.end());
      });
    // Position i of the comparison is about token i, or, where the first one came from the prefill, i + 1.
    targets_.assign(given.tokens.begin() + (example.feed.tokens.empty() && !given.tokens.empty() ? 1 : 0),
                    given.tokens.end());
    if (given.ended && !rows_.empty()) targets_.push_back(rows_.back().best);
  }

  int positions() const { return static_cast<int>(rows_.size()); }
  bool finite() const {
    return std::ranges::all_of(rows_, [](const LogitRow& row) { return row.best >= 0; });
  }

  std::size_t bytes() const {  // of its tables, which lie on the host
    std::size_t bytes = mass_.size() * sizeof(double);
    for (const auto& row : logits_) bytes += row.size() * sizeof(float);
    for (const auto& row : weights_) bytes += row.size() * sizeof(double);
    return bytes;
  }

  // Adds what a point says at a position to its sums; false where that is no number.
  bool compare(int position, Row logits, Fidelity& sums) {
    const auto i = static_cast<std::size_t>(position);
    const LogitRow &full = rows_[i], point = survey(logits);
    if (point.best < 0) return false;
    const Row own = logits_[i];
    const auto target = static_cast<std::size_t>(targets_[i]);
    sums.kl += divergence(own, weights(i), full, logits, point);
    sums.agreement += full.best == point.best;
    sums.delta_nll += (double{own[target]} - double{logits[target]}) - (full.log_sum - point.log_sum);
    return true;
  }

  // [L] of the attention to the prompt, the part on what is kept.
  std::vector<double> mass_on(const Selection& kept) const {
    std::vector<double> shares;
    for (int layer = 0; layer < shape_.layers; ++layer) {
      double on_kept = 0, all = 0;
      for (int head = 0; head < shape_.q_heads; ++head) {
        const auto lane = kept.lane(layer * kept.heads() + head * kept.heads() / shape_.q_heads);
        for (const std::int32_t slot : lane)
          if (slot < from_) on_kept += mass_[at(layer, head, slot)];
        for (int slot = 0; slot < from_; ++slot) all += mass_[at(layer, head, slot)];
      }
      shares.push_back(all > 0 ? on_kept / all : 1);
    }
    return shares;
  }

 private:
  std::size_t at(int layer, int head, int slot) const {
    return static_cast<std::size_t>(layer * shape_.q_heads + head) * static_cast<std::size_t>(from_) +
           static_cast<std::size_t>(slot);
  }
  void add(const AttentionRow& row) {  // the base of a full cache is the prompt, slot by slot
    for (int slot = 0; slot < from_; ++slot)
      mass_[at(row.layer, row.head, slot)] += double{row.probabilities[static_cast<std::size_t>(slot)]};
  }
  // Of the positions of one pass, which all of its points need.
  std::span<const double> weights(std::size_t position) {
    const std::size_t place = position % kFidelityStride;
    if (weighed_[place] != static_cast<int>(position)) {
      weights_[place].resize(logits_[position].size());
      survey(logits_[position], weights_[place]);
      weighed_[place] = static_cast<int>(position);
    }
    return weights_[place];
  }

  int from_;
  KvShape shape_;
  std::vector<LogitRow> rows_;                // [positions]
  std::vector<std::vector<float>> logits_;    // [positions][V]
  Tokens targets_;                            // [positions]
  std::vector<double> mass_;                  // [L, H, from]
  std::vector<int> weighed_;                  // [kFidelityStride] which position's weights are there
  std::vector<std::vector<double>> weights_;  // [kFidelityStride][V]
};

void measure_batch(const Prefilled& example, const std::vector<Pass>& passes, FullCache& full,
                   const Continuation& continuation, std::span<const Point> points,
                   std::span<const Kept> kept, const std::vector<std::size_t>& batch,
                   std::span<Answer> answers) {
  const std::vector<Point> mine = picked(points, batch);
  const std::vector<Kept> mine_kept = picked(kept, batch);
  Feeder feeder(example, mine, mine_kept, fed_in(passes));
  std::vector<Fidelity> sums(batch.size());
  for (const Pass& pass : passes) {
    feed_pass(feeder, pass, {}, [&](std::size_t p, int position, Row logits) {
      if (continuation.heard) continuation.heard(static_cast<int>(batch[p]), logits);
      if (!full.compare(position, logits, sums[p])) answers[batch[p]].error = kNotANumber;
    });
    for (std::size_t p = 0; p < batch.size(); ++p) try {
        feeder.apply_rule(p);
      } catch (const Error& error) {
        if (!fails_alone(error, example.alone)) throw;
        answers[batch[p]].error = error.what();
      }
  }
  const auto n = static_cast<double>(full.positions());
  for (std::size_t p = 0; p < batch.size(); ++p) {
    if (!answers[batch[p]].error.empty()) continue;
    Fidelity& out = sums[p];
    out.tokens = full.positions();
    out.kl = std::max(0.0, out.kl / n);  // rounding may leave less than none
    out.agreement /= n;
    out.delta_nll /= n;
    out.mass_by_layer = full.mass_on(mine_kept[p].selection);
    out.mass = std::accumulate(out.mass_by_layer.begin(), out.mass_by_layer.end(), 0.0) /
               static_cast<double>(out.mass_by_layer.size());
    answers[batch[p]].fidelity = std::move(out);
  }
}

}  // namespace

std::size_t measure_fidelity(const Prefilled& example, const GivenTokens& given,
                             const Continuation& continuation, std::span<const Point> points,
                             std::span<const Kept> kept, std::span<Answer> answers) {
  const bool wanted = std::ranges::any_of(answers, [](const Answer& answer) { return answer.error.empty(); });
  if (!wanted || positions_of(passes_of(example.feed, given, kFidelityStride)) == 0) return 0;
  FullCache full(example, given, continuation);
  std::vector<std::size_t> alive;
  for (std::size_t p = 0; p < points.size(); ++p) {
    if (!answers[p].error.empty()) continue;
    if (full.finite())
      alive.push_back(p);
    else
      answers[p].error = std::string(kNotANumber) + ", of the full cache";
  }
  for (const bool ruled : {false, true}) {
    const std::vector<Pass> passes = passes_of(example.feed, given, ruled ? 1 : kFidelityStride);
    for (const auto& batch : batches_of(kept, with_rule(points, alive, ruled), example.shape(),
                                        fed_in(passes), example.limits.batch_bytes))
      measure_batch(example, passes, full, continuation, points, kept, batch, answers);
  }
  return full.bytes();
}

}  // namespace evictbench
