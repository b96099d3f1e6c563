#include "datasets/metrics/numbers.h"

#include <vector>

#include "datasets/unicode.h"

namespace evictbench {
namespace {

std::vector<std::string_view> numbers_in(std::string_view text) {
  std::vector<std::string_view> out;
  std::size_t start = 0;
  bool open = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t first = at;
    const bool digit = is_decimal(next_code_point(text, at));
    if (digit && !open) start = first;
    if (!digit && open) out.push_back(text.substr(start, first - start));
    open = digit;
  }
  if (open) out.push_back(text.substr(start));
  return out;
}

double paragraph(std::string_view answer, std::string_view reference, std::string_view word) {
  for (std::size_t at = reference.find(word); at != reference.npos; at = reference.find(word, at + 1)) {
    const std::string_view rest = reference.substr(at + word.size());
    std::size_t peek = 0;
    if (!rest.empty() && is_decimal(next_code_point(rest, peek)))
      return count_numbers(answer, numbers_in(rest).front());
  }
  return 0;
}

}  // namespace

double count_numbers(std::string_view answer, std::string_view reference) {
  const std::vector<std::string_view> numbers = numbers_in(answer);
  std::size_t right = 0;
  for (const std::string_view number : numbers) right += number == reference;
  return numbers.empty() ? 0 : static_cast<double>(right) / static_cast<double>(numbers.size());
}

double retrieval(std::string_view answer, std::string_view reference) {
  return paragraph(answer, reference, "Paragraph ");
}

double retrieval_zh(std::string_view answer, std::string_view reference) {
  return paragraph(answer, reference, "段落");
}

}  // namespace evictbench
