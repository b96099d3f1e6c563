#include "core/io/file.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "tests/support/refusal.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

void open(const std::string& path) { File(path, Exit::kInput, "E-XX"); }
std::string text(const std::string& path, std::uint64_t most = 1 << 20) {
  return read_text(path, Exit::kInput, "E-XX", most);
}

TEST(File, ReadsRanges) {
  const TempFolder folder;
  const File file(folder.write("a", "0123456789"), Exit::kInput, "E-XX");
  std::string four(4, ' ');
  file.read(3, std::as_writable_bytes(std::span(four)));
  EXPECT_EQ(four, "3456");
  EXPECT_EQ(file.size(), 10u);
  file.read(10, {});
  EXPECT_EQ(text(folder / "a"), "0123456789");
  EXPECT_EQ(text(folder.write("empty", "")), "");
}

TEST(File, RefusesWhatIsNoFile) {
  const TempFolder folder;
  const std::string there = folder.write("there", "x");
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  std::filesystem::create_symlink("loop", folder / "loop");
  std::filesystem::create_symlink("nowhere", folder / "dangling");
  expect_refusal([&] { open(folder / "absent"); }, "E-XX-F01", "absent: there is no such file");
  expect_refusal([&] { open(""); }, "E-XX-F01", "empty");
  expect_refusal([&] { open(there + "/below"); }, "E-XX-F01", "no such file");
  expect_refusal([&] { open(folder / "dangling"); }, "E-XX-F01", "a link to \"nowhere\"");
  expect_refusal([&] { open(folder.path()); }, "E-XX-F03", "a folder");
  expect_refusal([&] { open(folder / "fifo"); }, "E-XX-F04", "pipe");  // and does not hang
  expect_refusal([&] { open("/dev/zero"); }, "E-XX-F04", "device");
  expect_refusal([&] { open(folder / "loop"); }, "E-XX-F06", "links");
  expect_refusal([&] { open(folder / std::string(300, 'n')); }, "E-XX-F12", "too long");
  expect_refusal([&] { open(std::string(5000, 'n')); }, "E-XX-F12", "too long");
  expect_refusal([&] { open(std::string("a\0b", 3)); }, "E-XX-F12", "NUL");
  expect_refusal([&] { open(folder / "new\nline\xff"); }, "E-XX-F01", R"(new\\x0aline\\xff)");
}

TEST(File, RefusesASocket) {
  const TempFolder folder;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, (folder / "socket").c_str(), sizeof address.sun_path - 1);
  const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  expect_refusal([&] { open(folder / "socket"); }, "E-XX-F04", "socket");
  ::close(listener);
}

TEST(File, RefusesWhatMayNotBeRead) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const TempFolder folder;
  const std::string path = folder.write("secret", "x");
  ::chmod(path.c_str(), 0);
  expect_refusal([&] { open(path); }, "E-XX-F02", "permission denied");
}

TEST(File, NoticesThatAFileShrinks) {
  const TempFolder folder;
  const std::string path = folder.write("a", "0123456789");
  const File file(path, Exit::kInput, "E-XX");
  ASSERT_EQ(::truncate(path.c_str(), 4), 0);
  std::string all(10, ' ');
  expect_refusal([&] { file.read(0, std::as_writable_bytes(std::span(all))); }, "E-XX-F09",
                 "byte 4: the file became shorter");
}

TEST(File, RefusesToReadBeyondTheEnd) {
  const TempFolder folder;
  const File file(folder.write("a", "0123456789"), Exit::kInput, "E-XX");
  std::string four(4, ' ');
  const auto to = std::as_writable_bytes(std::span(four));
  expect_refusal([&] { file.read(7, to); }, "E-XX-F09", "byte 10: the file ends here");
  expect_refusal([&] { file.read(UINT64_MAX - 2, to); }, "E-XX-F09", "the file ends here");
}

TEST(ReadText, DoesNotBelieveASparseFile) {
  const TempFolder folder;
  const std::string path = folder.write("sparse", "");
  ASSERT_EQ(::truncate(path.c_str(), std::int64_t{1} << 40), 0);
  expect_refusal([&] { text(path); }, "E-XX-F08", "1099511627776 bytes; expected at most 1048576");
}

TEST(ReadText, NamesWhatIsNoText) {
  const TempFolder folder;
  const auto refuse = [&](const std::string& content, const char* code, const char* words) {
    SCOPED_TRACE(words);
    expect_refusal([&] { text(folder.write("f", content)); }, code, words);
  };
  refuse("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "E-XX-F13",
         R"(Git LFS pointer.*\(63 bytes\).*git lfs pull)");
  refuse("\x1f\x8b\x08", "E-XX-F13", "gzip");
  refuse("PK\x03\x04...", "E-XX-F13", "zip archive");
  refuse("\x80\x02}q", "E-XX-F13", "pickle");
  refuse(std::string("GGUF\x03\0\0\0", 8), "E-XX-F13", "GGUF");
  refuse("\n <!DOCTYPE html><html>", "E-XX-F14", "HTML page");
  refuse("<HTML><body>", "E-XX-F14", "HTML page");
  EXPECT_EQ(text(folder.write("f", "PK and GGUF are <html>")), "PK and GGUF are <html>");
}

TEST(Utf8, FindsTheFirstBadByte) {
  const std::string good = "ASCII éß 漢字 😀 \U0010ffff";
  EXPECT_EQ(invalid_utf8(good), std::string::npos);
  EXPECT_EQ(invalid_utf8(""), std::string::npos);
  for (const char* bad :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xf5", "\xff", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xc3x"}) {
    EXPECT_EQ(invalid_utf8(bad), 0u) << printable(bad);
    EXPECT_EQ(invalid_utf8(good + bad), good.size()) << printable(bad);
    EXPECT_EQ(invalid_utf8("12345678abc" + std::string(bad) + good), 11u) << printable(bad);
  }
}

}  // namespace
}  // namespace evictbench
