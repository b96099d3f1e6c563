#pragma once

#include <span>
#include <string>
#include <string_view>

// BABILong (Kuratov et al. 2024, arXiv:2406.10149): 20 tasks as data, one row each. The texts of a prompt are those of
// babilong/prompts.py of booydar/babilong, letter by letter, its slips included; labels are those of babilong/metrics.py.
namespace evictbench {

struct BabilongTask {
  std::string_view name;   // "qa1"
  std::string_view title;  // bAbI's name of it
  std::string_view instruction, examples, post_prompt;
  std::span<const std::string_view> labels;  // what an answer may name
};

std::span<const BabilongTask> babilong_tasks();            // qa1 to qa20
const BabilongTask* babilong_task(std::string_view name);  // null: no such task

// The official prompt, before and behind the facts: its beginning ends where the context begins, without the context's own
// blanks around it; blanks at the end of a question fall away with those of the whole prompt.
std::string babilong_context(const BabilongTask& task, std::string_view input);
std::string babilong_question(std::string_view question);

}  // namespace evictbench
