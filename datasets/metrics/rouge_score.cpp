#include "datasets/metrics/rouge_score.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "datasets/metrics/common_subsequence.h"
#include "datasets/porter.h"
#include "datasets/unicode.h"

namespace evictbench {
namespace {

using Stems = std::vector<std::string>;

Stems stems_of(std::string_view text) {
  Stems out;
  std::string word;
  for (const char c : lower(text) + " ") {
    if (('a' <= c && c <= 'z') || ('0' <= c && c <= '9')) {
      word += c;
    } else if (!word.empty()) {
      out.push_back(word.size() > 3 ? porter_stem(std::move(word)) : std::move(word));
      word.clear();
    }
  }
  return out;
}

std::vector<Stems> lines_of(std::string_view text) {
  std::vector<Stems> out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (end > at) out.push_back(stems_of(text.substr(at, end - at)));
    at = end + 1;
  }
  return out;
}

std::map<std::pair<std::string, std::string>, int> pair_counts(const Stems& stems) {
  std::map<std::pair<std::string, std::string>, int> counts;
  for (std::size_t i = 0; i + 1 < stems.size(); ++i) ++counts[{stems[i], stems[i + 1]}];
  return counts;
}

std::map<std::string, int> word_counts(const Stems& stems) {
  std::map<std::string, int> counts;
  for (const std::string& stem : stems) ++counts[stem];
  return counts;
}

template <class Counts>
std::size_t common_of(const Counts& said, const Counts& due) {
  int common = 0;
  for (const auto& [run, n] : due)
    if (const auto found = said.find(run); found != said.end()) common += std::min(n, found->second);
  return static_cast<std::size_t>(common);
}

Rouge rouge_of(std::size_t common, std::size_t said, std::size_t due) {
  if (common == 0) return {};
  Rouge out;
  out.precision = static_cast<double>(common) / static_cast<double>(said);
  out.recall = static_cast<double>(common) / static_cast<double>(due);
  out.f = 2 * out.precision * out.recall / (out.precision + out.recall);
  return out;
}

// Stems get numbers in order of appearance.
class Numbers {
 public:
  std::vector<int> of(const Stems& stems) {
    std::vector<int> out;
    for (const std::string& stem : stems)
      out.push_back(numbers_.try_emplace(stem, static_cast<int>(numbers_.size())).first->second);
    return out;
  }

 private:
  std::unordered_map<std::string, int> numbers_;
};

std::size_t words_in(const std::vector<Stems>& lines) {
  std::size_t sum = 0;
  for (const Stems& line : lines) sum += line.size();
  return sum;
}

std::map<std::string, int> word_counts(const std::vector<Stems>& lines) {
  std::map<std::string, int> counts;
  for (const Stems& line : lines)
    for (const std::string& stem : line) ++counts[stem];
  return counts;
}

}  // namespace

Rouge rouge1(std::string_view answer, std::string_view reference) {
  const Stems said = stems_of(answer), due = stems_of(reference);
  return rouge_of(common_of(word_counts(said), word_counts(due)), said.size(), due.size());
}

Rouge rouge2(std::string_view answer, std::string_view reference) {
  const Stems said = stems_of(answer), due = stems_of(reference);
  return rouge_of(common_of(pair_counts(said), pair_counts(due)), said.empty() ? 0 : said.size() - 1,
                  due.empty() ? 0 : due.size() - 1);
}

Rouge rouge_long(std::string_view answer, std::string_view reference) {
  const Stems said = stems_of(answer), due = stems_of(reference);
  Numbers numbers;
  CommonSubsequence common;
  return rouge_of(common.walk(numbers.of(due), numbers.of(said), CommonSubsequence::Tie::kDue).size(),
                  said.size(), due.size());
}

Rouge rouge_long_sum(std::string_view answer, std::string_view reference) {
  const std::vector<Stems> said = lines_of(answer), due = lines_of(reference);
  auto said_left = word_counts(said), due_left = word_counts(due);
  Numbers numbers;
  std::vector<std::vector<int>> said_numbers;
  for (const Stems& line : said) said_numbers.push_back(numbers.of(line));
  CommonSubsequence subsequence;
  std::size_t common = 0;
  for (const Stems& line : due) {
    const std::vector<int> line_numbers = numbers.of(line);
    std::set<std::size_t> on_any;
    for (const std::vector<int>& other : said_numbers) {
      const auto& on_this = subsequence.walk(line_numbers, other, CommonSubsequence::Tie::kDue);
      on_any.insert(on_this.begin(), on_this.end());
    }
    for (const std::size_t i : on_any) {  // no word counts more often than it stands in either text
      int& a = said_left[line[i]];
      int& b = due_left[line[i]];
      if (a <= 0 || b <= 0) continue;
      --a;
      --b;
      ++common;
    }
  }
  return rouge_of(common, words_in(said), words_in(due));
}

double rouge1_recall(std::string_view answer, std::string_view reference) {
  return rouge1(answer, reference).recall;
}

}  // namespace evictbench
