#include "harness/head_measure.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <xxhash.h>

#include <algorithm>
#include <numeric>

#include "datasets/metrics/rouge_score.h"
#include "harness/head_output.h"
#include "harness/progress.h"
#include "harness/signals.h"

namespace evictbench {
namespace {

// What is measured, for trials.jsonl: the model, how it is run, and every prompt to the token.
std::string identity_of(const TrialSet& set, const ModelMark& model, const HeadMeasurement& how) {
  XXH3_state_t* state = XXH3_createState();
  XXH3_64bits_reset(state);
  for (const Trial& trial : set.trials) {
    XXH3_64bits_update(state, trial.prompt.data(), trial.prompt.size() * sizeof trial.prompt[0]);
    const std::int32_t numbers[] = {trial.evidence.first, trial.evidence.last, trial.source->max_new};
    XXH3_64bits_update(state, numbers, sizeof numbers);
    for (const std::string& answer : trial.source->answers)
      XXH3_64bits_update(state, answer.data(), answer.size() + 1);
  }
  const auto digest = XXH3_64bits_digest(state);
  XXH3_freeState(state);
  return fmt::format("model {}, compute {}, {} trials {:016x}, evictbench {}", model.hash, how.where.compute,
                     set.trials.size(), digest, EVICTBENCH_VERSION);
}

double best_of(const std::vector<std::string>& references, const auto& score) {
  double best = 0;
  for (const std::string& reference : references) best = std::max(best, score(reference));
  return best;
}

const std::vector<double>& list_of(const TrialRecord& record, ScoreKind kind) {
  switch (kind) {
    case ScoreKind::kCopy:
      return record.totals.copy;
    case ScoreKind::kSemantic:
      return record.totals.semantic;
    case ScoreKind::kSemanticMultiplicity:
      return record.totals.semantic_multiplicity;
    default:
      return record.totals.reasoning;
  }
}

MeasuredKind measured(ScoreKind kind, const TrialSet& set, const std::vector<TrialRecord>& records,
                      Accept accept) {
  MeasuredKind out{.kind = kind, .made = 0, .counts = {}, .means = {}};
  const bool reasoning = kind == ScoreKind::kReasoning;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (!(reasoning ? set.trials[i].reasoning : set.trials[i].copy)) continue;
    ++out.made;
    if (is_accepted(reasoning ? records[i].f1 : records[i].recall, accept))
      out.counts.push_back(&list_of(records[i], kind));
  }
  if (out.counts.empty()) return out;
  std::vector<double> means(out.counts.front()->size());
  for (const auto* list : out.counts)
    for (std::size_t i = 0; i < means.size(); ++i) means[i] += (*list)[i];
  for (double& mean : means) mean /= static_cast<double>(out.counts.size());
  if (std::ranges::any_of(means, [](double mean) { return mean > 0; })) out.means = std::move(means);
  return out;
}

// Every trial that is not in the journal yet.
void measure_all(const TrialSet& set, const Where& where, const KvShape& shape, TrialJournal& journal) {
  Progress progress(set.trials.size());
  for (std::size_t i = 0; i < journal.records().size(); ++i) progress.skip();
  if (journal.records().size() == set.trials.size()) return;
  const auto device = make_device(where);
  spdlog::info("loading {}", set.run.checkpoint.path());
  const auto model = load_model(set.run.checkpoint, where, *device);
  const Answering answering(*device, *model, set.run.checkpoint, check_signals);
  for (std::size_t i = journal.records().size(); i < set.trials.size(); ++i) {
    check_signals();
    journal.append(measure_trial(answering, set.trials[i], shape));
    progress.step(fmt::format("{} {}", set.trials[i].task, set.trials[i].example));
  }
}

[[noreturn]] void reject_unanswered(const TrialSet& set) {
  reject(
      Exit::kFailedPoints,
      {"E-HD-07", set.run.sweep.file, "",
       fmt::format("none of {} trials counts, or no head scored in those that do", set.trials.size()),
       "a trial that the model answers, as otherwise no head can be seen retrieving",
       "see the answers in trials.jsonl; try shorter lengths, easier needles or another template (--chat)"});
}

}  // namespace

bool is_accepted(double score, Accept accept) {
  constexpr double kEnough = 0.5;  // more than this
  return accept == Accept::kAll || score > kEnough;
}

TrialRecord measure_trial(const Answering& answering, const Trial& trial, const KvShape& shape) {
  HeadScorer scorer(shape.layers, shape.q_heads, trial.prompt, trial.evidence);
  const AttentionTap tap{
      .row = [&](const AttentionRow& row) { scorer.see(row.layer, row.head, row.probabilities); },
      .queries = {}};
  TrialRecord record{.task = trial.task, .example = trial.example, .answer = {}, .text = {}, .totals = {}};
  record.answer = answering.answer(
      trial, answering.prefill(trial), tap,
      {.given = [&](std::int32_t token) { scorer.give(token); }, .ended = [&] { scorer.end(); }});
  record.text = answering.text(record.answer);
  const auto& references = trial.source->answers;
  record.recall = best_of(references, [&](const std::string& r) { return rouge1_recall(record.text, r); });
  record.f1 = best_of(references, [&](const std::string& r) { return rouge1(record.text, r).f; });
  record.totals = scorer.totals();
  return record;
}

std::vector<MeasuredKind> measured_kinds(const TrialSet& set, const std::vector<TrialRecord>& records,
                                         Accept accept) {
  std::vector<MeasuredKind> kinds;
  for (const ScoreKind kind : kHeadKinds)
    if (MeasuredKind one = measured(kind, set, records, accept); one.made > 0)
      kinds.push_back(std::move(one));
  return kinds;
}

int HeadMeasurement::run() const {
  const TrialSet set(tasks, overrides, model);
  const OutputFolder folder(out);
  const ModelMark mark = mark_of(set.run.checkpoint, set.run.digests());
  const KvShape shape = set.run.checkpoint.shape(0);
  TrialJournal journal(folder, identity_of(set, mark, *this), set.trials,
                       static_cast<std::size_t>(shape.layers * shape.q_heads));
  if (!journal.records().empty() && journal.records().size() < set.trials.size())
    spdlog::info("resuming: {} of {} trials are there", journal.records().size(), set.trials.size());
  measure_all(set, where, shape, journal);

  if (!dump.empty()) write_file(dump, dump_text(set, journal.records(), accept));
  const std::vector<MeasuredKind> kinds = measured_kinds(set, journal.records(), accept);
  remove_stale(folder, kinds);
  if (std::ranges::all_of(kinds, [](const MeasuredKind& kind) { return kind.means.empty(); }))
    reject_unanswered(set);
  write_heads(folder, set, mark, kinds, method_facts(*this, set));
  fmt::print("{}\n", json ? summary_json(set, mark, kinds) : summary(set, mark, kinds));
  bool whole = true;
  for (const MeasuredKind& kind : kinds)
    if (kind.means.empty()) {
      spdlog::warn("{}: {}, so there is no such file", name_of(kind.kind),
                   kind.counts.empty() ? fmt::format("none of {} trials was answered", kind.made)
                                       : fmt::format("no head scored in {} trials", kind.counts.size()));
      whole = false;
    }
  return static_cast<int>(whole ? Exit::kGood : Exit::kFailedPoints);
}

}  // namespace evictbench
