// The include graph of the folders is the one written here, and files stay short.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace evictbench {
namespace {

namespace fs = std::filesystem;

constexpr int kLongest = 600;  // lines of a file

// What the files of a folder may include: all of a folder (not of those in it), or single headers. A folder that is not
// named here takes the row of the one around it.
const std::map<std::string, std::set<std::string>> kMayInclude{
    {"core", {"core"}},
    {"core/io", {"core/io", "core/error.h", "core/utf8.h"}},
    {"core/cpu", {"core", "core/cpu"}},
    {"core/cuda", {"core", "core/cuda"}},
    {"models", {"models", "core", "core/io"}},
    {"policies",
     {"policies", "core/budget.h", "core/decode_rule.h", "core/error.h", "core/kept.h", "core/lane.h",
      "core/numerics.h", "core/observation.h", "core/ops.h", "core/scores.h", "core/selection.h",
      "core/shape.h", "core/stat.h", "core/tensor.h", "core/io/file.h", "core/io/json.h"}},
    {"policies/published", {"policies", "policies/published"}},
    {"datasets", {"datasets", "datasets/metrics", "core/error.h", "core/utf8.h", "core/io"}},
    {"reports", {"reports", "core/error.h", "core/utf8.h", "core/io"}},
    {"harness",
     {"harness", "core", "core/io", "core/cpu", "core/cuda", "models", "policies", "datasets",
      "datasets/metrics", "reports"}},
    {"tests",
     {"core", "core/io", "core/cpu", "core/cuda", "models", "policies", "datasets", "datasets/metrics",
      "reports", "harness", "tests/support", "tests/reports", "tests/benchmarks", "tests/fuzz/support"}},
};
const std::set<std::string> kFolders{"core", "models", "policies", "datasets", "reports", "harness", "tests"};

const std::set<std::string>& allowed_in(std::string folder) {
  while (!kMayInclude.contains(folder)) folder = fs::path(folder).parent_path().string();
  return kMayInclude.at(folder);
}

struct Findings {
  std::vector<std::string> faults;
  int arrows = 0;
};

// `file` is a path from the root of the tree.
void scan(const std::string& file, std::istream& in, Findings& found) {
  static const std::regex kInclude(R"(^\s*#\s*include\s*(["<])([^">]+)[">].*)");
  const std::set<std::string>& allowed = allowed_in(fs::path(file).parent_path().string());
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    std::smatch match;
    if (line.find('#') == std::string::npos || !std::regex_match(line, match, kInclude)) continue;
    const std::string header = match[2];
    const bool ours = match[1] == "\"" || kFolders.contains(header.substr(0, header.find('/')));
    if (!ours) continue;
    ++found.arrows;
    if (!allowed.contains(header) && !allowed.contains(fs::path(header).parent_path().string()))
      found.faults.push_back(file + ":" + std::to_string(number) + ": may not include " + header);
  }
  if (number > kLongest) found.faults.push_back(file + ": " + std::to_string(number) + " lines");
}

TEST(Layering, HoldsInTheWholeTree) {
  const fs::path root = EVICTBENCH_SOURCE_DIR;
  Findings found;
  for (const std::string& folder : kFolders)
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      if (!std::set<std::string>{".h", ".cpp", ".cu", ".cuh"}.contains(extension)) continue;
      std::ifstream in(entry.path());
      ASSERT_TRUE(in) << entry.path();
      scan(fs::relative(entry.path(), root).string(), in, found);
    }
  EXPECT_GT(found.arrows, 300) << "the pattern no longer finds includes";
  for (const std::string& fault : found.faults) ADD_FAILURE() << fault;
}

std::vector<std::string> faults_of(const std::string& file, const std::string& text) {
  Findings found;
  std::istringstream in(text);
  scan(file, in, found);
  return found.faults;
}

TEST(Layering, SeesAWrongArrow) {
  const std::vector<std::pair<const char*, const char*>> wrong{
      {"core/shape.h", "models/config.h"},
      {"core/lane.h", "core/cpu/device.h"},
      {"core/io/file.cpp", "core/tensor.h"},
      {"core/cpu/ops.cpp", "policies/x.h"},
      {"models/llama.cpp", "core/cpu/kernels.h"},
      {"models/deep/x.cpp", "policies/x.h"},
      {"policies/x.cpp", "core/ragged_cache.h"},
      {"policies/x.cpp", "models/config.h"},
      {"policies/x.cpp", "core/cpu/device.h"},
      {"datasets/x.cpp", "core/tensor.h"},
      {"datasets/x.cpp", "reports/record.h"},
      {"reports/x.cpp", "datasets/dataset.h"},
      {"harness/main.cpp", "tests/support/fixtures.h"},
      {"reports/x.cpp", "labels.h"},
      {"reports/x.cpp", "../core/tensor.h"}};
  for (const auto& [file, header] : wrong)
    for (const char* opening : {"#include \"", "  #  include \""}) {
      const std::vector<std::string> faults =
          faults_of(file, "#pragma once\n" + std::string(opening) + header + "\" // x\n");
      ASSERT_EQ(faults.size(), 1u) << file << " including " << header;
      EXPECT_EQ(faults[0], std::string(file) + ":2: may not include " + header);
    }
  EXPECT_EQ(faults_of("policies/x.cpp", "#include <models/config.h>\n").size(), 1u);
}

TEST(Layering, LetsARightArrowPass) {
  EXPECT_TRUE(faults_of("policies/x.cpp",
                        "#include <vector>\n#include \"core/ops.h\"\n#include \"policies/policy.h\"\n")
                  .empty());
  EXPECT_TRUE(
      faults_of("models/deep/x.cpp", "#include \"core/io/file.h\"\n#include \"models/config.h\"\n").empty());
  EXPECT_TRUE(faults_of("harness/x.cpp", "#include \"core/cpu/device.h\"\n").empty());
}

TEST(Layering, SeesALongFile) {
  EXPECT_TRUE(faults_of("core/x.h", std::string(kLongest, '\n')).empty());
  EXPECT_EQ(faults_of("core/x.h", std::string(kLongest + 1, '\n')).size(), 1u);
}

}  // namespace
}  // namespace evictbench
