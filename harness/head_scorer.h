#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/shape.h"

namespace evictbench {

// Tokens [first, last) of a prompt.
struct TokenSpan {
  int first = 0, last = 0;
  int size() const { return last - first; }
};

// How much each query head retrieved while one answer was given, [L * H] each. With m tokens of evidence and the
// attention row a of the query that gives token y:
struct HeadTotals {
  HeadTotals() = default;
  explicit HeadTotals(std::size_t heads);

  std::vector<double>
      copy;  // 1/m if the most attended key is evidence and is y       (Retrieval Head, HeadKV)
  std::vector<double> semantic;  // the mass on the evidence, if y is in it (CompressKV's paper)
  std::vector<double>
      semantic_multiplicity;  // times how often y is in it              (CompressKV's program)
  std::vector<double>
      reasoning;  // 1/m of the mass on evidence among the m most attended keys   (HeadKV's R2)
};

// Adds up the scores of one trial, step by step. Knows no model: it is told rows of attention and tokens.
class HeadScorer {
 public:
  // The evidence is at least one token of the prompt.
  HeadScorer(int layers, int heads, std::span<const std::int32_t> prompt, TokenSpan evidence);

  // A row [keys so far] of the query that is about to give a token; each head once a step.
  void see(int layer, int head, std::span<const float> row);
  void give(std::int32_t token);  // the token of that step
  void end();                     // the step ended the answer: what was seen in it does not count

  const HeadTotals& totals() const { return totals_; }

 private:
  struct Seen {
    double mass = 0,
           among_top = 0;   // on the evidence; on the part of it that is among the m most attended keys
    std::int32_t top = -1;  // token of the most attended key, if it is evidence
  };
  double mass_among_top(std::span<const float> row);

  int heads_;
  Tokens evidence_;  // [m]
  TokenSpan span_;
  std::vector<Seen> seen_;          // [L * H] of the present step
  std::vector<std::int32_t> keys_;  // room for a ranking
  HeadTotals totals_;
};

}  // namespace evictbench
