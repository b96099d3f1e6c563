#include "harness/output_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <system_error>

namespace evictbench {
namespace {

constexpr const char *kLockName = ".lock", *kProbeName = ".probe";

// Who holds the folder, as the next one will read it.
std::string holder() {
  std::array<char, 256> host{}, time{};
  ::gethostname(host.data(), host.size() - 1);
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::strftime(time.data(), time.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return fmt::format("pid {} on host {}, started {}", ::getpid(), host.data(), time.data());
}

std::string read_holder(int lock) {
  std::array<char, 512> text;
  const ssize_t got = ::pread(lock, text.data(), text.size(), 0);
  std::string out(text.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  out = out.substr(0, out.find('\n'));
  return out.empty() ? "a run that has just begun" : printable(out, 300);
}

// A file of another name, made durable, then renamed; `shown` is its path for messages.
Descriptor put(int folder, const std::string& name, const std::string& shown, std::string_view content) {
  const std::string temporary = "." + name + ".tmp";
  const std::string room = fmt::format("room for {} bytes", content.size());
  const auto fail = [&](const char* what) {
    const int error = errno;
    ::unlinkat(folder, temporary.c_str(), 0);
    reject_io(shown, what, error, room);
  };
  Descriptor to(
      ::openat(folder, temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (to.get() < 0) fail("the file cannot be made");
  if (!write_all(to.get(), content)) fail("writing failed");
  if (::fsync(to.get()) != 0) fail("making it durable failed");
  if (::renameat(folder, temporary.c_str(), folder, name.c_str()) != 0) fail("renaming failed");
  return to;
}

}  // namespace

Descriptor::~Descriptor() {
  if (value_ >= 0) ::close(value_);
}

void reject_io(const std::string& file, const std::string& what, int error, const std::string& expected) {
  std::string first;
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      first = "free space there";
      break;
    case EFBIG:
      first = "raise the limit of file sizes (ulimit -f)";
      break;
    case EROFS:
    case EACCES:
    case EPERM:
      first = "make the folder writable, or choose another output.dir";
      break;
    case ENOENT:
    case ENOTDIR:
    case ESTALE:
      first = "let nothing move or delete the folder during a run";
      break;
    case EISDIR:
      first = "name a file";
      break;
    default:
      first = "check the disk";
  }
  reject(Exit::kOutput, {"E-OUT-06", file, "", fmt::format("{}: {}", what, std::strerror(error)), expected,
                         first + ", then run the same command again to resume"});
}

bool write_all(int file, std::string_view content) {
  while (!content.empty()) {
    const ssize_t wrote = ::write(file, content.data(), content.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return false;
    content.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return true;
}

namespace {

bool is_output(const std::string& path) {
  struct stat there {
  }, output{};
  return ::stat(path.c_str(), &there) == 0 && ::fstat(STDOUT_FILENO, &output) == 0 &&
         output.st_dev == there.st_dev && output.st_ino == there.st_ino;
}

void write_through(const std::string& path, std::string_view content) {
  const Descriptor file(is_output(path) ? ::dup(STDOUT_FILENO) : ::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file.get() < 0) reject_io(path, "it cannot be opened", errno, "a file to write to");
  if (std::fflush(stdout) != 0 || !write_all(file.get(), content))
    reject_io(path, "writing failed", errno, "room for it");
}

}  // namespace

bool is_stream(const std::string& path) {
  std::error_code ignored;
  const auto there = std::filesystem::status(path, ignored);
  return std::filesystem::exists(there) && (!std::filesystem::is_regular_file(there) || is_output(path));
}

void write_file(const std::string& path, std::string_view content) {
  if (is_stream(path)) return write_through(path, content);
  std::error_code absent;
  std::filesystem::path target = std::filesystem::canonical(path, absent);  // a link to a file stays one
  if (absent) target = path;
  const std::string parent = target.parent_path().string();
  const Descriptor folder(::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) reject_io(path, "its folder cannot be opened", errno, "a writable folder");
  put(folder.get(), target.filename().string(), path, content);
  if (::fsync(folder.get()) != 0) reject_io(path, "making it durable failed", errno, "a sound disk");
}

OutputFolder::OutputFolder(std::string path) : path_(std::move(path)) {
  std::error_code error;
  std::filesystem::create_directories(path_, error);
  if (error) reject_io(path_, "the results folder cannot be made", error.value(), "a writable folder");
  folder_ = Descriptor(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder_.get() < 0) reject_io(path_, "the results folder cannot be opened", errno, "a writable folder");
  lock();
  write_file(kProbeName, "probe\n");
  ::unlinkat(folder_.get(), kProbeName, 0);
}

// The kernel drops the lock with its holder, however that ends; the file stays, so that no two runs can lock
// different files of one name.
void OutputFolder::lock() {
  Descriptor file(
      ::openat(folder_.get(), kLockName, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666));
  if (file.get() < 0) reject_io(path_, "the results folder is not writable", errno, "a writable folder");
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK)
      reject_io(path_, "the results folder cannot be locked", errno, "a lock of our own");
    reject(Exit::kLocked,
           {"E-OUT-03", path_, "", fmt::format("another run holds this folder: {}", read_holder(file.get())),
            "a folder that no other run writes to", "wait until it ends, or choose another output.dir"});
  }
  const std::string text = holder() + "\n";
  if (::ftruncate(file.get(), 0) != 0 || ::lseek(file.get(), 0, SEEK_SET) != 0 ||
      !write_all(file.get(), text))
    reject_io(this->file(kLockName), "writing failed", errno, fmt::format("room for {} bytes", text.size()));
  lock_ = std::move(file);
}

void OutputFolder::write_file(const std::string& name, std::string_view content) const {
  const Descriptor there = put(folder_.get(), name, file(name), content);
  make_durable();
  require_there(there.get(), name);
}

void OutputFolder::make_durable() const {
  if (::fsync(folder_.get()) != 0)
    reject_io(path_, "making the folder durable failed", errno, "a sound disk");
}

void OutputFolder::require_there(int file_descriptor, std::string_view name) const {
  struct stat ours, named;
  const bool there = ::fstat(file_descriptor, &ours) == 0 && ::stat(file(name).c_str(), &named) == 0 &&
                     ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
  if (!there)
    reject_io(file(name), "it was moved or deleted while the run was writing", ENOENT, "the file we write");
}

}  // namespace evictbench
