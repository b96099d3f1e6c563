#include "datasets/metrics/rouge.h"

#include <algorithm>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "datasets/metrics/common_subsequence.h"
#include "datasets/unicode.h"

namespace evictbench {
namespace {

using Sentence = std::vector<int>;  // its words, by number

// Words get numbers in order of appearance.
class Words {
 public:
  int number(const std::string& word) {
    return numbers_.try_emplace(word, static_cast<int>(numbers_.size())).first->second;
  }
  std::size_t size() const { return numbers_.size(); }

 private:
  std::unordered_map<std::string, int> numbers_;
};

// The words of the text between two full stops; one that is blank has the one word "".
Sentence words_of_piece(std::string_view piece, Words& words) {
  Sentence out;
  std::string word;
  for (std::size_t at = 0; at < piece.size();) {
    const std::size_t first = at;
    if (!is_space(next_code_point(piece, at))) {
      word += piece.substr(first, at - first);
    } else if (!word.empty()) {
      out.push_back(words.number(word));
      word.clear();
    }
  }
  if (!word.empty() || out.empty()) out.push_back(words.number(word));
  return out;
}

std::vector<Sentence> sentences_of(std::string_view text, Words& words) {
  std::vector<Sentence> out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t stop = std::min(text.find('.', at), text.size());
    if (stop > at) out.push_back(words_of_piece(text.substr(at, stop - at), words));
    at = stop + 1;
  }
  return out;
}

double f_of(std::size_t common, std::size_t said, std::size_t due) {
  const double precision = said == 0 ? 0 : static_cast<double>(common) / static_cast<double>(said);
  const double recall = due == 0 ? 0 : static_cast<double>(common) / static_cast<double>(due);
  return 2.0 * (precision * recall / (precision + recall + 1e-8));
}

std::size_t distinct(const std::vector<Sentence>& sentences) {
  std::set<int> all;
  for (const Sentence& sentence : sentences) all.insert(sentence.begin(), sentence.end());
  return all.size();
}

// Distinct runs of `n` words over all sentences put together.
std::set<std::vector<int>> runs(const std::vector<Sentence>& sentences, std::size_t n) {
  Sentence all;
  for (const Sentence& sentence : sentences) all.insert(all.end(), sentence.begin(), sentence.end());
  std::set<std::vector<int>> out;
  for (std::size_t i = 0; i + n <= all.size(); ++i)
    out.emplace(all.begin() + static_cast<std::ptrdiff_t>(i),
                all.begin() + static_cast<std::ptrdiff_t>(i + n));
  return out;
}

double rouge_n(std::string_view answer, std::string_view reference, std::size_t n) {
  Words words;
  const auto said = sentences_of(answer, words), due = sentences_of(reference, words);
  if (said.empty() || due.empty()) return 0;
  const auto said_runs = runs(said, n), due_runs = runs(due, n);
  const auto common =
      std::ranges::count_if(due_runs, [&](const auto& run) { return said_runs.contains(run); });
  return f_of(static_cast<std::size_t>(common), said_runs.size(), due_runs.size());
}

std::string spaced(const std::vector<std::string_view>& tokens) {
  std::string out;
  for (std::size_t i = 0; i < tokens.size(); ++i) (out += i == 0 ? "" : " ") += tokens[i];
  return out;
}

}  // namespace

double rouge_1(std::string_view answer, std::string_view reference) { return rouge_n(answer, reference, 1); }
double rouge_2(std::string_view answer, std::string_view reference) { return rouge_n(answer, reference, 2); }

double rouge_l(std::string_view answer, std::string_view reference) {
  Words words;
  const auto said = sentences_of(answer, words), due = sentences_of(reference, words);
  if (said.empty() || due.empty()) return 0;  // the package refuses to score these
  std::vector<char> marked(words.size(), 0);
  CommonSubsequence common;
  for (const Sentence& r : due)
    for (const Sentence& h : said)
      for (const std::size_t i : common.walk(r, h, CommonSubsequence::Tie::kSaid))
        marked[static_cast<std::size_t>(r[i])] = 1;
  return f_of(static_cast<std::size_t>(std::ranges::count(marked, 1)), distinct(said), distinct(due));
}

double rouge_l_zh(const Segmenter& segmenter, std::string_view answer, std::string_view reference) {
  return rouge_l(spaced(segmenter.cut(answer)), spaced(segmenter.cut(reference)));
}

}  // namespace evictbench
