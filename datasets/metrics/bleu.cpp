#include "datasets/metrics/bleu.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include "datasets/unicode.h"

namespace evictbench {
namespace {

using Runs = std::map<std::vector<std::string>, std::int64_t>;

Runs runs_of(const std::vector<std::string>& tokens) {
  Runs runs;
  for (std::size_t first = 0; first < tokens.size(); ++first)
    for (std::size_t n = 1; n <= 4 && first + n <= tokens.size(); ++n)
      ++runs[{tokens.begin() + static_cast<std::ptrdiff_t>(first),
              tokens.begin() + static_cast<std::ptrdiff_t>(first + n)}];
  return runs;
}

std::string_view without_trailing_space(std::string_view text) {
  std::size_t end = 0;
  for (std::size_t at = 0; at < text.size();)
    if (!is_space(next_code_point(text, at))) end = at;
  return text.substr(0, end);
}

bool is_digit(char32_t c) { return '0' <= c && c <= '9'; }
bool is_stop(char32_t c) { return c == '.' || c == ','; }

// ASCII marks that stand alone: all but ' , - . (and, as published, the space).
bool is_mark_13a(char32_t c) {
  return ('{' <= c && c <= '~') || ('[' <= c && c <= '`') || (' ' <= c && c <= '&') ||
         ('(' <= c && c <= '+') || (':' <= c && c <= '@') || c == '/';
}

// Replaces pairs of characters, left to right and without overlap, as a regular expression of two characters does.
template <class Matches>
std::u32string space_pairs(const std::u32string& text, Matches matches, bool before_first,
                           bool around_second) {
  std::u32string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i + 1 == text.size() || !matches(text[i], text[i + 1])) {
      out += text[i];
      continue;
    }
    if (before_first) out += U' ';
    (out += text[i]) += U' ';
    out += text[++i];
    if (around_second) out += U' ';
  }
  return out;
}

}  // namespace

std::vector<std::string> tokens_13a(std::string_view text) {
  std::string line(without_trailing_space(text));
  replace_all(line, "<skipped>", "");
  replace_all(line, "-\n", "");
  replace_all(line, "\n", " ");
  for (const auto& [name, mark] : {std::pair{"&quot;", "\""}, {"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}})
    replace_all(line, name, mark);
  std::u32string spaced = U" ";
  for (const char32_t c : code_points(line)) {
    const bool alone = is_mark_13a(c);
    if (alone) spaced += U' ';
    spaced += c;
    if (alone) spaced += U' ';
  }
  spaced += U' ';
  spaced = space_pairs(
      spaced, [](char32_t a, char32_t b) { return !is_digit(a) && is_stop(b); }, false, true);
  spaced = space_pairs(
      spaced, [](char32_t a, char32_t b) { return is_stop(a) && !is_digit(b); }, true, false);
  spaced = space_pairs(
      spaced, [](char32_t a, char32_t b) { return is_digit(a) && b == '-'; }, false, true);
  std::vector<std::string> tokens;
  bool open = false;
  for (const char32_t c : spaced) {
    const bool blank = is_space(c);
    if (!blank && !open) tokens.emplace_back();
    if (!blank) append_code_point(tokens.back(), c);
    open = !blank;
  }
  return tokens;
}

void BleuCounts::add(std::string_view answer, std::span<const std::string> references) {
  const std::vector<std::string> tokens = tokens_13a(answer);
  const auto size = static_cast<std::int64_t>(tokens.size());
  Runs due_runs;
  std::int64_t nearest = -1;
  for (const std::string& reference : references) {
    const std::vector<std::string> due_tokens = tokens_13a(reference);
    const auto length = static_cast<std::int64_t>(due_tokens.size());
    const std::int64_t far = std::abs(length - size), least = std::abs(nearest - size);
    if (nearest < 0 || far < least || (far == least && length < nearest)) nearest = length;
    for (const auto& [run, n] : runs_of(due_tokens)) due_runs[run] = std::max(due_runs[run], n);
  }
  said += size;
  due += std::max<std::int64_t>(nearest, 0);
  for (const auto& [run, n] : runs_of(tokens)) {
    all[run.size() - 1] += n;
    if (const auto found = due_runs.find(run); found != due_runs.end())
      common[run.size() - 1] += std::min(n, found->second);
  }
}

double BleuCounts::score(bool effective_order) const {
  if (std::ranges::all_of(common, [](std::int64_t n) { return n == 0; })) return 0;
  double sum = 0, smooth = 1;
  int orders = 0;
  for (std::size_t n = 0; n < 4; ++n) {
    if (all[n] == 0) break;
    ++orders;
    const auto total = static_cast<double>(all[n]);
    if (common[n] == 0) smooth *= 2;
    sum +=
        std::log(common[n] == 0 ? 100.0 / (smooth * total) : 100.0 * static_cast<double>(common[n]) / total);
  }
  if (!effective_order && orders < 4) return 0;  // a precision of 0
  const double brevity = said < due ? std::exp(1 - static_cast<double>(due) / static_cast<double>(said)) : 1;
  return std::min(1.0, brevity * std::exp(sum / (effective_order ? orders : 4)) / 100);
}

double sentence_bleu(std::string_view answer, std::span<const std::string> references) {
  BleuCounts counts;
  counts.add(answer, references);
  return counts.score(true);
}

}  // namespace evictbench
