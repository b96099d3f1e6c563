#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "tests/support/refusal.h"

namespace evictbench {

// Makes `path` each thing in turn that is no file. `act` must refuse all of them under the codes of the file
// contract: PREFIX-F03 and so on.
template <class Act>
void expect_no_file_is_refused(const std::string& path, const std::string& prefix, Act&& act) {
  namespace fs = std::filesystem;
  const auto check = [&](const char* code, const char* words) {
    SCOPED_TRACE(path + ": " + words);
    expect_refusal(act, prefix + code, words);
    fs::remove(path);
  };
  fs::remove(path);
  fs::create_directory(path);
  check("-F03", "this is a folder");
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  check("-F04", "pipe, socket or device");
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  ASSERT_LT(path.size(), sizeof address.sun_path);
  std::strcpy(address.sun_path, path.c_str());
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  check("-F04", "socket or a device");
  ::close(socket);
  fs::create_symlink("/dev/zero", path);
  check("-F04", "pipe, socket or device");
  fs::create_symlink("nowhere", path);
  check("-F01", "no such file .a link to \"nowhere\"");
  fs::create_symlink(fs::path(path).filename(), path);
  check("-F06", "too many links");
}

}  // namespace evictbench
