#include "datasets/metrics/string_match.h"

#include <algorithm>

#include "datasets/unicode.h"

namespace evictbench {
namespace {

// White space around an answer does not count.
std::string_view stripped(std::string_view text) {
  std::size_t begin = text.size(), end = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t first = at;
    if (is_space(next_code_point(text, at))) continue;
    begin = std::min(begin, first);
    end = at;
  }
  return text.substr(std::min(begin, end), end - std::min(begin, end));
}

std::size_t found_in(const MetricInput& in) {
  std::string answer = lower(stripped(in.answer));
  std::ranges::replace_if(
      answer, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, '\n');
  return static_cast<std::size_t>(std::ranges::count_if(in.references, [&](const std::string& reference) {
    return answer.find(lower(reference)) != answer.npos;
  }));
}

}  // namespace

double ruler_all(const MetricInput& in) {
  return in.references.empty()
             ? 0
             : static_cast<double>(found_in(in)) / static_cast<double>(in.references.size());
}

double ruler_any(const MetricInput& in) { return found_in(in) > 0 ? 1 : 0; }

}  // namespace evictbench
