#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "harness/evaluate.h"
#include "models/key_mover.h"

// How well a model foretells a text. The first token of what a model is shown has nothing before it and is never
// scored. Sums are float64 over f32 logits in one order: the same bits on every machine, at any number of threads.
namespace evictbench {

// -ln p(token) in nats under softmax(logits [V]); NaN where a logit is not a finite number.
double negative_log_likelihood(std::span<const float> logits, std::int32_t token);

struct Likelihood {
  double sum = 0;           // of the negative log-likelihoods, nats
  std::int64_t scored = 0;  // tokens

  double nll() const { return sum / static_cast<double>(scored); }
  double perplexity() const;  // e^nll
};

struct SlidingLikelihood {
  Likelihood all;  // every token scored once
  double published =
      0;  // mean nll as the program in transformers' documentation has it: see sliding_likelihood
  int windows = 0;
};

// "Perplexity of fixed-length models" of transformers' documentation: windows of `window` tokens begin every `stride`
// tokens, and each scores the tokens that no window before it held; 2 <= window, 1 <= stride <= window, two ids or more.
// The program printed there weighs the mean of a window that scores n new tokens by n - 1, though where windows overlap
// all n are scored: `published`.
SlidingLikelihood sliding_likelihood(Device& device, const Model& model, std::span<const std::int32_t> ids,
                                     int window, int stride, const std::function<void()>& checkpoint = {});

// lm-eval's rolling likelihood, of every id: behind `prefix`, which is not scored, in windows of as many ids, each of which is
// foretold from the one before it on; the last window is filled up from the left. What is fed is never longer than a window.
Likelihood rolling_likelihood(Device& device, const Model& model, std::span<const std::int32_t> ids,
                              std::int32_t prefix, int window, const std::function<void()>& checkpoint = {});

struct PointLikelihood {
  Likelihood likelihood;
  std::int64_t kept = 0,
               bytes = 0;  // entries of all lanes and their bytes: after the eviction, or at the end
  std::string error;       // why there is no likelihood; empty: there is one
};

// Prefills the first `prefill` ids (two or more), evicts, feeds the rest: what each point makes of ids[prefill ..]. The
// last prefilled token is fed again, as in Protocol::FirstToken::kEvicted, so that every scored token is foretold from
// the evicted cache. All points start from one snapshot and are fed together, as far as their caches fit into
// `limits.batch_bytes`; one with a decode rule goes on evicting, token by token.
std::vector<PointLikelihood> evicted_likelihood(Device& device, const Model& model,
                                                std::span<const std::int32_t> ids, int prefill,
                                                std::span<const Point> points,
                                                const DecodeLimits& limits = {},
                                                const std::function<void()>& checkpoint = {});

// StreamingLLM's (Xiao et al. 2023, arXiv:2309.17453): ids are fed one by one, and after each the policy is shown the
// live cache and keeps its budget of it. Keys keep their own positions, as its program has it without
// --enable_pos_shift; with `slots`, which moves them, what a token sees is numbered 0, 1, .. up to itself, as with that option.
// A point that keeps everything is not streamed: its bits are those of one pass. Batches as above.
std::vector<PointLikelihood> streaming_likelihood(Device& device, const Model& model,
                                                  std::span<const std::int32_t> ids,
                                                  std::span<const Point> points,
                                                  const DecodeLimits& limits = {},
                                                  const KeyMover* slots = nullptr,
                                                  const std::function<void()>& checkpoint = {});

// Can the policy be asked again while tokens are fed? Not if it needs the last queries or a second
// pass, or gives every query head a cache of its own.
bool can_stream(const Policy& policy, const KvShape& shape);

}  // namespace evictbench
