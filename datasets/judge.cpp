#include "datasets/judge.h"

#include "datasets/unicode.h"

namespace evictbench {

std::string_view judged_part(Judge::Part part, std::string_view answer) {
  if (part == Judge::Part::kAll) return answer;
  if (part == Judge::Part::kBeforeStop) return answer.substr(0, answer.find("###"));
  for (std::size_t at = 0; at < answer.size(); at = 0) {
    const char32_t c = next_code_point(answer, at);
    if (c != '\n' && (part == Judge::Part::kFirstLine || !is_space(c))) break;
    answer.remove_prefix(at);
  }
  return answer.substr(0, answer.find('\n'));
}

const char* name_of(Judge::Part part) {
  switch (part) {
    case Judge::Part::kFirstLine:
      return "first line";
    case Judge::Part::kFirstText:
      return "first text";
    case Judge::Part::kBeforeStop:
      return "before stop";
    case Judge::Part::kAll:
      break;
  }
  return "all";
}

std::optional<Judge::Part> part_named(std::string_view name) {
  for (const auto part :
       {Judge::Part::kAll, Judge::Part::kFirstLine, Judge::Part::kFirstText, Judge::Part::kBeforeStop})
    if (name == name_of(part)) return part;
  return std::nullopt;
}

}  // namespace evictbench
