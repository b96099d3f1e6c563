#include "datasets/longbench_data.h"

#include <fmt/format.h>

#include <map>

#include "core/io/file.h"
#include "datasets/json_lines.h"

namespace evictbench {
namespace {

constexpr const char* kMend = "fetch the file again";

LongBenchRecord read_record(const Json& line, const LongBenchTask& task) {
  if (line.has("answer_prefix") && !line.has("input"))
    line.reject("01", "a record with answer_prefix, as Xnhyacinth/LongBench has it", "the official fields",
                how_to_get_longbench());
  LongBenchRecord record;
  record.id = line.at("_id").string();
  record.context = line.at("context").string();
  record.input = line.at("input").string();
  record.answers = strings_of(line.at("answers"));
  record.length = static_cast<int>(line.at("length").integer(0, INT32_MAX));
  if (const auto classes = line.find("all_classes")) record.classes = strings_of(*classes);
  if (record.id.empty()) line.at("_id").reject("02", "an empty id", "an id of the record's own", kMend);
  if (record.answers.empty()) line.at("answers").reject("03", "no answer", "one or more", kMend);
  if (record.context.empty()) line.at("context").reject("04", "an empty context", "a text", kMend);
  if (task.question == "{input}" && task.answer_prefix.empty() && record.input.empty())
    line.at("input").reject("05", "an empty input, which is all that asks in this task", "a text", kMend);
  if (task.metric == "classification" && record.classes.empty())
    line.reject("06", "no all_classes", "the list of class names", kMend);
  return record;
}

}  // namespace

std::string longbench_path(const std::string& folder, const LongBenchTask& task, bool e) {
  for (const char* within : {"", "/data"}) {
    const std::string path = fmt::format("{}{}/{}{}.jsonl", folder, within, task.name, e ? "_e" : "");
    if (is_there(path)) return path;
  }
  return "";
}

LongBenchFile read_longbench(const std::string& path, const LongBenchTask& task, bool e) {
  LongBenchFile file;
  std::map<std::string, std::size_t> places;  // id -> line
  std::size_t strangers = 0;
  read_json_lines(path, {.code_prefix = "E-LB"}, [&](const Json& line, std::size_t number) {
    LongBenchRecord record = read_record(line, task);
    if (const auto [first, added] = places.try_emplace(record.id, number); !added)
      line.at("_id").reject(
          "07", fmt::format("the id \"{}\" of line {} again", printable(record.id), first->second),
          "every record once", "remove the copy, or fetch the file again");
    const auto of = line.find("dataset");
    if (of && of->string() != task.name && of->string() != fmt::format("{}_e", task.name)) ++strangers;
    file.records.push_back(std::move(record));
  });
  const int due = e ? task.e_records : task.records;
  if (std::ssize(file.records) != due)
    file.warnings.push_back({fmt::format("{} records of {}", file.records.size(), due), kOfAPart});
  if (strangers > 0)
    file.warnings.push_back({fmt::format("{} records name another dataset than {}", strangers, task.name)});
  return file;
}

std::string how_to_get_longbench() {
  return "unpack data.zip of https://huggingface.co/datasets/zai-org/LongBench";
}

}  // namespace evictbench
