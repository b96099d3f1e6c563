#include "core/io/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "core/utf8.h"

namespace evictbench {
namespace {

constexpr std::size_t kMostRead = std::size_t{1} << 30;  // one pread; Linux moves at most 2 GiB - 4 KiB

struct OpenFailure {
  const char *code, *found, *mend;
};
OpenFailure explain_open(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return {"-F01", "there is no such file", "check the path"};
    case EACCES:
    case EPERM:
      return {"-F02", "permission denied", "allow reading, for instance with chmod u+r"};
    case ELOOP:
      return {"-F06", "too many links", "remove the loop of symbolic links"};
    case ENAMETOOLONG:
      return {"-F12", "the path is too long for this system", "use a shorter path"};
    case ENXIO:
      return {"-F04", "this is a socket or a device", "name a regular file"};
    default:
      return {"-F10", std::strerror(error), "check the disk and the path"};
  }
}

bool has_mode(const std::string& path, mode_t mode) {
  struct stat status;
  return path.find('\0') == path.npos && ::stat(path.c_str(), &status) == 0 &&
         (status.st_mode & S_IFMT) == mode;
}

}  // namespace

std::string link_target(const std::string& path) {
  std::array<char, 4096> target;
  const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
  if (length < 0) return "";
  return fmt::format(" (a link to \"{}\")",
                     printable({target.data(), static_cast<std::size_t>(length)}, 200));
}

std::optional<Disguise> recognise(std::string_view start) {
  using namespace std::string_view_literals;
  static constexpr const char* kConvert =
      "convert it to safetensors, in a place where untrusted code may run";
  static constexpr const char* kFetch = "fetch the file again; a login or error page was saved in its place";
  static constexpr std::pair<std::string_view, Disguise> kMagics[] = {
      {"version https://git-lfs",
       {"F13", "this is a Git LFS pointer, not the file itself", "run git lfs pull"}},
      {"\x1f\x8b", {"F13", "this is gzip data", "unpack it with gunzip"}},
      {"PK\x03\x04", {"F13", "this is a zip archive (PyTorch checkpoints are)", kConvert}},
      {"\x80\x02", {"F13", "this is a Python pickle", kConvert}},
      {"\x80\x04", {"F13", "this is a Python pickle", kConvert}},
      {"GGUF\x02\0"sv, {"F13", "this is a GGUF file", "name it with the ending .gguf"}},
      {"GGUF\x03\0"sv, {"F13", "this is a GGUF file", "name it with the ending .gguf"}},
      {"<!doctype html", {"F14", "this is an HTML page", kFetch}},
      {"<html", {"F14", "this is an HTML page", kFetch}},
  };
  const std::string_view page = start.substr(std::min(start.find_first_not_of(" \t\r\n"), start.size()));
  const auto same = [](char magic, char c) {
    return magic == c || (c >= 'A' && c <= 'Z' && magic == c + 32);
  };
  for (const auto& [magic, disguise] : kMagics) {
    const std::string_view from = (magic[0] == '<' ? page : start).substr(0, magic.size());
    if (from.size() == magic.size() && std::equal(magic.begin(), magic.end(), from.begin(), same))
      return disguise;
  }
  return std::nullopt;
}

File::File(std::string path, Exit exit, std::string code_prefix)
    : path_(std::move(path)), code_prefix_(std::move(code_prefix)), exit_(exit) {
  if (path_.empty())
    reject(exit_, {code_prefix_ + "-F01", "\"\"", "", "the path is empty", "a file", "name a file"});
  if (path_.find('\0') != path_.npos)
    reject(exit_,
           {code_prefix_ + "-F12", path_, "", "the path holds a NUL byte", "a path", "check the path"});
  // O_NONBLOCK: a FIFO must not make us wait.
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (descriptor_ < 0) {
    const OpenFailure failure = explain_open(errno);
    reject(exit_, {code_prefix_ + failure.code, path_, "", failure.found + link_target(path_),
                   "a readable file", failure.mend});
  }
  struct stat status;
  const bool known = ::fstat(descriptor_, &status) == 0;
  if (known && S_ISREG(status.st_mode)) {
    size_ = static_cast<std::uint64_t>(status.st_size);
    return;
  }
  ::close(descriptor_);
  const bool folder = known && S_ISDIR(status.st_mode);
  reject(exit_, {code_prefix_ + (folder ? "-F03" : "-F04"), path_, "",
                 folder ? "this is a folder" : "this is a pipe, socket or device", "a regular file",
                 folder ? "name a file inside it" : "write the content to a file first"});
}

File::File(File&& other) noexcept
    : path_(std::move(other.path_)),
      code_prefix_(std::move(other.code_prefix_)),
      exit_(other.exit_),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_) {}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void File::read(std::uint64_t offset, std::span<std::byte> to) const {
  if (offset > size_ || to.size() > size_ - offset)
    reject(exit_, {code_prefix_ + "-F09", path_, fmt::format("byte {}", size_), "the file ends here",
                   fmt::format("{} bytes from byte {}", to.size(), offset), "fetch or write the file again"});
  while (!to.empty()) {
    const ssize_t got =
        ::pread(descriptor_, to.data(), std::min(to.size(), kMostRead), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    const std::string place = fmt::format("byte {}", offset);
    if (got < 0)
      reject(exit_,
             {code_prefix_ + "-F10", path_, place, fmt::format("reading failed: {}", std::strerror(errno)),
              fmt::format("{} more bytes", to.size()), "check the disk or the network mount"});
    if (got == 0)
      reject(exit_, {code_prefix_ + "-F09", path_, place, "the file became shorter while it was read",
                     fmt::format("{} bytes", size_), "let no other program write to it, and run again"});
    to = to.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
}

std::string read_text(const std::string& path, Exit exit, const std::string& code_prefix,
                      std::uint64_t most) {
  const File file(path, exit, code_prefix);
  if (file.size() > most)
    reject(exit, {code_prefix + "-F08", path, "", fmt::format("the file has {} bytes", file.size()),
                  fmt::format("at most {} bytes", most), "check that this is the right file"});
  std::string text(file.size(), '\0');
  file.read(0, std::as_writable_bytes(std::span(text)));
  if (const auto disguise = recognise(text))
    reject(exit, {code_prefix + "-" + disguise->code, path, "",
                  fmt::format("{} ({} bytes)", disguise->what, text.size()), "plain text", disguise->mend});
  return text;
}

bool is_there(const std::string& path) {
  struct stat status;
  return path.find('\0') == path.npos && ::lstat(path.c_str(), &status) == 0;
}
bool is_file(const std::string& path) { return has_mode(path, S_IFREG); }
bool is_folder(const std::string& path) { return has_mode(path, S_IFDIR); }

std::size_t invalid_utf8(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    std::uint64_t word;  // eight ASCII bytes in one step
    if (text.size() - at >= sizeof word) {
      std::memcpy(&word, text.data() + at, sizeof word);
      if ((word & 0x8080808080808080U) == 0) {
        at += sizeof word;
        continue;
      }
    }
    const Utf8 next = decode_utf8(text.substr(at));
    if (!next.valid) return at;
    at += next.bytes;
  }
  return std::string_view::npos;
}

}  // namespace evictbench
