#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "reports/aggregate.h"

// Two sets of answers to the same examples, paired example by example: what a change of the program, or another policy,
// gains and loses, and whether that is more than chance.
namespace evictbench {

struct ComparisonRules {
  // Policy of `base` -> the policy that takes its place in `now`; both canonical, or names that only one policy has. Empty:
  // every point is compared with itself.
  std::vector<std::pair<std::string, std::string>> instead = {};
  double score_tolerance = 0;  // a mean score may drop by so much, in [0, 1]
  std::optional<double> memory_tolerance =
      0;                 // an example may retain more bytes by this share; absent: by any
  bool partial = false;  // answers of `base` may lack a partner
};

struct ComparedName {
  std::string label;               // "snapkv at 128", "snapkv -> adakv at 128"
  std::string policy, policy_now;  // canonical
  std::string budget_unit;
  double budget = 0;
};

// One point of `base` and its partner, over the examples that both answered.
struct ComparedPoint : ComparedName {
  std::size_t pairs = 0;  // examples; where 0 all that follows is meaningless
  double base = 0, now = 0;
  Estimate difference;  // of the main score, now - base: paired bootstrap
  double p = 1;         // of no difference at all: sign_flip_p()
  // Holm's, over all points and means in which 6 pairs or more differ: fewer are never beyond chance, and have 1
  double corrected_p = 1;
  std::size_t better = 0, worse = 0, same_answers = 0;  // the last token for token
  double base_bytes = 0, now_bytes = 0;                 // means retained
  std::size_t more_bytes = 0;                           // pairs beyond the tolerance
  std::size_t failed = 0;                               // answered in `base`, failed now
  bool lower = false, higher = false;  // beyond chance (corrected p < 0.05), and lower beyond the tolerance

  bool is_regression() const { return lower || more_bytes > 0 || failed > 0; }
};

struct ComparedSetting {
  std::string task, question,
      first_token;  // of a mean over a benchmark's tasks "longbench (mean of 21 tasks)"
  std::string score;
  std::vector<ComparedPoint> points;
};

struct Comparison {
  std::vector<ComparedSetting> settings;
  std::size_t alone = 0;  // answers of `base` without a partner
  double base_peak = 0,
         now_peak = 0;     // the most that each run held, in bytes, told by the caller; 0: not known
  bool more_peak = false;  // beyond what is tolerated

  std::size_t points() const;  // those that means are taken of, and the means
  std::size_t regressions() const;
};

// Compute modes of the two may differ. Errors (exit 8): nothing to compare, an example whose prompts differ and, unless `partial`,
// answers without a partner, more than one compute mode in either; exit 2: a policy of `instead` that is not there, is not
// alone under its name, or comes twice.
Comparison compare(const Aggregate& base, const Aggregate& now, const ComparisonRules& rules);

std::string comparison_table(const Comparison& comparison);  // for a terminal
std::string comparison_json(const Comparison& comparison);   // one line
std::string comparison_junit(const Comparison& comparison);  // XML: a test case for each point

}  // namespace evictbench
