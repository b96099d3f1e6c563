#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/model.h"
#include "policies/options.h"
#include "policies/policy.h"
#include "reports/record.h"

namespace evictbench {

struct Protocol {
  enum class Question { kInside, kAfter };  // in the prefilled prompt, or fed through the evicted cache
  enum class FirstToken {
    kEvicted,
    kFull
  };  // with the question inside: from the evicted cache, or as published
  Question question = Question::kInside;
  FirstToken first_token = FirstToken::kEvicted;
};

// One column of a report. Points that share a policy object are ranked once.
struct Point {
  std::string name;
  std::shared_ptr<const Policy> policy;
  std::string unit = "entries";  // of `amount`: "entries", "ratio", "bytes", "full"
  double amount = 0;
  std::vector<ScoreFile> score_files = {};
  // Query heads (layer * H + head) that are masked while this point decodes: their queries after RoPE are zero, so that
  // they look at everything alike (Wu et al. 2024, arXiv:2404.15574). The prefill is never masked.
  std::vector<int> masked_heads = {};

  Budget budget(const KvShape& shape) const;
};

struct Prompt {
  Tokens context, question;  // encoded apart and joined under both protocols
  std::uint64_t hash() const;
};

struct DecodeLimits {
  int max_new = 32;
  Tokens end_tokens{};        // any of them ends an answer and is not part of it
  bool first_may_end = true;  // else the first token is the best of those that do not end an answer
  RaggedCache::Layout layout = RaggedCache::Layout::kEither;
  std::size_t batch_bytes = std::size_t{6} << 30;  // caches of points that decode together; the rest waits

  static std::size_t batch_bytes_on(Device& device);  // half of what is free on a card; else as above

  bool ends(std::int32_t token) const;
  // The first token of an answer, by row `row` of `logits` [rows, V], whose best token is `best`.
  std::int32_t first_token(const Tensor& logits, std::size_t row, std::int32_t best) const;
};

struct Answer {
  Tokens tokens;
  std::string error;  // why there is none; empty: there is one
  int prompt_tokens = 0;
  std::int64_t asked = 0, kept = 0, full_entries = 0;  // entries of all lanes
  std::int64_t retained_bytes = 0;                     // of the base
  std::vector<std::int64_t> kept_by_layer;             // [L] entries
  std::optional<Fidelity> fidelity;                    // if asked for, and there was a position to compare
};

// What the fidelity of the points is measured along (harness/fidelity.h).
struct Continuation {
  enum class Kind {
    kNone,
    kAnswer,
    kReference
  };  // the full cache's greedy answer with its end, or given text
  Kind kind = Kind::kNone;
  Tokens reference = {};
  // Hears every row of logits that is compared, [V], each point's in order; the full cache is point -1. May be empty.
  std::function<void(int point, std::span<const float> logits)> heard = {};
};

// Where the time of one example went, in seconds, and what was held meanwhile. Of a step that it shares with other examples
// in flight it is given the part that its rows are of all, and what is held is held by all of them.
struct Timing {
  double prefill = 0, select = 0, gather = 0, decode = 0, fidelity = 0;
  int prompt_tokens = 0, decoded_tokens = 0, steps = 0;
  std::size_t peak_bytes = 0;  // of the device, and of fidelity's tables on the host
  // Of the device, in each phase: what was held before it included.
  struct Peaks {
    std::size_t prefill = 0, select = 0, gather = 0, decode = 0;
  } peaks;
};

// One full prefill, then every point from the same snapshot, all decoded together. A point that fails does not harm the
// others; what throws is a stop from `checkpoint` or a failed prefill.
std::vector<Answer> evaluate(Device& device, const Model& model, const Prompt& prompt,
                             std::span<const Point> points, const Protocol& protocol,
                             const DecodeLimits& limits, Timing* timing = nullptr,
                             const std::function<void()>& checkpoint = {},
                             const Continuation& continuation = {});

// What every point keeps, checked for order, range and budget; where a policy failed, `errors[p]` says why. For want of
// memory it fails if the example is `alone`; else OutOfMemory is thrown.
std::vector<Kept> select_all(std::span<const Point> points, const Observation& seen,
                             std::vector<std::string>& errors, bool alone = true);

Needs needs_of(std::span<const Point> points, const KvShape& shape);

}  // namespace evictbench
