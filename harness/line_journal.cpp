#include "harness/line_journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <sstream>

#include "core/io/file.h"
#include "reports/json_text.h"

namespace evictbench {
namespace {

// Names the first place where the two differ.
[[noreturn]] void refuse_other(const std::string& path, const std::string& there, const std::string& now,
                               const std::string& code_prefix, const std::string& mend) {
  constexpr std::size_t kBefore = 60, kShown = 160;
  const auto at = static_cast<std::size_t>(std::ranges::mismatch(there, now).in1 - there.begin());
  const std::size_t from = at - std::min(at, kBefore);
  const auto part = [&](const std::string& text) {
    return "\"" + printable(text.substr(from), kShown) + "\"";
  };
  reject(Exit::kNotComparable, {code_prefix + "-05", path, fmt::format("1:{}", from + 1),
                                "another measurement: " + part(there), part(now), mend});
}

}  // namespace

LineJournal::LineJournal(std::string path, const std::string& identity, std::string code_prefix,
                         const std::string& mend)
    : path_(std::move(path)) {
  constexpr std::uint64_t kMostBytes = std::uint64_t{4} << 30;
  constexpr int kFlags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  file_ = Descriptor(::open(path_.c_str(), kFlags, 0666));
  if (file_.get() < 0) reject_io(path_, "it cannot be opened", errno, "a file to write to");
  if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0)
    reject(Exit::kLocked, {code_prefix + "-09", path_, "", "another measurement writes to it",
                           "a file of our own", "wait until it ends, or " + mend});
  std::string text = read_text(path_, Exit::kOutput, code_prefix, kMostBytes);
  const std::size_t whole = text.rfind('\n') + 1;  // 0 without any line
  if (whole < text.size() && ::ftruncate(file_.get(), static_cast<off_t>(whole)) != 0)
    reject_io(path_, "cutting off a torn line failed", errno, "a file to write to");
  text.resize(whole);
  const std::string header = JsonText().open('{').key("measured").text(identity).close().str();
  if (text.empty()) {
    append(header);
    return;
  }
  std::istringstream from(text);
  std::string line;
  std::getline(from, line);
  if (line != header) refuse_other(path_, line, header, code_prefix, mend);
  while (std::getline(from, line)) lines_.push_back(line);
}

void LineJournal::append(const std::string& line) {
  if (!write_all(file_.get(), line + "\n") || ::fdatasync(file_.get()) != 0)
    reject_io(path_, "writing failed", errno, fmt::format("room for {} more bytes", line.size() + 1));
}

}  // namespace evictbench
