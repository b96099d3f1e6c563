#include "datasets/babilong_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>

#include "core/io/file.h"
#include "datasets/arrow.h"
#include "datasets/json_lines.h"
#include "datasets/metrics/labels.h"

namespace evictbench {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMend = "fetch the file again";
const std::string kColumns[] = {"input", "question", "target"};

// Names in a folder, sorted; none if there is no such folder.
std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code failure;
  for (fs::directory_iterator entry(folder, failure), end; !failure && entry != end; entry.increment(failure))
    names.push_back(entry->path().filename().string());
  std::ranges::sort(names);
  return names;
}

// The files of a folder that save_to_disk wrote, all that their names promise: data-00000-of-00002.arrow.
std::vector<std::string> arrow_files(const std::string& folder) {
  std::vector<std::string> files;
  std::string of;
  for (const std::string& name : names_in(folder))
    if (name.ends_with(".arrow")) {
      files.push_back(fmt::format("{}/{}", folder, name));
      if (const std::size_t at = name.find("-of-"); at != name.npos)
        of = name.substr(at + 4, name.size() - at - 10);
    }
  std::size_t due = files.size();
  std::from_chars(of.data(), of.data() + of.size(), due);
  if (files.empty() || files.size() != due)
    reject(Exit::kInput,
           {"E-BL-01", folder, "", fmt::format("{} files .arrow", files.size()),
            files.empty() ? "data-00000-of-00001.arrow" : fmt::format("{}, as their names say", due),
            "fetch the folder again"});
  return files;
}

BabilongRecord record_of(const Json& object) {
  return {object.at("input").string(), object.at("question").string(), object.at("target").string()};
}

std::vector<BabilongRecord> read_arrow(const std::string& folder) {
  std::vector<BabilongRecord> records;
  for (const std::string& file : arrow_files(folder)) {
    auto columns = read_arrow_texts(file, kColumns, "E-BL");
    for (std::size_t r = 0; r < columns[0].size(); ++r)
      records.push_back({std::move(columns[0][r]), std::move(columns[1][r]), std::move(columns[2][r])});
  }
  return records;
}

std::vector<BabilongRecord> read_json(const std::string& path) {
  std::vector<BabilongRecord> records;
  if (path.ends_with(".jsonl")) {
    read_json_lines(path, {.code_prefix = "E-BL"},
                    [&](const Json& line, std::size_t) { records.push_back(record_of(line)); });
    return records;
  }
  const Json list = Json::from_file(path, {.code_prefix = "E-BL"});
  if (!list.is_array()) list.reject("02", "no list", "a list of records", kMend);
  for (std::size_t i = 0; i < list.size(); ++i) records.push_back(record_of(list[i]));
  return records;
}

bool can_score(const BabilongTask& task, const BabilongRecord& record) {
  const std::vector<std::string> due{record.target}, labels(task.labels.begin(), task.labels.end());
  return babilong_match({record.target, due, labels, record.question, nullptr}) == 1;
}

}  // namespace

int babilong_thousands(const std::string& length) {
  int number = 0;
  const char* end = length.data() + length.size();
  const auto [stop, error] = std::from_chars(length.data(), end, number);
  if (error != std::errc() || number < 0 || number > 99999 || end - stop != 1 ||
      (*stop != 'k' && *stop != 'M'))
    return -1;
  return *stop == 'k' ? number : number * 1000;
}

std::string babilong_path(const std::string& folder, const std::string& length, const BabilongTask& task) {
  const std::string arrow = fmt::format("{}/{}/{}", folder, length, task.name);
  if (is_folder(arrow)) return arrow;
  for (const std::string& stem : {fmt::format("{}/{}/{}", folder, length, task.name),
                                  fmt::format("{}/{}/{}", folder, task.name, length),
                                  fmt::format("{}/data/{}/{}", folder, task.name, length)})
    for (const char* ending : {".json", ".jsonl"})
      if (is_there(stem + ending)) return stem + ending;
  return "";
}

std::vector<std::string> babilong_lengths(const std::string& folder) {
  std::vector<std::string> names = names_in(folder);
  for (const BabilongTask& task : babilong_tasks())
    for (const char* within : {"", "/data"})
      for (const std::string& file : names_in(fmt::format("{}{}/{}", folder, within, task.name)))
        names.push_back(fs::path(file).stem().string());
  std::set<std::pair<int, std::string>> lengths;
  for (const std::string& name : names)
    if (babilong_thousands(name) >= 0 && std::ranges::any_of(babilong_tasks(), [&](const auto& task) {
          return !babilong_path(folder, name, task).empty();
        }))
      lengths.emplace(babilong_thousands(name), name);
  std::vector<std::string> out;
  for (const auto& [thousands, name] : lengths) out.push_back(name);
  return out;
}

BabilongFile read_babilong(const std::string& path, const BabilongTask& task) {
  BabilongFile file{is_folder(path) ? read_arrow(path) : read_json(path), {}};
  std::size_t lost = 0;
  for (std::size_t i = 0; i < file.records.size(); ++i) {
    const BabilongRecord& record = file.records[i];
    for (const auto* text : {&record.question, &record.target})
      if (text->find_first_not_of(" \t\r\n") == text->npos)
        reject(Exit::kInput,
               {"E-BL-03", path, fmt::format("record {}", i + 1),
                fmt::format("an empty {}", text == &record.target ? "target" : "question"), "a text", kMend});
    lost += !can_score(task, record);
  }
  if (file.records.empty()) reject(Exit::kInput, {"E-BL-04", path, "", "no records", "one or more", kMend});
  if (lost > 0)
    file.warnings.push_back(
        {fmt::format("{} of {} targets that no answer can score with, by the labels of {}", lost,
                     file.records.size(), task.name)});
  return file;
}

std::string how_to_get_babilong() {
  return "save https://huggingface.co/datasets/RMT-team/babilong with datasets.save_to_disk, or take its "
         "data/ as it is";
}

}  // namespace evictbench
