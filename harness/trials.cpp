#include "harness/trials.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/ops.h"

namespace evictbench {
namespace {

Trial trial_of(const Prepared& run, const PlanTask& task, const Example& example) {
  if (example.evidence.size == 0)
    reject(Exit::kSweep, {"E-HD-01", run.sweep.file, fmt::format("task {}", printable(task.id)),
                          fmt::format("the answer of {} is not read from one known place", example.id),
                          "a task whose examples have evidence",
                          "use niah, or recall of the kinds needle, multi_key, two_hop, code or variables"});
  Trial trial{.task = task.id, .example = example.id, .source = &example, .prompt = {}, .evidence = {}};
  Prompt prompt = run.prompt_of(example);
  trial.prompt = std::move(prompt.context);
  trial.evidence = tokens_of(run.checkpoint.tokenizer(), trial.prompt, example.context, example.evidence);
  trial.prompt.insert(trial.prompt.end(), prompt.question.begin(), prompt.question.end());
  return trial;
}

}  // namespace

TrialSet::TrialSet(const std::string& file, const std::vector<std::string>& overrides, SweepModel model)
    : TrialSet(file.empty() ? load_tasks_text(kHeadTasks, "the default tasks", overrides, std::move(model))
                            : load_tasks(file, overrides, std::move(model))) {}

TrialSet::TrialSet(Sweep sweep)
    : data(data_facts(sweep)), counts_(take_counts(sweep)), run(std::move(sweep)) {
  for (std::size_t i = 0; i < counts_.size(); ++i)
    for (const Example& example : run.plan.tasks[i].examples) {
      trials.push_back(trial_of(run, run.plan.tasks[i], example));
      trials.back().copy = counts_[i].copy;
      trials.back().reasoning = counts_[i].reasoning;
    }
}

// The key `scores` is ours, not the dataset's.
std::vector<TrialSet::Counts> TrialSet::take_counts(Sweep& sweep) {
  std::vector<Counts> all;
  for (SweepTask& task : sweep.tasks) {
    Counts counts;
    const bool given = task.options.has("scores");
    for (const std::string& name :
         given ? task.options.texts("scores") : std::vector<std::string>{"copy", "reasoning"}) {
      if (name != "copy" && name != "reasoning")
        reject(Exit::kSweep, {"E-HD-02", sweep.file, task.options.position_of("scores"),
                              fmt::format("\"{}\" is no score", printable(name)), "copy, reasoning or both",
                              "write scores: copy"});
      (name == "copy" ? counts.copy : counts.reasoning) = true;
    }
    task.options.options.erase("scores");
    all.push_back(counts);
  }
  return all;
}

TokenSpan tokens_of(const Tokenizer& tokenizer, std::span<const std::int32_t> ids, std::string_view text,
                    Extent bytes) {
  const auto stream = tokenizer.stream(true);
  std::string decoded;
  std::vector<std::size_t> ends;  // of each token, in bytes of the decoded text
  for (const std::int32_t id : ids) {
    decoded += stream->add(id);
    ends.push_back(decoded.size() + stream->waiting());
  }
  decoded += stream->finish();
  if (!decoded.ends_with(text))
    reject(Exit::kInput, {"E-HD-03", "tokenizer", "", "it does not give back the text that it was given",
                          "a tokenizer that keeps every character",
                          "heads cannot be measured with this tokenizer: their evidence has no known place"});
  const std::size_t begin = decoded.size() - text.size() + bytes.begin;
  const auto first = std::ranges::upper_bound(ends, begin);
  const auto last = std::ranges::lower_bound(first, ends.end(), begin + bytes.size) + 1;
  return {static_cast<int>(first - ends.begin()), static_cast<int>(last - ends.begin())};
}

Answering::Answering(Device& device, const Model& model, const Checkpoint& checkpoint,
                     std::function<void()> between)
    : device_(device), model_(model), checkpoint_(checkpoint), between_(std::move(between)) {}

std::shared_ptr<const Snapshot> Answering::prefill(const Trial& trial) const {
  require(trial.prompt.size() > 1, "a trial of less than two tokens");
  return model_.prefill(device_, std::span(trial.prompt).first(trial.prompt.size() - 1), {},
                        {.tap = nullptr, .all_logits = {}, .checkpoint = between_});
}

bool Answering::ends(const Tokens& answer, std::int32_t token) const {
  if (std::ranges::count(checkpoint_.config().eos_tokens, token)) return true;
  Tokens longer = answer;
  longer.push_back(token);
  const std::string said = text(longer);
  return said.find('\n', std::min(said.size(), said.find_first_not_of(" \t\n\r"))) != said.npos;
}

Tokens Answering::answer(const Trial& trial, const std::shared_ptr<const Snapshot>& snapshot,
                         const AttentionTap& tap, const Heard& heard) const {
  const KvShape& s = snapshot->shape();
  const int room = trial.source->max_new;
  const Kept everything{Selection::everything(s.layers, s.kv_heads, s.tokens), {}, {}};
  RaggedCache cache(snapshot, std::span(&everything, 1), s.tokens, room);
  Tokens answer, fed{trial.prompt.back()};
  while (std::ssize(answer) < room) {
    const Tensor logits = model_.extend(device_, cache, std::span(&fed, 1),
                                        {.tap = &tap, .all_logits = {}, .checkpoint = between_});
    const std::int32_t token = device_.ops().best(device_, logits)[0];
    if (token < 0)
      reject(Exit::kInput,
             {"E-HD-04", checkpoint_.path(), "",
              fmt::format("a logit that is not a number in trial {} {}", trial.task, trial.example),
              "finite logits", "check the weights: evictbench validate --check-weights"});
    if (ends(answer, token)) {
      if (heard.ended) heard.ended();
      break;
    }
    if (heard.given) heard.given(token);
    answer.push_back(token);
    fed = {token};
  }
  return answer;
}

}  // namespace evictbench
