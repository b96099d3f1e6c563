#include "harness/prepared.h"

#include <fmt/format.h>

#include "harness/commands.h"

namespace evictbench {

Prepared::Prepared(const std::string& sweep_file, const std::vector<std::string>& overrides)
    : sweep(load_sweep(sweep_file, overrides)),
      checkpoint(sweep.model.path),
      chat(load_chat_template(sweep.model.path, sweep.model.chat)),
      plan(make_plan(sweep, counter(), overhead())) {
  check_lengths();
}

TokenCounter Prepared::counter() const {
  return [tokenizer = &checkpoint.tokenizer()](std::string_view text) {
    return static_cast<int>(tokenizer->encode(text, {.add_special = false}).size());
  };
}

Prompt Prepared::prompt_of(const Example& example) const {
  return encode_prompt(checkpoint.tokenizer(), chat, example.context, example.question,
                       example.answer_prefix);
}

int Prepared::overhead() const {
  constexpr std::size_t kSeparators = 3;
  const Prompt empty = encode_prompt(checkpoint.tokenizer(), chat, "", "", "");
  return static_cast<int>(empty.context.size() + empty.question.size() + kSeparators);
}

void Prepared::check_lengths() const {
  const int most = checkpoint.config().max_positions;
  for (const PlanTask& task : plan.tasks)
    for (std::size_t i = 0; i < task.examples.size(); ++i)
      if (task.tokens[i] + task.examples[i].max_new > most)
        reject(Exit::kSweep,
               {"E-CF-10", sweep.file, "tasks " + task.id,
                fmt::format("{} prompt tokens and {} new ones in example {}", task.tokens[i],
                            task.examples[i].max_new, task.examples[i].id),
                fmt::format("at most {} together, max_position_embeddings of {}", most, sweep.model.path),
                "choose shorter lengths or a model of longer context"});
}

}  // namespace evictbench
