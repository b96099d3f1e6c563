#include "datasets/metrics/code_similarity.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "datasets/unicode.h"

namespace evictbench {
namespace {

// Python's difflib.SequenceMatcher over characters: the longest block that both texts share, then the same to its left and to
// its right.
class SequenceMatcher {
 public:
  SequenceMatcher(std::u32string a, std::u32string b) : a_(std::move(a)), b_(std::move(b)) {
    for (std::size_t j = 0; j < b_.size(); ++j) places_[b_[j]].push_back(j);
    if (b_.size() < kLong) return;
    const std::size_t most = b_.size() / 100 + 1;
    std::erase_if(places_, [&](const auto& entry) { return entry.second.size() > most; });
  }

  std::size_t matches() {  // characters in all blocks
    std::size_t sum = 0;
    std::vector<Range> open{{0, a_.size(), 0, b_.size()}};
    while (!open.empty()) {
      const Range range = open.back();
      open.pop_back();
      const Block block = longest(range);
      if (block.size == 0) continue;
      sum += block.size;
      open.push_back({range.a_first, block.a, range.b_first, block.b});
      open.push_back({block.a + block.size, range.a_end, block.b + block.size, range.b_end});
    }
    return sum;
  }

 private:
  static constexpr std::size_t kLong = 200;  // from here on characters that are frequent in b begin no block
  struct Range {
    std::size_t a_first, a_end, b_first, b_end;
  };
  struct Block {
    std::size_t a, b, size;
  };

  // Places of a character within a range of b.
  std::span<const std::size_t> places_in(char32_t c, const Range& in) const {
    const auto found = places_.find(c);
    if (found == places_.end()) return {};
    const auto first = std::ranges::lower_bound(found->second, in.b_first);
    return {first, std::lower_bound(first, found->second.end(), in.b_end)};
  }

  Block longest(const Range& in) {
    Block best{in.a_first, in.b_first, 0};
    std::span<const std::size_t> last;  // the places that are set in before_
    const auto clear_last = [&] {
      for (const std::size_t j : last) before_[j + 1] = 0;
    };
    for (std::size_t i = in.a_first; i < in.a_end; ++i) {
      const auto places = places_in(a_[i], in);
      for (const std::size_t j : places) {
        const std::size_t size = now_[j + 1] = before_[j] + 1;
        if (size > best.size) best = {i + 1 - size, j + 1 - size, size};
      }
      clear_last();
      std::swap(before_, now_);
      last = places;
    }
    clear_last();
    while (best.a > in.a_first && best.b > in.b_first && a_[best.a - 1] == b_[best.b - 1]) {
      --best.a;
      --best.b;
      ++best.size;
    }
    while (best.a + best.size < in.a_end && best.b + best.size < in.b_end &&
           a_[best.a + best.size] == b_[best.b + best.size])
      ++best.size;
    return best;
  }

  std::u32string a_, b_;
  std::unordered_map<char32_t, std::vector<std::size_t>> places_;  // in b, ascending
  std::vector<std::size_t> before_ = std::vector<std::size_t>(b_.size() + 1, 0),
                           now_ = before_;  // at j + 1: the size of the block that ends at j; 0 between calls
};

std::size_t longest_common_subsequence(const std::u32string& a, const std::u32string& b) {
  std::vector<std::size_t> row(b.size() + 1, 0);
  for (const char32_t c : a) {
    std::size_t diagonal = 0;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = c == b[j - 1] ? diagonal + 1 : std::max(above, row[j - 1]);
      diagonal = above;
    }
  }
  return row.back();
}

// Half to even, as Python rounds.
int percent(std::size_t common, std::size_t both) {
  const double ratio = 2.0 * static_cast<double>(common) / static_cast<double>(both);
  return static_cast<int>(std::nearbyint(100 * ratio));
}

}  // namespace

std::string_view first_code_line(std::string_view answer) {
  while (answer.starts_with('\n')) answer.remove_prefix(1);
  for (std::size_t at = 0; at <= answer.size();) {
    const std::size_t end = std::min(answer.find('\n', at), answer.size());
    const std::string_view line = answer.substr(at, end - at);
    if (line.find_first_of("`#") == line.npos && line.find("//") == line.npos) return line;
    at = end + 1;
  }
  return "";
}

int difflib_percent(std::string_view a, std::string_view b) {
  if (a == b) return 100;
  if (a.empty() || b.empty()) return 0;
  const std::u32string left = code_points(a), right = code_points(b);
  const std::size_t both = left.size() + right.size();
  return percent(SequenceMatcher(left, right).matches(), both);
}

int indel_percent(std::string_view a, std::string_view b) {
  if (a == b) return 100;
  if (a.empty() || b.empty()) return 0;
  const std::u32string left = code_points(a), right = code_points(b);
  return percent(longest_common_subsequence(left, right), left.size() + right.size());
}

double code_sim(std::string_view answer, std::string_view reference) {
  return difflib_percent(first_code_line(answer), reference) / 100.0;
}

double code_sim_levenshtein(std::string_view answer, std::string_view reference) {
  return indel_percent(first_code_line(answer), reference) / 100.0;
}

}  // namespace evictbench
