#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace evictbench {

// An open file, closed on the way out.
class Descriptor {
 public:
  explicit Descriptor(int value = -1) : value_(value) {}
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~Descriptor();
  int get() const { return value_; }

 private:
  int value_;
};

// A results folder, held by this process alone and proven writable, so that a run fails before it loads a model and
// not after. Every I/O failure is an Error (exit 6) that says how to resume; a folder held by another run is exit 7.
class OutputFolder {
 public:
  explicit OutputFolder(std::string path);  // makes the folder if need be

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }
  int descriptor() const { return folder_.get(); }

  // All or nothing, also when the power goes: a file of another name, made durable, then renamed.
  void write_file(const std::string& name, std::string_view content) const;
  void make_durable() const;                                  // names of files made or renamed
  void require_there(int file, std::string_view name) const;  // `file` is still what `name` in our path means

 private:
  void lock();
  std::string path_;
  Descriptor folder_, lock_;  // the lock ends with its descriptor
};

// Standard output, and what is there and no regular file, such as /dev/null: to be written to, never replaced.
bool is_stream(const std::string& path);

// A single file, wherever: all or nothing, also when the power goes. Its folder must be there.
void write_file(const std::string& path, std::string_view content);

// Writes all of it; short writes and interruptions go on. False: errno says why.
bool write_all(int file, std::string_view content);

// An Error (exit 6) about `errno`; the mend says what to do before running again.
[[noreturn]] void reject_io(const std::string& file, const std::string& what, int error,
                            const std::string& expected);

}  // namespace evictbench
