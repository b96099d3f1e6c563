#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/error.h"

// Reading files that may lie: no hang on a FIFO, no allocation from a number in a file, no crash when a file
// shrinks while it is read. Every refusal is an Error with the given exit code (robustness contract F-01..F-15).
namespace evictbench {

// An open regular file. Reads with pread into the caller's memory.
class File {
 public:
  // Code prefix "E-ST" gives messages E-ST-F01...; `path` is shown as given.
  File(std::string path, Exit exit, std::string code_prefix);
  File(File&&) noexcept;
  File& operator=(File&&) = delete;
  ~File();

  const std::string& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  void read(std::uint64_t offset, std::span<std::byte> to) const;  // all of it, or an Error naming the offset

 private:
  std::string path_, code_prefix_;
  Exit exit_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

// The whole file; refuses more than `most` bytes. Git-LFS pointers, gzip, zip and HTML pages are named as such.
std::string read_text(const std::string& path, Exit exit, const std::string& code_prefix,
                      std::uint64_t most = std::uint64_t{1} << 30);

// What a file that begins with `start` really is, if it is plainly of another format than text or weights.
struct Disguise {
  const char *code, *what, *mend;  // code after the prefix: "F13"
};
std::optional<Disguise> recognise(std::string_view start);

std::string link_target(const std::string& path);  // " (a link to ...)" for a message; "" if it is no link
bool is_there(const std::string& path);            // whatever it is, a link that leads nowhere too
bool is_file(const std::string& path);             // a regular file, or a link to one
bool is_folder(const std::string& path);

// Offset of the first byte that is not UTF-8 (overlong forms and surrogates included), or npos.
std::size_t invalid_utf8(std::string_view text);

}  // namespace evictbench
