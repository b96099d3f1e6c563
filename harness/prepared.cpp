#include "harness/prepared.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "harness/commands.h"
#include "harness/needles.h"
#include "harness/prompts.h"

namespace evictbench {

Prepared::Prepared(Sweep resolved)
    : sweep(std::move(resolved)),
      checkpoint(sweep.model.path),
      chat(load_chat_template(sweep.model.path, sweep.model.chat)),
      plan(make_plan(sweep, counter())) {
  check_lengths();
  check_references();
  const DecoderConfig& c =
      checkpoint.config();  // refuses calibration files of another model, before a weight is read
  needs_of(plan.points, {c.layers, c.q_heads, c.kv_heads, c.head_dim, 1});
  scores = check_scores(
      plan.points, [&] { return mark_of(checkpoint, digests()); }, sweep.model.allow_other_scores);
}

const std::vector<std::pair<std::string, std::string>>& Prepared::digests() const {
  if (digests_.empty()) digests_ = checkpoint.digests();
  return digests_;
}

TokenCounter Prepared::counter() const {
  const auto prompt = [this](std::string_view context, std::string_view question,
                             std::string_view answer_prefix) {
    return encode_prompt(checkpoint.tokenizer(), chat, std::string(context), std::string(question),
                         std::string(answer_prefix));
  };
  const std::size_t before = prompt("", "", "").context.size();  // what stands before any context
  return {.text =
              [=](std::string_view text) {
                return static_cast<int>(prompt(text, "", "").context.size() - before);
              },
          .beside =
              [=](std::string_view question, std::string_view answer_prefix) {
                return static_cast<int>(before + prompt("", question, answer_prefix).question.size());
              },
          .prompt =
              [this](const Example& example) {
                const Prompt whole = prompt_of(example);
                return std::pair(static_cast<int>(whole.context.size() + whole.question.size()),
                                 static_cast<int>(whole.question.size()));
              },
          .first =
              [this](std::string_view text, int tokens, const NeedleRules& rules) {
                return first_tokens(checkpoint.tokenizer(), text, tokens, rules);
              },
          .hide =
              [this](std::string_view context, std::string_view needle, int tokens, double depth,
                     const NeedleRules& rules) {
                return hide_needle(checkpoint.tokenizer(), context, needle, tokens, depth, rules);
              }};
}

Prompt Prepared::prompt_of(const Example& example) const {
  return encode_example(checkpoint.tokenizer(), chat, example);
}

DecodeLimits Prepared::limits_of(const Example& example) const {
  DecodeLimits limits{.max_new = example.max_new,
                      .end_tokens = checkpoint.config().eos_tokens,
                      .first_may_end = example.first_may_end};
  if (example.line_ends)  // as published: the last token of a line feed, whatever a tokenizer puts in front
    limits.end_tokens.push_back(checkpoint.tokenizer().encode("\n", {.add_special = false}).back());
  return limits;
}

// The reference goes on where the prompt ends: behind a space, unless that ends in white space or a special token.
Continuation Prepared::continuation_of(const Example& example, const Prompt& prompt) const {
  Continuation out{.kind = plan.fidelity};
  if (out.kind != Continuation::Kind::kReference) return out;
  const Tokenizer& tokenizer = checkpoint.tokenizer();
  const Tokens& last = prompt.question.empty() ? prompt.context : prompt.question;
  const std::string before = tokenizer.decode(std::span(last).last(1));
  const bool apart =
      !before.empty() && std::string_view(" \t\r\n").find(before.back()) == std::string_view::npos;
  out.reference = tokenizer.encode((apart ? " " : "") + example.answers.front(),
                                   {.add_special = false, .continues = true});
  out.reference.resize(std::min(out.reference.size(), static_cast<std::size_t>(example.max_new)));
  return out;
}

void Prepared::check_references() const {
  if (plan.fidelity != Continuation::Kind::kReference) return;
  for (const PlanTask& task : plan.tasks)
    for (const Example& example : task.examples)
      if (example.answers.empty() || example.answers.front().empty())
        reject(Exit::kSweep,
               {"E-PL-03", sweep.file, "protocol.fidelity",
                fmt::format("example {} of task {} has no reference answer", printable(example.id),
                            printable(task.id)),
                "one for every example, to measure fidelity along it", "write fidelity: answer"});
}

void Prepared::check_lengths() const {
  const std::int64_t most = checkpoint.config().context();
  for (const PlanTask& task : plan.tasks)
    for (std::size_t i = 0; i < task.examples.size(); ++i)
      if (task.tokens[i] + task.examples[i].max_new > most)
        reject(Exit::kSweep, {"E-CF-10", sweep.file, "tasks " + task.id,
                              fmt::format("{} prompt tokens and {} new ones in example {}", task.tokens[i],
                                          task.examples[i].max_new, task.examples[i].id),
                              fmt::format("at most {} together, the context of {}", most, sweep.model.path),
                              "choose shorter lengths or a model of longer context"});
}

}  // namespace evictbench
