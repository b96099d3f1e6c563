#pragma once

#include <string>
#include <vector>

#include "harness/commands.h"
#include "harness/sidecar.h"
#include "harness/trial_journal.h"

// `evictbench heads MODEL`: which heads retrieve.
namespace evictbench {

// One trial, answered while every head is watched.
TrialRecord measure_trial(const Answering& answering, const Trial& trial, const KvShape& shape);

// What the answers must be for a trial to count: more than half of the reference's words for copy and semantic
// scores (ROUGE-1 recall), F1 of more than a half for reasoning scores; or nothing at all.
enum class Accept { kAnswered, kAll };
bool is_accepted(double score, Accept accept);  // of recall or F1

constexpr ScoreKind kHeadKinds[] = {ScoreKind::kCopy, ScoreKind::kSemantic, ScoreKind::kSemanticMultiplicity,
                                    ScoreKind::kReasoning};

// One kind of score over the trials that count for it.
struct MeasuredKind {
  ScoreKind kind = ScoreKind::kCopy;
  int made = 0;                                    // trials
  std::vector<const std::vector<double>*> counts;  // [accepted][L * H]
  std::vector<double> means;  // [L * H]; empty where no head scored in a trial that counts
};
std::vector<MeasuredKind> measured_kinds(const TrialSet& set, const std::vector<TrialRecord>& records,
                                         Accept accept);

// What every command about heads is given.
struct HeadInput {
  std::string tasks;                   // file
  std::vector<std::string> overrides;  // of it
  SweepModel model;
  Where where;
  std::string out;    // folder
  bool json = false;  // what is printed
};

struct HeadMeasurement : HeadInput {
  Accept accept = Accept::kAnswered;
  std::string dump;  // file for the trials as token ids, or ""

  // Writes, for each kind, its scores, their order and a sidecar each; pictures; and trials.jsonl as it goes. A run that
  // was stopped goes on. Returns the exit code: 5 where a kind has no trial that counts.
  int run() const;
};

}  // namespace evictbench
