#include "datasets/ruler_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "core/io/file.h"
#include "datasets/json_lines.h"

namespace evictbench {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kRecords = 500;  // of a published file
constexpr const char* kMend = "fetch or make the file again";

// How chat templates of the models begin that RULER has templates for.
bool begins_template(std::string_view input) {
  for (const std::string_view start :
       {"<|", "<s>", "<bos>", "<start_of_turn>", "[INST]", "A chat between", "USER: "})
    if (input.starts_with(start)) return true;
  return false;
}

RulerText read_record(const Json& line, const RulerTask& task, RulerFile& file) {
  RulerText record;
  std::string input = line.at("input").string();
  record.answers = strings_of(line.at("outputs"));
  if (line.has("length")) line.at("length").integer(0, INT32_MAX);
  if (record.answers.empty()) line.at("outputs").reject("01", "no reference", "one or more", kMend);
  for (const std::string& answer : record.answers)
    if (answer.empty())
      line.at("outputs").reject("01", "an empty reference, which every answer holds", "a text", kMend);
  if (const auto prefix = line.find("answer_prefix")) {
    record.answer_prefix = prefix->string();
    if (input.ends_with(record.answer_prefix)) input.resize(input.size() - record.answer_prefix.size());
  }
  const std::size_t at = ruler_question_at(task, input);
  if (at == input.npos || at == 0)
    line.at("input").reject("02", fmt::format("no question of {}", task.name), "RULER's template of the task",
                            "check that the file is of this task");
  record.context = input.substr(0, at);
  record.question = input.substr(at);
  const bool prefixed = !record.answer_prefix.empty(), wrapped = begins_template(input);
  if (!file.records.empty() && (prefixed != file.prefixed || wrapped != file.wrapped))
    line.reject("03",
                fmt::format("a record {} answer_prefix, {} chat template", prefixed ? "with" : "without",
                            wrapped ? "in a" : "in no"),
                "one form in all of a file", kMend);
  file.prefixed = prefixed;
  file.wrapped = wrapped;
  return record;
}

}  // namespace

std::string ruler_path(const std::string& folder, int length, const RulerTask& task) {
  const std::string within = length == 0 ? folder : fmt::format("{}/{}", folder, length);
  for (const std::string& path : {fmt::format("{}/{}.jsonl", within, task.name),
                                  fmt::format("{}/{}/validation.jsonl", within, task.name)})
    if (is_there(path)) return path;
  return "";
}

std::vector<int> ruler_lengths(const std::string& folder) {
  std::vector<int> lengths;
  const auto add = [&](int length) {
    if (std::ranges::any_of(ruler_tasks(),
                            [&](const auto& task) { return !ruler_path(folder, length, task).empty(); }))
      lengths.push_back(length);
  };
  add(0);
  std::error_code failure;
  for (fs::directory_iterator entry(folder, failure), end; !failure && entry != end;
       entry.increment(failure)) {
    const std::string name = entry->path().filename().string();
    int length = 0;
    const auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), length);
    if (error == std::errc() && stop == name.data() + name.size() && length > 0 &&
        name == std::to_string(length))
      add(length);
  }
  std::ranges::sort(lengths);
  return lengths;
}

RulerFile read_ruler(const std::string& path, const RulerTask& task) {
  RulerFile file;
  read_json_lines(path, {.code_prefix = "E-RL"}, [&](const Json& line, std::size_t) {
    RulerText record = read_record(line, task, file);
    file.records.push_back(std::move(record));
  });
  if (file.records.size() != kRecords)
    file.warnings.push_back({fmt::format("{} records of {}", file.records.size(), kRecords), kOfAPart});
  if (file.wrapped)
    file.warnings.push_back({"the inputs hold a chat template, so the model's own is left out"});
  return file;
}

std::string how_to_get_ruler() {
  return "make them with https://github.com/NVIDIA/RULER, or leave out 'path' to have them generated here";
}

}  // namespace evictbench
