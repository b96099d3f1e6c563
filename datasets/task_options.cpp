#include "datasets/task_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <type_traits>

#include "core/error.h"

namespace evictbench {
namespace {

bool is_null(const TaskOptions::Scalar& scalar) {
  const std::string& text = scalar.text;
  return !scalar.quoted &&
         (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL");
}

// Text that YAML readers take for different numbers: "010" is 8 to some.
bool has_leading_zero(std::string_view digits) {
  if (digits.starts_with('-')) digits.remove_prefix(1);
  return digits.size() > 1 && digits[0] == '0' && '0' <= digits[1] && digits[1] <= '9';
}

}  // namespace

bool TaskOptions::has(std::string_view key) const { return options.contains(std::string(key)); }

std::string TaskOptions::position_of(std::string_view key) const {
  const auto found = options.find(std::string(key));
  return found == options.end() ? position : found->second.position;
}

const TaskOptions::Option& TaskOptions::option(std::string_view key) const {
  const auto found = options.find(std::string(key));
  if (found == options.end())
    reject(Exit::kSweep, {"E-TK-02", file, position, fmt::format("the task has no '{}'", key),
                          "this key in every task of its kind", fmt::format("add '{}:' to the task", key)});
  if (found->second.values.empty())
    reject(Exit::kSweep, {"E-TK-03", file, found->second.position, fmt::format("'{}' is an empty list", key),
                          "one value or more", "add a value"});
  return found->second;
}

const TaskOptions::Scalar& TaskOptions::single(std::string_view key) const {
  const Option& found = option(key);
  if (found.list)
    reject(Exit::kSweep, {"E-TK-04", file, found.position, fmt::format("'{}' is a list", key), "one value",
                          "write the value without brackets"});
  return found.values.front();
}

std::string TaskOptions::text_of(std::string_view key, const Scalar& scalar) const {
  if (is_null(scalar))
    reject(Exit::kSweep, {"E-TK-05", file, scalar.position, fmt::format("'{}' holds no value", key), "text",
                          "write the text, or \"\" for an empty one"});
  return scalar.text;
}

template <class Number>
Number TaskOptions::number_of(std::string_view key, const Scalar& scalar) const {
  constexpr bool kWhole = std::is_integral_v<Number>;
  Number value{};
  const char* end = scalar.text.data() + scalar.text.size();
  const auto [stop, error] = std::from_chars(scalar.text.data(), end, value);
  bool good = error == std::errc() && stop == end && !scalar.quoted && !has_leading_zero(scalar.text);
  if constexpr (!kWhole) good = good && std::isfinite(value);
  if (!good)
    reject(Exit::kSweep,
           {"E-TK-06", file, scalar.position,
            fmt::format("'{}' holds {}\"{}\"", key, scalar.quoted ? "the text " : "", printable(scalar.text)),
            kWhole ? "an integer of at most 31 bits" : "a finite number",
            kWhole ? "write decimal digits only" : "write a decimal number, without quotes"});
  return value;
}

std::string TaskOptions::text(std::string_view key) const { return text_of(key, single(key)); }

int TaskOptions::integer(std::string_view key) const { return number_of<int>(key, single(key)); }

std::vector<std::string> TaskOptions::texts(std::string_view key) const {
  std::vector<std::string> out;
  for (const Scalar& scalar : option(key).values) out.push_back(text_of(key, scalar));
  return out;
}

std::vector<int> TaskOptions::integers(std::string_view key) const {
  std::vector<int> out;
  for (const Scalar& scalar : option(key).values) out.push_back(number_of<int>(key, scalar));
  return out;
}

std::vector<double> TaskOptions::numbers(std::string_view key) const {
  std::vector<double> out;
  for (const Scalar& scalar : option(key).values) out.push_back(number_of<double>(key, scalar));
  return out;
}

std::string TaskOptions::text_or(std::string_view key, std::string_view otherwise) const {
  return has(key) ? text(key) : std::string(otherwise);
}

std::vector<std::string> TaskOptions::texts_or_none(std::string_view key) const {
  return has(key) ? texts(key) : std::vector<std::string>();
}

int TaskOptions::integer_or(std::string_view key, int otherwise) const {
  return has(key) ? integer(key) : otherwise;
}

std::string TaskOptions::resolve(const std::string& path) const {
  return (std::filesystem::path(base_folder) / path).string();
}

void TaskOptions::refuse_unknown(const std::vector<std::string>& known) const {
  for (const auto& [key, option] : options) {
    if (std::ranges::find(known, key) != known.end()) continue;
    const std::string near = nearest(key, known);
    reject(Exit::kSweep, {"E-TK-01", file, option.position, fmt::format("unknown key '{}'", printable(key)),
                          fmt::format("one of {}", fmt::join(known, ", ")),
                          near.empty() ? "remove the key" : fmt::format("did you mean '{}'?", near)});
  }
}

}  // namespace evictbench
