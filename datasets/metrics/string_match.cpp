#include "datasets/metrics/string_match.h"

#include <algorithm>

#include "datasets/unicode.h"

namespace evictbench {
namespace {

std::size_t found_in(const MetricInput& in) {
  std::string answer = lower(in.answer);
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
