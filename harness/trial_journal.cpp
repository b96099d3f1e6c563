#include "harness/trial_journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <limits>

#include "core/io/file.h"
#include "core/io/json.h"
#include "reports/json_text.h"

namespace evictbench {
namespace {

constexpr const char* kName = "trials.jsonl";
constexpr const char* kRestart = "remove the file to measure all trials anew";

using List = std::vector<double> HeadTotals::*;
constexpr std::pair<const char*, List> kLists[] = {
    {"copy", &HeadTotals::copy},
    {"semantic", &HeadTotals::semantic},
    {"semantic_multiplicity", &HeadTotals::semantic_multiplicity},
    {"reasoning", &HeadTotals::reasoning}};

std::string header_line(const std::string& identity) {
  return JsonText().open('{').key("measured").text(identity).close().str() + "\n";
}

std::string line_of(const TrialRecord& record) {
  JsonText out;
  out.open('{').key("task").text(record.task).key("example").text(record.example).key("answer").open('[');
  for (const std::int32_t id : record.answer) out.integer(id);
  out.close().key("text").text(record.text).key("recall").number(record.recall).key("f1").number(record.f1);
  for (const auto& [name, list] : kLists) {
    out.key(name).open('[');
    for (const double score : record.totals.*list) out.number(score);
    out.close();
  }
  return out.close().str() + "\n";
}

TrialRecord record_in(const Json& line, const Trial& trial, std::size_t heads) {
  TrialRecord record{
      line.at("task").string(), line.at("example").string(), {}, line.at("text").string(), 0, 0,
      HeadTotals(heads)};
  if (record.task != trial.task || record.example != trial.example)
    line.reject("05", fmt::format("trial {} {}", printable(record.task), printable(record.example)),
                fmt::format("trial {} {}", printable(trial.task), printable(trial.example)), kRestart);
  const Json answer = line.at("answer");
  for (std::size_t i = 0; i < answer.size(); ++i)
    record.answer.push_back(static_cast<std::int32_t>(answer[i].integer(0, INT32_MAX)));
  record.recall = line.at("recall").number(0, 1);
  record.f1 = line.at("f1").number(0, 1);
  for (const auto& [name, list] : kLists) {
    const Json scores = line.at(name);
    if (scores.size() != heads)
      scores.reject("05", fmt::format("{} scores", scores.size()), fmt::format("{}", heads), kRestart);
    for (std::size_t i = 0; i < heads; ++i)
      (record.totals.*list)[i] = scores[i].number(0, std::numeric_limits<double>::max());
  }
  return record;
}

}  // namespace

TrialJournal::TrialJournal(const OutputFolder& folder, const std::string& identity,
                           std::span<const Trial> trials, std::size_t heads)
    : folder_(folder), path_(folder.file(kName)) {
  constexpr int kFlags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  file_ = Descriptor(::openat(folder.descriptor(), kName, kFlags, 0666));
  if (file_.get() < 0) reject_io(path_, "it cannot be opened", errno, "a file to write to");
  read_back(identity, trials, heads);
}

void TrialJournal::read_back(const std::string& identity, std::span<const Trial> trials, std::size_t heads) {
  constexpr std::uint64_t kMostBytes = std::uint64_t{4} << 30;
  std::string text = read_text(path_, Exit::kOutput, "E-HD", kMostBytes);
  const std::size_t whole = text.rfind('\n') + 1;  // 0 without any line
  if (whole < text.size() && ::ftruncate(file_.get(), static_cast<off_t>(whole)) != 0)
    reject_io(path_, "cutting off a torn line failed", errno, "a file to write to");
  text.resize(whole);
  const std::string header = header_line(identity);
  if (text.empty()) return write(header);
  if (!text.starts_with(header))
    reject(Exit::kNotComparable,
           {"E-HD-05", path_, "line 1",
            fmt::format("trials of {}", printable(text.substr(0, text.find('\n')), 300)),
            printable(header.substr(0, header.size() - 1), 300), "choose another --out, or remove the file"});
  std::size_t line = 2;
  for (std::size_t begin = header.size(); begin < text.size(); ++line) {
    const std::size_t end = text.find('\n', begin);
    const Json json =
        Json::from_text(text.substr(begin, end - begin), path_,
                        {.exit = Exit::kOutput, .code_prefix = "E-HD", .depth = 4, .first_line = line});
    if (records_.size() == trials.size())
      json.reject("05", "a trial beyond the last", fmt::format("{} trials", trials.size()), kRestart);
    records_.push_back(record_in(json, trials[records_.size()], heads));
    begin = end + 1;
  }
}

void TrialJournal::write(const std::string& line) {
  if (!write_all(file_.get(), line) || ::fdatasync(file_.get()) != 0)
    reject_io(path_, "writing failed", errno, fmt::format("room for {} more bytes", line.size()));
  folder_.require_there(file_.get(), kName);
}

void TrialJournal::append(TrialRecord record) {
  write(line_of(record));
  records_.push_back(std::move(record));
}

}  // namespace evictbench
