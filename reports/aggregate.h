#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "reports/record.h"
#include "reports/statistics.h"

// Records, grouped and averaged. The same records give the same aggregate in whatever order they come.
namespace evictbench {

struct ScoreSummary {
  Estimate mean;                     // over the answered examples
  std::optional<Estimate> gap;       // this point minus the full cache, on the examples that both answered
  std::vector<double> values, gaps;  // what these are the means of, in canonical order
};

// Means over the answered examples that it was measured on, each counting as the mean of its tokens.
struct FidelitySummary {
  std::size_t tokens = 0;  // compared in all of them
  Estimate kl, agreement, delta_nll, mass;
  std::vector<double> layer_mass;  // [L]
};

// The examples of one length and depth: a cell of a heat map.
struct Cell {
  int length = 0;
  double depth = -1;
  std::size_t answered = 0, failed = 0;
  std::map<std::string, double> scores;  // means
};

// One point in one setting.
struct PointSummary {
  std::string policy, policy_name, budget_unit, point;
  double budget = 0;
  std::size_t answered = 0, failed = 0;          // examples
  std::map<std::string, ScoreSummary> scores;    // by name; a failed example counts in none
  double asked = 0, kept = 0, full_entries = 0;  // mean entries of an answered example, all lanes
  double kept_share = 0;                         // mean of kept / full
  double retained_bytes = 0;                     // mean
  std::vector<double> layer_share;               // [L] mean of kept / full in each layer
  std::optional<FidelitySummary> fidelity;       // where any example has it
  std::size_t overspent = 0;                     // examples that kept more than was asked
  std::size_t unevicted = 0;                     // examples that kept everything; 0 for the full cache itself
  std::size_t unpaired =
      0;  // answered examples without a full-cache answer; 0 where the full cache was not run
  std::size_t same_answers = 0;        // token for token as the full cache
  std::size_t leaked = 0;              // examples that its score files were measured on
  std::vector<Cell> cells;             // by length, depth
  std::vector<const Record*> records;  // in canonical order

  bool is_full() const { return budget_unit == "full"; }
};

// What must be equal for two answers to be compared.
struct Setting {
  std::string task, question, first_token, compute;
  std::string main_score;
  std::vector<PointSummary> points;  // full first, then by policy, unit, budget

  const PointSummary* full() const;
};

// The tasks of one benchmark ("longbench/qasper", "longbench/trec") in one protocol, and the mean over them in which
// every task counts the same, as LongBench has it.
struct Overview {
  std::string benchmark;              // what stands before the last / of the tasks
  std::vector<std::size_t> settings;  // places in Aggregate::settings
  Setting mean;                       // of the points that every task has; no cells, no records
};

struct Aggregate {
  std::vector<Setting> settings;    // by task, question (inside first), first token, compute
  std::vector<Overview> overviews;  // of benchmarks with two tasks or more, in the order of their first ones
  std::map<std::string, std::string> labels;  // canonical policy -> the shortest name that tells it apart
  std::vector<std::string> notes;             // what a reader of the figures must know
  // canonical policy -> its options that other points have at other values: the best of them is known from these data
  std::map<std::string, std::vector<std::string>> compared;
};

// Examples of a task that the score files of a policy were measured on.
struct Leak {
  std::string policy, task;  // canonical
  std::size_t shared = 0;
};

// The aggregate points into `records`. `main_scores` names the score a task is judged by; a task it does not
// name is judged by its first score in alphabetical order. One example twice at one point is an Error.
Aggregate aggregate(std::span<const Record> records, const std::map<std::string, std::string>& main_scores,
                    std::span<const Leak> leaks = {});

}  // namespace evictbench
