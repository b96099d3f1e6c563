#include "datasets/ruler_tasks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>

namespace evictbench {
namespace {

using Kind = RulerTask::Kind;
using Haystack = RulerTask::Haystack;

constexpr RulerTask kTasks[] = {
    {"niah_single_1", Kind::kNiah, 128, Haystack::kNoise},
    {"niah_single_2", Kind::kNiah, 128, Haystack::kEssay},
    {"niah_single_3", Kind::kNiah, 128, Haystack::kEssay, false, true},
    {"niah_multikey_1", Kind::kNiah, 128, Haystack::kEssay, false, false, 4},
    {"niah_multikey_2", Kind::kNiah, 128, Haystack::kNeedles},
    {"niah_multikey_3", Kind::kNiah, 128, Haystack::kNeedles, true, true},
    {"niah_multivalue", Kind::kNiah, 128, Haystack::kEssay, false, false, 1, 4},
    {"niah_multiquery", Kind::kNiah, 128, Haystack::kEssay, false, false, 4, 1, 4},
    {"vt", Kind::kVariables, 30},
    {"cwe", Kind::kCommonWords, 120},
    {"fwe", Kind::kFrequentWords, 50},
    {"qa_1", Kind::kDocuments, 32},
    {"qa_2", Kind::kDocuments, 32},
};

constexpr std::string_view kAnswerFromDocuments =
    "Answer the question based on the given documents. Only give me the answer and do not output any other "
    "words.";

// "a", "a, and b", "a, b, and c"
std::string listed(const std::vector<std::string>& queries) {
  if (queries.size() == 1) return queries[0];
  const auto last = queries.end() - 1;
  return fmt::format("{}, and {}", fmt::join(queries.begin(), last, ", "), *last);
}

}  // namespace

std::span<const RulerTask> ruler_tasks() { return kTasks; }

const RulerTask* ruler_task(std::string_view name) {
  const auto* const found = std::ranges::find(kTasks, name, &RulerTask::name);
  return found == std::end(kTasks) ? nullptr : found;
}

std::string ruler_needle(std::string_view type, std::string_view key, std::string_view value) {
  return fmt::format("One of the special magic {} for {} is: {}.", type, key, value);
}

RulerText ruler_needles_text(std::string_view type, bool one, std::string_view haystack,
                             const std::vector<std::string>& queries) {
  if (one) type.remove_suffix(1);
  const std::string query = listed(queries);
  return {fmt::format("{} special magic {} {} hidden within the following text. Make sure to memorize it. I "
                      "will quiz you about "
                      "the {} afterwards.\n{}",
                      one ? "A" : "Some", type, one ? "is" : "are", type, haystack),
          fmt::format("\nWhat {} the special magic {} for {} mentioned in the provided text?",
                      one ? "is" : "are all", type, query),
          fmt::format(" The special magic {} for {} mentioned in the provided text {}", type, query,
                      one ? "is" : "are"),
          {}};
}

RulerText ruler_variables_text(std::string_view haystack, std::string_view value, std::size_t variables) {
  return {
      fmt::format(
          "Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n{}",
          haystack),
      fmt::format("\nQuestion: Find all variables that are assigned the value {} in the text above.", value),
      fmt::format(" Answer: According to the chain(s) of variable assignment in the text above, {} variables "
                  "are assigned the "
                  "value {}, they are: ",
                  variables, value),
      {}};
}

RulerText ruler_common_words_text(std::string_view list) {
  return {fmt::format("Below is a numbered list of words. In these words, some appear more often than "
                      "others. Memorize the ones "
                      "that appear most often.\n{}",
                      list),
          "\nQuestion: What are the 10 most common words in the above list?",
          " Answer: The top 10 words that appear most often in the list are:",
          {}};
}

RulerText ruler_frequent_words_text(std::string_view words) {
  return {fmt::format("Read the following coded text and track the frequency of each coded word. Find the "
                      "three most frequently "
                      "appeared coded words. {}",
                      words),
          "\nQuestion: Do not provide any explanation. Please ignore the dots '....'. What are the three "
          "most frequently appeared "
          "words in the above coded text?",
          " Answer: According to the coded text above, the three most frequently appeared words are:",
          {}};
}

RulerText ruler_documents_text(std::string_view documents, std::string_view question) {
  return {fmt::format("{}\n\nThe following are given documents.\n\n{}", kAnswerFromDocuments, documents),
          fmt::format("\n\n{}\n\nQuestion: {}", kAnswerFromDocuments, question),
          " Answer:",
          {}};
}

std::size_t ruler_question_at(const RulerTask& task, std::string_view prompt) {
  if (task.kind == Kind::kDocuments) return prompt.rfind(fmt::format("\n\n{}", kAnswerFromDocuments));
  if (task.kind != Kind::kNiah) return prompt.rfind("\nQuestion: ");
  const std::size_t one = prompt.rfind("\nWhat is the special magic "),
                    all = prompt.rfind("\nWhat are all the special magic ");
  return one == prompt.npos ? all : one;
}

}  // namespace evictbench
