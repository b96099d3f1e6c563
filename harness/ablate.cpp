#include "harness/ablate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/io/file.h"
#include "harness/ablation.h"
#include "harness/ablation_journal.h"
#include "harness/head_sets.h"
#include "harness/progress.h"
#include "harness/score_files.h"
#include "harness/signals.h"

namespace evictbench {
namespace {

// A score file: what ranks the heads, and what is known of it.
struct Ranked {
  HeadRanking ranking;
  CheckedScores checked;
};

Ranked read_ranked(const std::string& path, const Checkpoint& checkpoint, const ModelMark& mark,
                   bool allow_other) {
  const std::string text = read_text(path, Exit::kInput, "E-HS");
  Ranked out{.ranking = {},
             .checked = check_scores(
                 {"head_scores", path, score_hash(text)}, [&] { return mark; }, allow_other)};
  const HeadScores scores = read_head_scores({path, text});
  const DecoderConfig& c = checkpoint.config();
  if (scores.layers != c.layers || scores.heads != c.q_heads)
    reject(Exit::kInput,
           {"E-AB-03", path, "", fmt::format("{} layers of {} heads", scores.layers, scores.heads),
            fmt::format("{} layers of {} heads, as {} has", c.layers, c.q_heads, checkpoint.path()),
            "name the scores of this model"});
  out.ranking = {
      out.checked.sidecar ? name_of(out.checked.sidecar->kind) : std::filesystem::path(path).stem().string(),
      ranking(scores.means)};
  return out;
}

std::vector<Ranked> read_all(const HeadAblation& how, const Checkpoint& checkpoint, const ModelMark& mark) {
  std::vector<Ranked> all;
  std::set<std::string> kinds{"none", "random"};
  for (const std::string& path : how.scores) {
    all.push_back(read_ranked(path, checkpoint, mark, how.model.allow_other_scores));
    if (const std::string& kind = all.back().ranking.kind; !kinds.insert(kind).second)
      reject(Exit::kUsage,
             {"E-AB-04", path, "", fmt::format("the kind \"{}\" a second time", printable(kind)),
              "every kind once, and neither \"none\" nor \"random\"", "leave one out, or rename its file"});
  }
  return all;
}

// Its sidecar says the rest.
std::string in_short(const CheckedScores& scores) {
  if (!scores.sidecar) return fmt::format("{}, {}", scores.file.hash, describe(scores));
  const Sidecar& s = *scores.sidecar;
  return fmt::format("{}, of {} model {}, {} of {} trials on {} examples", scores.file.hash,
                     scores.other_model ? "ANOTHER" : "this", s.model.name, s.accepted, s.made,
                     s.examples.size());
}

// Examples of the ablation that a score file was measured on: heads are to be judged by others.
std::size_t seen_before(const TrialSet& set, const CheckedScores& checked) {
  if (!checked.sidecar) return 0;
  const auto& seen = checked.sidecar->examples;
  return static_cast<std::size_t>(std::ranges::count_if(set.trials, [&](const Trial& trial) {
    return std::ranges::binary_search(seen, example_hash(*trial.source));
  }));
}

std::vector<std::pair<std::string, std::string>> facts_of(const HeadAblation& how, const TrialSet& set,
                                                          const ModelMark& mark,
                                                          const std::vector<Ranked>& ranked,
                                                          const MaskPlan& plan) {
  std::vector<std::pair<std::string, std::string>> facts{
      {"model", fmt::format("{} ({})", mark.name, mark.hash)},
      {"compute", how.where.compute},
      {"chat template", set.run.chat.name},
      {"question", "inside; heads are masked from the pass of the last prompt token on"},
      {"masked heads", fmt::format("0, {}", fmt::join(plan.counts, ", "))},
      {"random heads", fmt::format("{} draws of seed {}", plan.draws, plan.seed)}};
  for (const Ranked& one : ranked) {
    facts.emplace_back("scores " + one.ranking.kind, in_short(one.checked));
    if (const std::size_t seen = seen_before(set, one.checked); seen > 0)
      facts.emplace_back(
          "LEAKAGE of " + one.ranking.kind,
          fmt::format("its heads were found on {} of these {} examples", seen, set.trials.size()));
  }
  facts.insert(facts.end(), set.data.begin(), set.data.end());
  facts.emplace_back("evictbench", EVICTBENCH_VERSION);
  return facts;
}

// What is answered, for answers.jsonl: all facts, and every example to the letter.
std::string identity_of(const Ablation& all, const TrialSet& set) {
  std::string examples, out;
  for (const Trial& trial : set.trials) {
    examples += example_hash(*trial.source) + trial.source->answer_prefix + '\0';
    for (const std::string& answer : trial.source->answers) examples += answer + '\0';
  }
  for (const auto& [name, value] : all.facts) out += name + " " + value + ", ";
  return out + "examples " + score_hash(examples);
}

// Every example that is not in the journal yet.
void answer_all(const HeadAblation& how, const TrialSet& set, const std::vector<Ablation::Mask>& masks,
                AblationJournal& journal) {
  const std::size_t there = journal.examples().size();
  if (there == set.trials.size()) return;
  if (there > 0) spdlog::info("resuming: {} of {} examples are there", there, set.trials.size());
  const auto device = make_device(how.where);
  spdlog::info("loading {}", set.run.checkpoint.path());
  const auto model = load_model(set.run.checkpoint, how.where, *device);
  Progress progress(set.trials.size());
  std::size_t number = 0;
  for (const PlanTask& task : set.run.plan.tasks)
    for (const Example& example : task.examples) {
      if (number++ < there) {
        progress.skip();
        continue;
      }
      check_signals();
      journal.append(answer_masked(*device, *model, set.run, task, example, masks, check_signals));
      progress.step(fmt::format("{} {}", task.id, example.id));
    }
}

}  // namespace

int HeadAblation::run() const {
  const TrialSet set(tasks, overrides, model);
  const OutputFolder folder(out);
  const ModelMark mark = mark_of(set.run.checkpoint, set.run.checkpoint.digests());
  const std::vector<Ranked> ranked = read_all(*this, set.run.checkpoint, mark);
  std::vector<HeadRanking> rankings;
  for (const Ranked& one : ranked) rankings.push_back(one.ranking);
  const MaskPlan plan{counts.empty() ? usual_counts(rankings) : counts, draws, set.run.sweep.seed};

  Ablation all;
  all.heads_per_layer = mark.heads;
  all.counts = plan.counts;
  all.draws = draws;
  all.masks = make_masks(rankings, plan);
  all.facts = facts_of(*this, set, mark, ranked, plan);
  for (const auto& [name, value] : all.facts)
    if (name.starts_with("LEAKAGE")) spdlog::warn("{}: {}", name, value);
  for (const HeadRanking& one : rankings) all.kinds.push_back(one.kind);
  for (const PlanTask& task : set.run.plan.tasks) all.main_scores[task.id] = task.dataset->main_score();
  AblationJournal journal(folder, identity_of(all, set), set.run.plan, all.masks.size());
  answer_all(*this, set, all.masks, journal);
  all.examples = journal.examples();

  for (const auto& [name, content] : ablation_files(all)) folder.write_file(name, content);
  fmt::print("{}", json ? ablation_json(all) : ablation_summary(all));
  spdlog::info("tables and page in {}", out);
  return 0;
}

}  // namespace evictbench
