#include "datasets/data_folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/error.h"
#include "core/io/file.h"
#include "datasets/babilong_data.h"
#include "datasets/haystack.h"
#include "datasets/longbench_data.h"
#include "datasets/longbench_predictions.h"
#include "datasets/ruler_data.h"
#include "datasets/segmenter.h"
#include "datasets/summaries.h"

namespace evictbench {
namespace {

namespace fs = std::filesystem;

// `look` fills in the state; what it throws is the finding's error.
template <class Look>
DataFinding finding(const std::string& what, Look&& look) {
  DataFinding out{what, "", "", {}};
  try {
    look(out);
  } catch (const Error& error) {
    if (error.exit() == Exit::kInternal) throw;
    out.error = error.what();
  }
  return out;
}

std::vector<std::string> lines_of(const std::vector<Warning>& warnings, const std::string& path) {
  std::vector<std::string> lines;
  for (const Warning& warning : warnings) lines.push_back(warning.at(path));
  return lines;
}

class Looker {
 public:
  explicit Looker(std::string folder) : folder_(std::move(folder)) {}

  DataFolder run() {
    longbench(false);
    longbench(true);
    babilong();
    ruler();
    summaries();
    haystack();
    dictionary();
    for (const auto& name : names_of(".jsonl"))
      if (!known_.contains(name)) out_.unknown.push_back(name);
    return std::move(out_);
  }

 private:
  std::vector<std::string> names_of(const std::string& extension) const {
    std::vector<std::string> names;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder_, ignored))
      if (entry.path().extension() == extension) names.push_back(entry.path().filename().string());
    std::ranges::sort(names);
    return names;
  }

  void longbench(bool e) {
    std::vector<std::string> absent;
    bool any = false;
    for (const LongBenchTask& task : longbench_tasks()) {
      if (e && task.e_records == 0) continue;
      const std::string path = longbench_path(folder_, task, e);
      if (path.empty()) {
        absent.emplace_back(task.name);
        continue;
      }
      known_.insert(fs::path(path).filename().string());
      if (holds_answers(path)) {
        out_.found.push_back(answers(path, task));
        continue;
      }
      any = true;
      out_.found.push_back(
          finding(fmt::format("{} {}", e ? "longbench-e" : "longbench", task.name), [&](auto& found) {
            const LongBenchFile file = read_longbench(path, task, e);
            found.state = fmt::format("{} records", file.records.size());
            found.warnings = lines_of(file.warnings, path);
          }));
    }
    if (any && !absent.empty())
      out_.missing.push_back(fmt::format("{}: {}; {}", e ? "longbench-e" : "longbench",
                                         fmt::join(absent, ", "), how_to_get_longbench()));
  }

  static bool holds_answers(const std::string& path) {
    try {
      return are_predictions(path);
    } catch (const Error&) {
      return false;  // the reader of data will say what is wrong
    }
  }

  // Counted by what they answer; by length where that is LongBench-E's number of lines.
  static DataFinding answers(const std::string& path, const LongBenchTask& task) {
    return finding(fmt::format("stored answers {}", task.name), [&](auto& found) {
      std::size_t lines = count_predictions(path, task, found.warnings);
      found.state = fmt::format("{} answers, to be scored by `evictbench score`", lines);
    });
  }

  void babilong() {
    constexpr std::size_t kUsual = 10;  // tasks of all lengths but 0k, which has 20
    for (const std::string& length : babilong_lengths(folder_)) {
      std::vector<std::string> absent;
      for (const BabilongTask& task : babilong_tasks()) {
        const std::string path = babilong_path(folder_, length, task);
        const auto place = static_cast<std::size_t>(&task - babilong_tasks().data());
        if (path.empty() && (length == "0k" || place < kUsual)) absent.emplace_back(task.name);
        if (path.empty()) continue;
        out_.found.push_back(finding(fmt::format("babilong {} {}", length, task.name), [&](auto& found) {
          const BabilongFile file = read_babilong(path, task);
          found.state = fmt::format("{} records", file.records.size());
          found.warnings = lines_of(file.warnings, path);
        }));
      }
      if (!absent.empty())
        out_.missing.push_back(
            fmt::format("babilong {}: {}; {}", length, fmt::join(absent, ", "), how_to_get_babilong()));
    }
  }

  void ruler() {
    for (const int length : ruler_lengths(folder_)) {
      std::vector<std::string> absent;
      const std::string what = length == 0 ? "ruler" : fmt::format("ruler {}", length);
      for (const RulerTask& task : ruler_tasks()) {
        const std::string path = ruler_path(folder_, length, task);
        if (path.empty()) {
          absent.emplace_back(task.name);
          continue;
        }
        known_.insert(fs::path(path).filename().string());
        out_.found.push_back(finding(fmt::format("{} {}", what, task.name), [&](auto& found) {
          const RulerFile file = read_ruler(path, task);
          found.state = fmt::format("{} records", file.records.size());
          found.warnings = lines_of(file.warnings, path);
        }));
      }
      if (!absent.empty())
        out_.missing.push_back(fmt::format("{}: {}; {}", what, fmt::join(absent, ", "), how_to_get_ruler()));
    }
  }

  void summaries() {
    for (const std::string& name : names_of(".jsonl")) {
      const std::string path = folder_ + "/" + name;
      if (known_.contains(name) || !are_summaries(path)) continue;
      known_.insert(name);
      out_.found.push_back(finding(fmt::format("summaries {}", name), [&](auto& found) {
        found.state = fmt::format("{} records", count_summaries(path));
      }));
    }
  }

  void haystack() {
    const std::vector<std::string> texts = names_of(".txt");
    if (texts.empty() || dictionary_file() != "") return;
    out_.found.push_back(finding("haystack", [&](auto& found) {
      const std::string text = read_haystack(folder_);
      found.state = fmt::format("{} files of text, {} bytes", texts.size(), text.size());
    }));
  }

  std::string dictionary_file() const {
    for (const char* name : {"dict.txt", "jieba_dict.txt"})
      if (is_file(folder_ + "/" + name)) return name;
    return "";
  }

  void dictionary() {
    if (dictionary_file().empty()) return;
    out_.found.push_back(finding("Chinese words", [&](auto& found) {
      Segmenter::from_folder(folder_);
      found.state = fmt::format("jieba's dictionary, {}", dictionary_file());
    }));
  }

  std::string folder_;
  DataFolder out_;
  std::set<std::string> known_;
};

}  // namespace

DataFolder look_at_data(const std::string& folder) {
  if (!is_folder(folder))
    reject(Exit::kInput, {"E-DF-01", folder, "", "no such folder", "a folder of data", "correct the path"});
  DataFolder out = Looker(folder).run();
  if (out.found.empty())
    reject(Exit::kInput, {"E-DF-02", folder, "", "nothing that evictbench reads",
                          "files of LongBench, BABILong or RULER, articles with summaries, .txt files of a "
                          "haystack, stored answers or jieba's dictionary",
                          how_to_get_longbench()});
  return out;
}

}  // namespace evictbench
