#include "datasets/json_lines.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/io/file.h"

namespace evictbench {
namespace {

constexpr std::uint64_t kMostValues = std::uint64_t{1} << 20;  // of a line

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == line.npos; }

}  // namespace

void read_json_lines(const std::string& path, const JsonRules& rules,
                     const std::function<void(const Json& line, std::size_t number)>& visit) {
  const std::string text = read_text(path, rules.exit, rules.code_prefix, rules.bytes);
  const auto refuse = [&](const char* code, std::size_t line, const std::string& found,
                          const std::string& mend) {
    reject(rules.exit, {fmt::format("{}-{}", rules.code_prefix, code), path,
                        line == 0 ? "" : std::to_string(line), found, "one JSON object on every line", mend});
  };
  JsonRules of_line = rules;
  of_line.values = std::min(rules.values, kMostValues);
  of_line.first_line = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    ++of_line.first_line;
    if (is_blank(line))
      refuse("L01", of_line.first_line, "a blank line", "remove it, or fetch the file again");
    if (end == text.size() && line.find_last_of('}') != line.find_last_not_of(" \t\r"))
      refuse("L02", of_line.first_line, fmt::format("the last line breaks off after {} bytes", line.size()),
             "the file was not written or fetched to its end; make or fetch it again");
    const Json value = Json::from_text(std::move(line), path, of_line);
    if (!value.is_object())
      refuse("L03", of_line.first_line, "a value that is no object",
             "correct the line, or fetch the file again");
    visit(value, of_line.first_line);
    at = end + 1;
  }
  if (text.empty()) refuse("L04", 0, "an empty file", "make or fetch it again");
}

std::vector<std::string> strings_of(const Json& list) {
  if (!list.is_array())
    list.reject("J05", "no list", "a list of texts", "correct the line, or fetch the file again");
  std::vector<std::string> out;
  for (std::size_t i = 0; i < list.size(); ++i) out.push_back(list[i].string());
  return out;
}

}  // namespace evictbench
