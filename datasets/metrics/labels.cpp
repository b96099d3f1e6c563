#include "datasets/metrics/labels.h"

#include <algorithm>
#include <set>
#include <vector>

#include "datasets/text_metrics.h"
#include "datasets/unicode.h"

namespace evictbench {
namespace {

bool holds(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }
bool holds_words(std::string_view text, std::string_view part) {
  return contains_words(words_of(text), words_of(part));
}

std::string first_sentence(std::string_view answer) {
  std::string out = lower(answer);
  for (const std::string_view end : {".", "<context>", "<example>"})
    out.resize(std::min(out.find(end), out.size()));
  return out;
}

// The parts between commas; a short one such as "e,e" is one label.
std::vector<std::string> parts_of(const std::string& reference) {
  if (reference.size() <= 3) return {reference};
  std::vector<std::string> out;
  for (std::size_t at = 0; at <= reference.size();) {
    const std::size_t end = std::min(reference.find(',', at), reference.size());
    out.push_back(reference.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

double names_due_labels(const MetricInput& in, bool (*holds_label)(std::string_view, std::string_view)) {
  const std::string answer = first_sentence(in.answer), question = lower(in.question);
  std::set<std::string> named;
  for (const std::string& label : in.classes) {
    const std::string small = lower(label);
    if (holds_label(answer, small) && !holds_label(question, small)) named.insert(small);
  }
  for (const std::string& reference : in.references) {
    const std::vector<std::string> due = parts_of(lower(reference));
    if (named.size() == due.size() &&
        std::ranges::all_of(due, [&](const auto& d) { return named.contains(d); }))
      return 1;
  }
  return 0;
}

}  // namespace

double classification(std::string_view answer, std::string_view reference,
                      std::span<const std::string> classes) {
  std::size_t named = 0;
  bool due = false;
  for (const std::string& label : classes) {
    if (!holds(answer, label) || (label != reference && holds(reference, label))) continue;
    ++named;
    due = due || label == reference;
  }
  return due ? 1.0 / static_cast<double>(named) : 0;
}

double babilong_match(const MetricInput& in) { return names_due_labels(in, holds); }
double babilong_words(const MetricInput& in) { return names_due_labels(in, holds_words); }

}  // namespace evictbench
