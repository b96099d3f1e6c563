#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "harness/output_folder.h"
#include "reports/record.h"

namespace evictbench {

// What makes results comparable: the resolved sweep, digests of model, tokenizer and data, the program's version.
using Manifest = std::vector<std::pair<std::string, std::string>>;

// One record's place in the plan.
struct RecordKey {
  std::string task, example, point;
  bool operator==(const RecordKey&) const = default;
};

// The results of a run, safe against its end at any moment:
//   manifest.json   what ran; another run in this folder must say the same, or is refused (exit 8)
//   records.jsonl   one line per record, in the order of the plan, only ever appended to
//   timings.jsonl   what clocks said; no promises
// A line that was cut off at the end is removed; damage before whole records is refused (exit 6). A run that is
// resumed leaves the same bytes as one that never stopped.
class Journal {
 public:
  enum class Damage { kRefuse, kCut };  // kCut: --repair; the file ends before the first bad line

  // `plan`: every record that this run is to write, in order; those that are there must be its first ones.
  Journal(const OutputFolder& folder, const Manifest& manifest, std::span<const RecordKey> plan,
          Damage damage = Damage::kRefuse);

  const std::vector<Record>& records() const { return records_; }  // read back and appended
  bool has(const RecordKey& key) const;
  const std::vector<std::string>& notes() const { return notes_; }  // what was cut, in a line each

  // Whole lines, made durable once. After an Error nothing of them is in the file, and the journal is of no more
  // use: a failed sync must not be tried again.
  void append(std::span<const Record> records);
  void append_timing(std::string_view line);  // one JSON line, without its end

 private:
  struct Bad;
  void open_files();
  void read_back(std::span<const RecordKey> plan, Damage damage);
  std::string why_refused(const Record& record, std::span<const RecordKey> plan) const;
  void keep(Record record, std::size_t end);
  void cut(const Bad& bad, std::size_t file_size, Damage damage);
  [[noreturn]] void fail(const std::string& what, std::size_t more_bytes);

  const OutputFolder& folder_;
  std::string path_;
  Descriptor file_, timings_;
  std::size_t size_ = 0;  // of records.jsonl: whole, durable records
  bool broken_ = false;
  std::vector<Record> records_;
  std::unordered_map<std::string, std::size_t> lines_;  // key -> its line, from 1
  std::vector<std::string> notes_;
};

// The manifest as it is written, and read back.
std::string manifest_text(const Manifest& manifest);
Manifest read_manifest(const std::string& path);

// `name: there "a", now "b"`, for every name whose values differ.
std::vector<std::string> differences(const Manifest& there, const Manifest& now);

}  // namespace evictbench
