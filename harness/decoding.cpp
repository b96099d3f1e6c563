#include "harness/decoding.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "core/device_errors.h"
#include "harness/clock.h"

namespace evictbench {
namespace {

std::string origin_of_nan(const RaggedCache& cache, int point) {
  const int layer = cache.first_layer_not_finite(point), layers = cache.shape(point).layers;
  return layer < layers
             ? fmt::format(": its keys and values are not numbers from layer {} of {} on", layer, layers)
             : fmt::format(
                   ": keys and values of all {} layers are numbers, so it arose in the last one or in the "
                   "head",
                   layers);
}

// A device may run behind; reading what comes last waits for it.
void wait_for(Device& device) { Tensor::zeros(device, DType::kI32, {1}).to_host<std::int32_t>(); }

}  // namespace

std::size_t Decoding::bytes() const {
  std::size_t sum = 0;
  for (const Row& row : rows_) sum += row.bytes;
  return sum;
}

void Decoding::join(Answering& example, std::vector<std::size_t>& waiting, std::size_t most_bytes) {
  Clock clock;
  const Feed& feed = example.example.feed;
  std::vector<std::size_t> joining;
  for (std::size_t held = bytes(); joining.size() < waiting.size(); held += rows_.back().bytes) {
    const std::size_t p = waiting[joining.size()], more = example.bytes(p);
    if (!rows_.empty() && held + more > most_bytes) break;
    joining.push_back(p);
    rows_.push_back({&example, p, more, example.answers[p], feed.tokens});
  }
  if (joining.empty()) return;
  feeder_.add(example.example, picked(example.points, joining), picked(example.kept, joining),
              example.room());
  wait_for(device_);
  waiting.erase(waiting.begin(), waiting.begin() + std::ssize(joining));
  example.decoding += joining.size();
  const std::size_t first = rows_.size() - joining.size();
  for (std::size_t r = first; r < rows_.size(); ++r)
    rows_[r].answer.retained_bytes = feeder_.cache().retained_bytes(static_cast<int>(r));
  example.time.peaks.gather = std::max(example.time.peaks.gather, device_.bytes_in_use());
  example.time.gather += clock.lap();
  if (!feed.tokens.empty()) return;
  const std::vector<float>& last = example.example.snapshot->last_logits;
  const Tensor logits = Tensor::from_host<float>(device_, last, {1, static_cast<int>(last.size())});
  const std::int32_t best = device_.ops().best(device_, logits)[0];
  for (std::size_t r = first; r < rows_.size(); ++r) hear(rows_[r], best, logits, 0);
  leave();
}

void Decoding::step() {
  if (rows_.empty()) return;
  Clock clock;
  std::vector<Tokens> fed;  // [points]
  for (const Row& row : rows_) fed.push_back(row.next);
  const Tensor logits = feeder_.feed(fed);                                     // [points, V]
  const std::vector<std::int32_t> best = device_.ops().best(device_, logits);  // [points]
  divide(clock.lap());
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    Row& row = rows_[r];
    hear(row, best[r], logits, r);
    if (!row.answer.error.empty()) row.answer.error += origin_of_nan(feeder_.cache(), static_cast<int>(r));
    if (!row.next.empty()) ask_rule(r);
    row.example->time.decode += clock.lap();
  }
  leave();
}

// The greedy token of a point, or -1 for logits that are not all numbers; an end, or the last token allowed, completes the
// answer. Row `at` of `logits` [rows, V] is where it comes from.
void Decoding::hear(Row& row, std::int32_t token, const Tensor& logits, std::size_t at) {
  const DecodeLimits& limits = row.example->example.limits;
  Answer& answer = row.answer;
  row.next.clear();
  if (answer.tokens.empty()) token = limits.first_token(logits, at, token);
  if (token < 0) {
    answer.error = fmt::format("a logit that is not a number after {} tokens", answer.tokens.size());
    return;
  }
  if (limits.ends(token)) return;
  answer.tokens.push_back(token);
  if (std::ssize(answer.tokens) < limits.max_new) row.next = {token};
}

void Decoding::ask_rule(std::size_t r) {
  try {
    feeder_.apply_rule(r);
  } catch (const Error& error) {
    if (!fails_alone(error, /*alone=*/false)) throw;
    rows_[r].answer.error = error.what();
    rows_[r].next.clear();
  }
}

void Decoding::divide(double seconds) {
  std::map<Timing*, std::size_t> tokens;
  std::size_t all = 0;
  for (const Row& row : rows_) tokens[&row.example->time] += row.next.size(), all += row.next.size();
  for (const auto& [time, mine] : tokens) {
    time->decode += seconds * static_cast<double>(mine) / static_cast<double>(all);
    time->decoded_tokens += static_cast<int>(mine);
    ++time->steps;
  }
}

void Decoding::leave() {
  for (std::size_t r = rows_.size(); r-- > 0;) {
    Row& row = rows_[r];
    if (!row.next.empty()) continue;
    row.example->answers[row.point] = std::move(row.answer);
    row.example->ended[row.point] = true;
    --row.example->decoding;
    feeder_.drop(r);
    rows_.erase(rows_.begin() + static_cast<std::ptrdiff_t>(r));
  }
}

void Decoding::fail(const std::string& why) {
  for (const Row& row : rows_) {
    row.example->answers[row.point].error = why;
    row.example->ended[row.point] = true;
  }
}

void answer_all(Answering& example, const std::vector<std::size_t>& alive) {
  const Prefilled& from = example.example;
  std::vector<std::size_t> left = alive;
  for (std::size_t most = from.limits.batch_bytes; !left.empty();) {
    Decoding decoding(from.device, from.model, from.checkpoint);
    std::vector<std::size_t> waiting = left;
    try {
      while (!waiting.empty() || decoding.points() > 0) {
        decoding.join(example, waiting, most);
        decoding.step();
      }
    } catch (const OutOfMemory& error) {
      if (!from.alone) throw;
      if (decoding.points() == 1) decoding.fail(error.what());
      most = decoding.bytes() / 2;
      example.decoding = 0;
    }
    std::erase_if(left, [&](std::size_t p) { return example.ended[p]; });
  }
}

}  // namespace evictbench
