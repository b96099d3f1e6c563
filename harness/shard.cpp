#include "harness/shard.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <sstream>

#include "core/io/file.h"
#include "harness/results.h"

namespace evictbench {
namespace {

constexpr int kMostShards = 100000;
constexpr const char *kShard = "shard", *kRecords = "records of the shard";

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Shard> read_shard(const std::string& text) {
  const std::size_t slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  const auto index = number(text.substr(0, slash)), count = number(text.substr(slash + 1));
  if (!index || !count || *index < 1 || *count < *index || *count > kMostShards) return std::nullopt;
  return Shard{*index, *count};
}

// A results folder of a shard.
struct Part {
  std::string folder;
  Manifest manifest;  // of the whole run
  Shard shard;
  std::vector<std::vector<Record>> units;  // the records of each unit, in order
};

[[noreturn]] void refuse(const std::string& folder, const std::string& found, const std::string& expected,
                         const std::string& mend) {
  reject(Exit::kInput, {"E-MG-01", folder, "", found, expected, mend});
}

Part read_part(const std::string& folder) {
  Part part{folder, {}, {}, {}};
  std::optional<Shard> shard;
  std::string records;
  for (const auto& [name, value] : read_manifest(folder + "/manifest.json")) {
    if (name == kShard)
      shard = read_shard(value);
    else if (name == kRecords)
      records = value;
    else
      part.manifest.emplace_back(name, value);
  }
  if (!shard || records.empty())
    refuse(folder, "the results of a whole run", "those of one shard", "name folders of `run --shard`");
  part.shard = *shard;
  const std::vector<Record> all = read_records(folder);
  if (std::to_string(all.size()) != records)
    refuse(folder, fmt::format("{} of {} records", all.size(), records), "a shard that is finished",
           fmt::format("run it again with --shard {}/{} to finish it", shard->index, shard->count));
  for (const Record& record : all) {
    const auto same = [&](const Record& other) {
      return other.task == record.task && other.example == record.example &&
             other.question == record.question && other.first_token == record.first_token;
    };
    if (part.units.empty() || !same(part.units.back().front())) part.units.emplace_back();
    part.units.back().push_back(record);
  }
  return part;
}

// By index, each once.
std::vector<Part> read_parts(const std::vector<std::string>& folders) {
  std::vector<Part> parts;
  for (const std::string& folder : folders) parts.push_back(read_part(folder));
  std::ranges::sort(parts, {}, [](const Part& part) { return part.shard.index; });
  const Part& first = parts.front();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts[i];
    if (const auto lines = differences(first.manifest, part.manifest); !lines.empty())
      reject(Exit::kNotComparable,
             {"E-MG-02", part.folder, "",
              fmt::format("another run than that of {}: {}", first.folder, lines.front()),
              "shards of one run", "merge what belongs together"});
    const Shard expected{static_cast<int>(i) + 1, static_cast<int>(parts.size())};
    if (part.shard.index != expected.index || part.shard.count != expected.count)
      refuse(part.folder, fmt::format("shard {}/{}", part.shard.index, part.shard.count),
             fmt::format("{}/{}: every shard once", expected.index, expected.count),
             "name the folders of all shards");
  }
  return parts;
}

}  // namespace

Shard parse_shard(const std::string& text) {
  if (const auto shard = read_shard(text)) return *shard;
  reject(Exit::kUsage, {"E-CL-01", "command line", "--shard", fmt::format("\"{}\"", printable(text)),
                        "i/n with i from 1 to n, such as 2/8", "number the shards from 1"});
}

Manifest shard_entries(const Shard& shard, std::size_t records) {
  if (shard.count == 1) return {};
  return {{kShard, fmt::format("{}/{}", shard.index, shard.count)}, {kRecords, std::to_string(records)}};
}

int merge_shards(const std::vector<std::string>& folders, const std::string& into) {
  const std::vector<Part> parts = read_parts(folders);
  std::vector<Record> records;
  for (std::size_t unit = 0; unit < parts.front().units.size(); ++unit)  // the first shard has the most
    for (const Part& part : parts)
      if (unit < part.units.size())
        records.insert(records.end(), part.units[unit].begin(), part.units[unit].end());
  std::vector<RecordKey> keys;
  for (const Record& record : records) keys.push_back({record.task, record.example, record.point});

  const OutputFolder folder(into);
  const Manifest& manifest = parts.front().manifest;
  Journal journal(folder, manifest, keys);
  const bool begun = !journal.records().empty();
  journal.append(std::span(records).subspan(journal.records().size()));
  for (const Part& part : parts) {
    if (begun) break;  // its clocks are there
    std::istringstream lines(read_text(part.folder + "/timings.jsonl", Exit::kInput, "E-MG"));
    for (std::string line; std::getline(lines, line);) journal.append_timing(line);
  }
  const ExampleNotes notes = read_notes(parts.front().folder);
  write_notes(folder, notes);
  write_results(folder, journal.records(), notes, manifest);
  const bool whole = std::ranges::all_of(records, [](const Record& r) { return r.error.empty(); });
  return static_cast<int>(whole ? Exit::kGood : Exit::kFailedPoints);
}

}  // namespace evictbench
