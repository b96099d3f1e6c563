#include "harness/line_journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>

#include "core/io/file.h"
#include "reports/json_text.h"

namespace evictbench {

LineJournal::LineJournal(std::string path, const std::string& identity, std::string code_prefix,
                         const std::string& mend)
    : path_(std::move(path)) {
  constexpr std::uint64_t kMostBytes = std::uint64_t{4} << 30;
  constexpr int kFlags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  file_ = Descriptor(::open(path_.c_str(), kFlags, 0666));
  if (file_.get() < 0) reject_io(path_, "it cannot be opened", errno, "a file to write to");
  std::string text = read_text(path_, Exit::kOutput, code_prefix, kMostBytes);
  const std::size_t whole = text.rfind('\n') + 1;  // 0 without any line
  if (whole < text.size() && ::ftruncate(file_.get(), static_cast<off_t>(whole)) != 0)
    reject_io(path_, "cutting off a torn line failed", errno, "a file to write to");
  text.resize(whole);
  const std::string header = JsonText().open('{').key("measured").text(identity).close().str();
  if (text.empty()) return append(header);
  std::istringstream from(text);
  std::string line;
  std::getline(from, line);
  if (line != header)
    reject(Exit::kNotComparable,
           {code_prefix + "-05", path_, "line 1", fmt::format("trials of {}", printable(line, 300)),
            printable(header, 300), mend});
  while (std::getline(from, line)) lines_.push_back(line);
}

void LineJournal::append(const std::string& line) {
  if (!write_all(file_.get(), line + "\n") || ::fdatasync(file_.get()) != 0)
    reject_io(path_, "writing failed", errno, fmt::format("room for {} more bytes", line.size() + 1));
}

}  // namespace evictbench
