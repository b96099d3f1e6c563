#include "harness/evaluate.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

namespace evictbench {
namespace {

class Clock {
 public:
  double lap() {  // seconds since the last one
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// What is fed to every point before it answers, and where that begins.
struct Feed {
  Tokens prompt;  // prefilled
  Tokens tokens;  // then fed through each point's cache; empty: the snapshot's logits give the first token
  int from = 0;   // position of the first of them
};

Feed feed_of(const Prompt& example, const Protocol& protocol) {
  Tokens prompt = example.context;
  if (protocol.question == Protocol::Question::kAfter)
    return {prompt, example.question, static_cast<int>(prompt.size())};
  prompt.insert(prompt.end(), example.question.begin(), example.question.end());
  const int length = static_cast<int>(prompt.size());
  if (protocol.first_token == Protocol::FirstToken::kFull) return {prompt, {}, length};
  return {prompt, {prompt.back()}, length - 1};
}

// What masks heads of a batch, of which point p is fed the tokens fed[p]; empty where no point asks for it.
std::function<void(int, Tensor&)> head_mask(std::span<const Point> points, const std::vector<Tokens>& fed) {
  if (std::ranges::all_of(points, [](const Point& point) { return point.masked_heads.empty(); })) return {};
  return [points, &fed](int layer, Tensor& queries) {  // [N, H, D]
    const int H = queries.dim(1);
    const std::size_t bytes = sizeof(float) * static_cast<std::size_t>(queries.dim(2));
    std::ptrdiff_t row = 0;
    for (std::size_t p = 0; p < points.size(); ++p)
      for (std::size_t i = 0; i < fed[p].size(); ++i, ++row)
        for (const int head : points[p].masked_heads)
          if (head / H == layer) queries.device().zero(queries.row<float>(row * H + head % H), bytes);
  };
}

// The decode rules of a batch, asked whenever another `every()` tokens have been fed.
class Rules {
 public:
  Rules(std::span<const Point> points, const KvShape& shape) : points_(points), shape_(shape) {
    for (const Point& point : points) rules_.push_back(point.policy->decode_rule());
    fed_.resize(points.size());
  }
  std::function<void(const AttentionRow&)> tap(RaggedCache& cache) const {
    if (std::ranges::none_of(rules_, [](const auto& rule) { return rule != nullptr; })) return {};
    return [this, &cache](const AttentionRow& row) {
      const auto& rule = rules_[static_cast<std::size_t>(row.point)];
      if (rule && std::ranges::count(rule->needs().stats, Stat{Stat::kColumnSums})) cache.accumulate(row);
    };
  }
  void apply(RaggedCache& cache, std::size_t p, int fed) {
    const int before = std::exchange(fed_[p], fed_[p] + fed);
    if (!rules_[p] || fed_[p] / rules_[p]->every() == before / rules_[p]->every()) return;
    const int point = static_cast<int>(p);
    const Observation live(cache.observe(point));
    const Kept kept = rules_[p]->decide(live, points_[p].budget(shape_));
    kept.selection.check(live.lengths(kept.selection.heads()));
    cache.replace(point, kept);
  }

 private:
  std::span<const Point> points_;
  KvShape shape_;                                   // of the prompt
  std::vector<std::unique_ptr<DecodeRule>> rules_;  // [P], null where nothing happens while decoding
  std::vector<int> fed_;                            // [P] tokens
};

// The answers of a batch in the making.
class Decoding {
 public:
  Decoding(std::span<Answer> answers, const Feed& feed, const DecodeLimits& limits)
      : answers_(answers), limits_(limits), next_(answers.size(), feed.tokens) {}

  // The greedy token of point p, or -1 for logits that are not all numbers; an end, or the last token allowed, closes
  // the point. Row `row` of `logits` [rows, V] is where it comes from.
  void hear(std::size_t p, std::int32_t token, const Tensor& logits, std::size_t row) {
    next_[p].clear();
    if (!limits_.first_may_end && answers_[p].tokens.empty() && std::ranges::count(limits_.end_tokens, token))
      token = best_that_goes_on(logits, row);
    if (token < 0) {
      fail(p, fmt::format("a logit that is not a number after {} tokens", answers_[p].tokens.size()));
      return;
    }
    if (std::ranges::count(limits_.end_tokens, token)) return;
    answers_[p].tokens.push_back(token);
    if (std::ssize(answers_[p].tokens) < limits_.max_new) next_[p] = {token};
  }
  const std::vector<Tokens>& next() const {
    return next_;
  }  // [P] to be fed; empty where the answer is complete
  bool open() const {
    return std::ranges::any_of(next_, [](const Tokens& t) { return !t.empty(); });
  }
  void fail(std::size_t p, const std::string& error) {
    answers_[p].error = error;
    next_[p].clear();
  }

 private:
  std::int32_t best_that_goes_on(const Tensor& logits, std::size_t row) const {
    const std::vector<float> all = logits.to_host<float>();
    const auto vocabulary = static_cast<std::size_t>(logits.dim(1));
    std::int32_t best = -1;
    for (std::int32_t id = 0; id < static_cast<std::int32_t>(vocabulary); ++id) {
      if (std::ranges::count(limits_.end_tokens, id)) continue;
      const float* from = all.data() + row * vocabulary;
      if (best < 0 || from[id] > from[best]) best = id;
    }
    return best;
  }

  std::span<Answer> answers_;
  const DecodeLimits& limits_;
  std::vector<Tokens> next_;
};

std::string origin_of_nan(const RaggedCache& cache, int point) {
  const int layer = cache.first_layer_not_finite(point), layers = cache.shape().layers;
  return layer < layers
             ? fmt::format(": its keys and values are not numbers from layer {} of {} on", layer, layers)
             : fmt::format(
                   ": keys and values of all {} layers are numbers, so it arose in the last one or in the "
                   "head",
                   layers);
}

void decode(Device& device, const Model& model, RaggedCache& cache, const Snapshot& snapshot,
            const Feed& feed, std::span<const Point> points, std::span<Answer> answers,
            const DecodeLimits& limits, Timing& timing, const std::function<void()>& checkpoint) {
  Rules rules(points, snapshot.shape());
  std::vector<Tokens> fed;  // [P] of the present step
  const AttentionTap tap{.row = rules.tap(cache), .queries = head_mask(points, fed)};
  const bool tapped = tap.row || tap.queries;
  Decoding decoding(answers, feed, limits);
  if (feed.tokens.empty()) {
    const Tensor logits = Tensor::from_host<float>(device, snapshot.last_logits,
                                                   {1, static_cast<int>(snapshot.last_logits.size())});
    const auto first = device.ops().best(device, logits);
    for (std::size_t p = 0; p < points.size(); ++p) decoding.hear(p, first[0], logits, 0);
  }
  while (decoding.open()) {
    fed = decoding.next();
    const Tensor logits = model.extend(
        device, cache, fed, {.tap = tapped ? &tap : nullptr, .all_logits = {}, .checkpoint = checkpoint});
    const std::vector<std::int32_t> best = device.ops().best(device, logits);  // [points fed]
    std::size_t row = 0;
    for (std::size_t p = 0; p < points.size(); ++p) {
      if (fed[p].empty()) continue;
      timing.decoded_tokens += static_cast<int>(fed[p].size());
      decoding.hear(p, best[row], logits, row);
      ++row;
      if (!answers[p].error.empty()) answers[p].error += origin_of_nan(cache, static_cast<int>(p));
      if (decoding.next()[p].empty()) continue;
      try {
        rules.apply(cache, p, static_cast<int>(fed[p].size()));
      } catch (const Error& error) {
        decoding.fail(p, error.what());
      }
    }
    ++timing.steps;
  }
}

std::int64_t cache_bytes(const Kept& kept, const KvShape& shape, int room) {
  const std::int64_t lanes = kept.selection.lanes();
  const bool in_place = kept.selection.size() == std::int64_t{shape.lanes()} * shape.tokens &&
                        kept.blends.empty() && kept.codecs.empty();
  return ((in_place ? 0 : kept.entries()) + lanes * (room + 2 * kPanel)) * 2 * std::int64_t{sizeof(float)} *
         shape.head_dim;
}

// The first points whose caches fit together; at least one.
std::size_t batch_of(std::span<const Kept> kept, const KvShape& shape, int room, std::size_t most_bytes) {
  std::size_t count = 0, bytes = 0;
  while (count < kept.size()) {
    bytes += static_cast<std::size_t>(cache_bytes(kept[count], shape, room));
    if (count > 0 && bytes > most_bytes) break;
    ++count;
  }
  return count;
}

Answer about(const Point& point, const Kept& kept, const KvShape& shape) {
  Answer answer;
  answer.prompt_tokens = shape.tokens;
  answer.full_entries = std::int64_t{shape.lanes()} * shape.tokens;
  answer.asked = point.policy->evicts() ? point.budget(shape).total(shape) : answer.full_entries;
  answer.kept = kept.entries();
  answer.kept_by_layer.resize(static_cast<std::size_t>(shape.layers));
  const int heads = std::max(1, kept.selection.heads());
  for (int lane = 0; lane < kept.selection.lanes(); ++lane)
    answer.kept_by_layer[static_cast<std::size_t>(lane / heads)] += std::ssize(kept.selection.lane(lane));
  for (const Blend& blend : kept.blends) ++answer.kept_by_layer[static_cast<std::size_t>(blend.lane / heads)];
  return answer;
}

// A part of `all` by index, and back.
template <class T>
std::vector<T> picked(const std::vector<T>& all, const std::vector<std::size_t>& which) {
  std::vector<T> some;
  for (const std::size_t i : which) some.push_back(all[i]);
  return some;
}

}  // namespace

std::uint64_t Prompt::hash() const {
  Tokens all = context;
  all.insert(all.end(), question.begin(), question.end());
  return XXH3_64bits(all.data(), all.size() * sizeof all[0]);
}

Budget Point::budget(const KvShape& shape) const {
  Budget budget{amount};
  if (unit == "ratio") budget = Budget::of_ratio(amount, shape);
  if (unit == "bytes") budget = Budget::of_bytes(amount, shape);
  if (unit == "full") budget = {static_cast<double>(shape.tokens)};
  budget.rule = policy->rule();
  return budget;
}

Needs needs_of(std::span<const Point> points, const KvShape& shape) {
  Needs all;
  for (const Point& point : points) {
    all.add(point.policy->needs(shape));
    if (const auto rule = point.policy->decode_rule()) all.add(rule->needs());
  }
  return all;
}

std::vector<Kept> select_all(std::span<const Point> points, const Observation& seen,
                             std::vector<std::string>& errors) {
  std::map<const Policy*, std::vector<std::size_t>> by_policy;
  for (std::size_t p = 0; p < points.size(); ++p) by_policy[points[p].policy.get()].push_back(p);
  std::vector<Kept> kept(points.size(), Kept{Selection(0, 0), {}, {}});
  errors.assign(points.size(), {});
  for (const auto& [policy, columns] : by_policy) {
    std::vector<Budget> budgets;
    for (const std::size_t p : columns) budgets.push_back(points[p].budget(seen.shape()));
    try {
      auto answers = policy->select(seen, budgets);
      require(answers.size() == columns.size(), "select: one answer per budget");
      for (std::size_t i = 0; i < columns.size(); ++i) {
        answers[i].selection.check(seen.lengths(answers[i].selection.heads()));
        if (policy->evicts() && budgets[i].rule == Budget::Rule::kExact &&
            answers[i].entries() > budgets[i].total(seen.shape()))
          errors[columns[i]] = points[columns[i]].name + " kept more than its budget";
        kept[columns[i]] = std::move(answers[i]);
      }
    } catch (const Error& error) {
      for (const std::size_t p : columns) errors[p] = error.what();
    }
  }
  return kept;
}

std::vector<Answer> evaluate(Device& device, const Model& model, const Prompt& prompt,
                             std::span<const Point> points, const Protocol& protocol,
                             const DecodeLimits& limits, Timing* timing,
                             const std::function<void()>& checkpoint) {
  Timing unused;
  Timing& time = timing ? *timing : unused;
  Clock clock;
  device.reset_peak();
  const Feed feed = feed_of(prompt, protocol);
  require(!feed.prompt.empty(), "evaluate: an empty prompt");

  // 1. One full prefill per example.
  const KvShape shape = model.shape(static_cast<int>(feed.prompt.size()));
  const auto snapshot = model.prefill(device, feed.prompt, needs_of(points, shape),
                                      {.tap = nullptr, .all_logits = {}, .checkpoint = checkpoint});
  time.prefill += clock.lap();

  // 2. Every point is a pure function of that snapshot.
  std::vector<std::string> errors;
  const std::vector<Kept> kept = select_all(points, snapshot->observation, errors);
  std::vector<Answer> answers;
  std::vector<std::size_t> alive;
  for (std::size_t p = 0; p < points.size(); ++p) {
    answers.push_back(about(points[p], kept[p], shape));
    answers.back().error = errors[p];
    if (errors[p].empty()) alive.push_back(p);
  }
  time.select += clock.lap();

  // 3. One sequence per point, each lane as long as its policy left it; 4. all extended together.
  const int room = static_cast<int>(feed.tokens.size()) + limits.max_new;
  while (!alive.empty()) {
    const auto mine = picked(kept, alive);
    const std::size_t count = batch_of(mine, shape, room, limits.batch_bytes);
    const std::vector<std::size_t> batch(alive.begin(), alive.begin() + static_cast<std::ptrdiff_t>(count));
    alive.erase(alive.begin(), alive.begin() + static_cast<std::ptrdiff_t>(count));
    RaggedCache cache(snapshot, std::span(mine).first(count), feed.from, room, limits.layout);
    time.gather += clock.lap();
    const auto batch_points = picked(std::vector<Point>(points.begin(), points.end()), batch);
    auto batch_answers = picked(answers, batch);
    for (std::size_t i = 0; i < count; ++i)
      batch_answers[i].retained_bytes = cache.retained_bytes(static_cast<int>(i));
    decode(device, model, cache, *snapshot, feed, batch_points, batch_answers, limits, time, checkpoint);
    for (std::size_t i = 0; i < count; ++i) answers[batch[i]] = std::move(batch_answers[i]);
    time.decode += clock.lap();
  }
  time.prompt_tokens += shape.tokens;
  time.peak_bytes = std::max(time.peak_bytes, device.peak_bytes());
  return answers;
}

}  // namespace evictbench
