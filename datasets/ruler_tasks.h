#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

// RULER (Hsieh et al. 2024, arXiv:2404.06654): its 13 tasks as data, with the texts and numbers of NVIDIA/RULER's
// scripts/data/synthetic/constants.py and scripts/synthetic.yaml.
namespace evictbench {

struct RulerTask {
  enum class Kind { kNiah, kVariables, kCommonWords, kFrequentWords, kDocuments };
  enum class Haystack { kNoise, kEssay, kNeedles };

  std::string_view name;
  Kind kind;
  int max_new = 0;  // answer tokens
  // Of needles:
  Haystack haystack = Haystack::kNoise;
  bool uuid_keys = false, uuid_values = false;  // else words and numbers
  int keys = 1, values = 1, queries = 1;        // values of each key

  std::string_view metric() const { return kind == Kind::kDocuments ? "ruler_any" : "ruler_all"; }
};

std::span<const RulerTask> ruler_tasks();            // in RULER's order
const RulerTask* ruler_task(std::string_view name);  // null: no such task

constexpr std::string_view kRulerNoise =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";

// A prompt: context, question and answer prefix follow each other without anything between; a chat template ends before the
// prefix.
struct RulerText {
  std::string context, question, answer_prefix;
  std::vector<std::string> answers;
  std::string needle{};  // what holds the answer, where that is one line
};

// The templates filled in. Of needles: `type` is "numbers" or "uuids", and the text is in the singular for one answer, as the
// program has it.
std::string ruler_needle(std::string_view type, std::string_view key, std::string_view value);
RulerText ruler_needles_text(std::string_view type, bool one, std::string_view haystack,
                             const std::vector<std::string>& queries);
RulerText ruler_variables_text(std::string_view haystack, std::string_view value, std::size_t variables);
RulerText ruler_common_words_text(std::string_view list);
RulerText ruler_frequent_words_text(std::string_view words);
RulerText ruler_documents_text(std::string_view documents, std::string_view question);

// Where in a whole prompt of this task its question begins; npos: nowhere.
std::size_t ruler_question_at(const RulerTask& task, std::string_view prompt);

}  // namespace evictbench
