#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

namespace evictbench {

// A folder in memory for a whole run, gone at its end. Files are written over in place: that is what is fast.
class MemoryFolder {
 public:
  MemoryFolder()
      : path_(std::string(std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "/tmp") +
              "/evictbench-fuzz-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("no folder in memory");
  }
  MemoryFolder(const MemoryFolder&) = delete;
  MemoryFolder& operator=(const MemoryFolder&) = delete;
  ~MemoryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  // Writes a file and returns its path.
  std::string write(const std::string& name, std::string_view content) const {
    std::string path = *this / name;
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const auto size = static_cast<ssize_t>(content.size());
    const bool whole = file >= 0 && ::pwrite(file, content.data(), content.size(), 0) == size &&
                       ::ftruncate(file, size) == 0;
    if (file >= 0) ::close(file);
    if (!whole) throw std::runtime_error("cannot write " + path);
    return path;
  }
  void remove(const std::string& name) const { ::unlink((*this / name).c_str()); }

 private:
  std::string path_;
};

}  // namespace evictbench
