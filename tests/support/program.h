#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/support/temp_folder.h"

namespace evictbench {

// The program as a user calls it, with a folder of its own; skipped where it is not built.
class Program : public testing::Test {
 protected:
  void SetUp() override {
    if (std::string(EVICTBENCH_BINARY).empty()) GTEST_SKIP() << "the program is not built here";
  }
  // -> exit code. What it prints lies in the files "said" and "errors" of the folder.
  int call(const std::string& arguments) const {
    const std::string line =
        EVICTBENCH_BINARY + (" " + arguments) + " >" + (folder_ / "said") + " 2>" + (folder_ / "errors");
    const int status = std::system(line.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string text(const std::string& name) const {
    std::ifstream in(folder_ / name);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::string said() const { return text("said") + text("errors"); }

  TempFolder folder_;
};

}  // namespace evictbench
