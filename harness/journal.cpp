#include "harness/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>

#include "core/io/file.h"
#include "core/io/json.h"
#include "reports/json_text.h"
#include "reports/record_json.h"

namespace evictbench {

// The first line of records.jsonl that cannot stay.
struct Journal::Bad {
  std::size_t line = 0, begin = 0;  // line 0: there is none
  std::string why;
  std::size_t whole = 0;  // the next line, from this one on, that is a whole record; 0: none
};

namespace {

constexpr int kManifestSchema = 1;
constexpr std::size_t kMostShown = 20;  // differences in a message
constexpr std::uint64_t kMostBytes = std::uint64_t{4} << 30;
constexpr const char *kManifest = "manifest.json", *kRecords = "records.jsonl", *kTimings = "timings.jsonl";

std::string text_of(const RecordKey& key) { return key.task + '\n' + key.example + '\n' + key.point; }
RecordKey key_of(const Record& record) { return {record.task, record.example, record.point}; }
std::string shown(const RecordKey& key) {
  return printable(fmt::format("{} / {} / {}", key.task, key.example, key.point), 200);
}

// The manifest of an earlier run here must be ours to the byte; the first run writes it.
void settle_manifest(const OutputFolder& folder, const Manifest& manifest) {
  const std::string path = folder.file(kManifest), text = manifest_text(manifest);
  if (!is_file(path)) {
    if (is_file(folder.file(kRecords)))
      reject(Exit::kNotComparable,
             {"E-OUT-05", path, "", "it is absent, and there are records",
              "the manifest of the run that wrote them", "restore it, or choose another output.dir"});
    return folder.write_file(kManifest, text);
  }
  if (read_text(path, Exit::kOutput, "E-OUT", kMostBytes) == text) return;
  std::vector<std::string> lines = differences(read_manifest(path), manifest);
  if (lines.empty())
    reject(Exit::kOutput, {"E-OUT-05", path, "", "it was changed since a run wrote it",
                           "the bytes that were written", "restore it, or choose another output.dir"});
  const std::size_t all = lines.size();
  lines.resize(std::min(all, kMostShown));
  reject(Exit::kNotComparable,
         {"E-OUT-04", path, "",
          fmt::format("the results here are of another experiment: {}{}", fmt::join(lines, "; "),
                      all > kMostShown ? fmt::format("; and {} more", all - kMostShown) : ""),
          "the same experiment", "run it as it was, or choose another output.dir"});
}

}  // namespace

Manifest read_manifest(const std::string& path) {
  const Json json = Json::from_file(path, {.exit = Exit::kOutput, .code_prefix = "E-OUT", .first_byte = {}});
  Manifest manifest;
  for (const auto& [name, value] : json.at("identity").items()) manifest.emplace_back(name, value.string());
  return manifest;
}

std::vector<std::string> differences(const Manifest& there, const Manifest& now) {
  const std::map<std::string, std::string> before(there.begin(), there.end()), after(now.begin(), now.end());
  const auto value_in = [](const auto& fields, const std::string& name) {
    const auto found = fields.find(name);
    return found == fields.end() ? "absent" : fmt::format("\"{}\"", printable(found->second, 100));
  };
  std::map<std::string, std::string> names = after;
  names.insert(before.begin(), before.end());
  std::vector<std::string> out;
  for (const auto& [name, value] : names)
    if (value_in(before, name) != value_in(after, name))
      out.push_back(fmt::format("{}: there {}, now {}", printable(name, 60), value_in(before, name),
                                value_in(after, name)));
  return out;
}

std::string manifest_text(const Manifest& manifest) {
  JsonText out(2);
  out.open('{').key("schema").integer(kManifestSchema).key("record_schema").integer(kRecordSchema);
  out.key("identity").open('{');
  std::map<std::string, int> names;
  for (const auto& [name, value] : manifest) {
    require(++names[valid_utf8(name)] == 1, "the manifest holds a name twice");
    out.key(name).text(value);
  }
  out.close().close();
  return out.str() + "\n";
}

Journal::Journal(const OutputFolder& folder, const Manifest& manifest, std::span<const RecordKey> plan,
                 Damage damage)
    : folder_(folder), path_(folder.file(kRecords)) {
  settle_manifest(folder, manifest);
  open_files();
  read_back(plan, damage);
}

void Journal::open_files() {
  constexpr int kFlags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  file_ = Descriptor(::openat(folder_.descriptor(), kRecords, kFlags, 0666));
  if (file_.get() < 0) reject_io(path_, "it cannot be opened", errno, "a file to write to");
  timings_ = Descriptor(::openat(folder_.descriptor(), kTimings, kFlags, 0666));
  if (timings_.get() < 0)
    reject_io(folder_.file(kTimings), "it cannot be opened", errno, "a file to write to");
  char last = '\n';
  if (const off_t end = ::lseek(timings_.get(), 0, SEEK_END); end > 0) {
    const ssize_t got = ::pread(timings_.get(), &last, 1, end - 1);
    if (got == 1 && last != '\n') append_timing("");
  }
  folder_.make_durable();
}

void Journal::read_back(std::span<const RecordKey> plan, Damage damage) {
  const std::string text = read_text(path_, Exit::kOutput, "E-OUT", kMostBytes);
  Bad bad;
  std::size_t number = 1;
  for (std::size_t begin = 0; begin < text.size() && bad.whole == 0; ++number) {
    const std::size_t end = text.find('\n', begin);
    std::optional<Record> record;
    std::string why = "it was cut off";
    if (end != text.npos) try {
        record = parse_record(std::string_view(text).substr(begin, end - begin), path_, number);
        why = why_refused(*record, plan);
      } catch (const Error& error) {
        why = error.what();
      }
    if (bad.line == 0 && !why.empty()) bad = {number, begin, why};
    if (bad.line != 0 && record) bad.whole = number;
    if (bad.line == 0) keep(*std::move(record), end + 1);
    begin = end == text.npos ? text.size() : end + 1;
  }
  if (bad.line != 0) cut(bad, text.size(), damage);
  // A sync that failed in an earlier run may have left records in memory alone.
  if (::fdatasync(file_.get()) != 0) fail("making it durable failed", 0);
}

std::string Journal::why_refused(const Record& record, std::span<const RecordKey> plan) const {
  const RecordKey key = key_of(record);
  if (const auto known = lines_.find(text_of(key)); known != lines_.end())
    return fmt::format("the record {} stands in line {} already", shown(key), known->second);
  const std::size_t at = records_.size();
  if (at >= plan.size()) return fmt::format("the record {} comes after the plan's last", shown(key));
  if (plan[at] != key)
    return fmt::format("the record {} stands where the plan has {}", shown(key), shown(plan[at]));
  return "";
}

void Journal::keep(Record record, std::size_t end) {
  records_.push_back(std::move(record));
  lines_.emplace(text_of(key_of(records_.back())), records_.size());
  size_ = end;
}

// A torn end is what a killed run leaves. What has whole records behind it is damage, and cut only when asked.
void Journal::cut(const Bad& bad, std::size_t file_size, Damage damage) {
  if (bad.whole != 0 && damage == Damage::kRefuse)
    reject(Exit::kOutput,
           {"E-OUT-09", path_, fmt::format("line {}, bytes {} to {}", bad.line, bad.begin, file_size),
            fmt::format("a bad line, and line {} is a whole record: {}", bad.whole, bad.why),
            "the records of this plan, whole and in order",
            "restore the file, or run with --repair, which cuts it before this line and computes the rest "
            "again"});
  notes_.push_back(fmt::format("{}: line {} and what follows it, {} bytes, was removed: {}",
                               printable(path_, 200), bad.line, file_size - bad.begin,
                               printable(bad.why, 300)));
  if (::ftruncate(file_.get(), static_cast<off_t>(bad.begin)) != 0)
    reject_io(path_, "cutting off a bad end failed", errno, "a file to write to");
}

bool Journal::has(const RecordKey& key) const { return lines_.contains(text_of(key)); }

void Journal::append(std::span<const Record> records) {
  require(!broken_, "a journal is used after it failed");
  std::string lines;
  std::vector<std::size_t> ends;  // of the file after each record
  for (const Record& record : records) {
    require(!has(key_of(record)), "a record is appended twice");
    lines += record_line(record) + '\n';
    ends.push_back(size_ + lines.size());
  }
  if (!write_all(file_.get(), lines)) fail("writing failed", lines.size());
  if (::fdatasync(file_.get()) != 0) fail("making it durable failed", lines.size());
  try {
    folder_.require_there(file_.get(), kRecords);
  } catch (const Error&) {
    broken_ = true;
    throw;
  }
  for (std::size_t i = 0; i < records.size(); ++i) keep(records[i], ends[i]);
}

void Journal::fail(const std::string& what, std::size_t more_bytes) {
  const int error = errno;
  broken_ = true;
  const bool whole = ::ftruncate(file_.get(), static_cast<off_t>(size_)) == 0;
  reject_io(path_,
            fmt::format("{} after {} records, all of them safe{}", what, records_.size(),
                        whole ? "" : " (a half-written end stays, and is removed on resume)"),
            error, fmt::format("room for {} more bytes", more_bytes));
}

void Journal::append_timing(std::string_view line) { write_all(timings_.get(), std::string(line) + '\n'); }

}  // namespace evictbench
