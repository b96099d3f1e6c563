#include "datasets/option_names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/io/file.h"

namespace evictbench {
namespace {

template <class Value>
void add_once(const OptionReader& reader, const std::string& key, std::vector<Value>& list, Value value) {
  if (std::ranges::find(list, value) != list.end())
    reader.refuse("36", key, fmt::format("\"{}\" a second time", value), "each once", "remove it");
  list.push_back(std::move(value));
}

}  // namespace

void OptionReader::refuse(const char* code, const std::string& key, const std::string& found,
                          const std::string& expected, const std::string& mend, Exit exit) const {
  reject(exit,
         {fmt::format("{}-{}", code_prefix, code), task.file, task.position_of(key), found, expected, mend});
}

std::vector<std::string> OptionReader::names(const std::string& key,
                                             const std::vector<std::string>& known) const {
  if (!task.has(key)) return known;
  std::vector<std::string> out;
  for (std::string& name : task.texts(key)) {
    if (std::ranges::find(known, name) == known.end()) {
      const std::string near = nearest(name, known);
      refuse("32", key, fmt::format("no \"{}\"", printable(name)),
             fmt::format("one of {}", fmt::join(known, ", ")),
             near.empty() ? "choose one of them" : fmt::format("did you mean '{}'?", near));
    }
    add_once(*this, key, out, std::move(name));
  }
  return out;
}

std::string OptionReader::name(const std::string& key, const std::vector<std::string>& known) const {
  if (task.has(key)) task.text(key);  // one, no list
  return names(key, known).front();
}

int OptionReader::number(const std::string& key, int otherwise, int least, int most) const {
  const int value = task.integer_or(key, otherwise);
  if (value < least || value > most)
    refuse("33", key, fmt::format("{} {}", key, value), fmt::format("{} to {}", least, most),
           "correct the number");
  return value;
}

std::vector<int> OptionReader::numbers(const std::string& key, int least, int most) const {
  std::vector<int> out;
  for (const int value : task.integers(key)) {
    if (value < least || value > most)
      refuse("33", key, fmt::format("'{}' holds {}", key, value), fmt::format("{} to {}", least, most),
             "correct the number");
    add_once(*this, key, out, value);
  }
  return out;
}

std::string OptionReader::folder(const std::string& key, const std::string& how_to_get_it) const {
  const std::string path = task.resolve(task.text(key));
  if (!is_folder(path))
    refuse("31", key, fmt::format("there is no folder \"{}\"", printable(path, 200)), "a folder of data",
           how_to_get_it, Exit::kInput);
  return path;
}

}  // namespace evictbench
