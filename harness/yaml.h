#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"

// Strict YAML: one document of plain text, numbers, lists and maps. Tags, merge keys, duplicate keys, tabs that
// indent, alias bombs and values that YAML readers disagree about are errors (exit 3) with file, line:column and
// path. The parser underneath is yaml-cpp, read as events, so that nothing is built before it was counted.
namespace evictbench {

// Codes E-YM-nn; the numbers are those of the robustness contract.
namespace ym {
constexpr const char* kSyntax = "E-YM-01";
constexpr const char* kUnknownKey = "E-YM-02";
constexpr const char* kDuplicateKey = "E-YM-03";
constexpr const char* kDocuments = "E-YM-04";
constexpr const char* kAlias = "E-YM-05";  // and what grows beyond the limits
constexpr const char* kTag = "E-YM-06";
constexpr const char* kMerge = "E-YM-07";
constexpr const char* kScalar = "E-YM-08";  // a number, boolean or text that is not plainly one
constexpr const char* kKind = "E-YM-09";
constexpr const char* kCount = "E-YM-10";  // nothing to run, or too much
constexpr const char* kBudget = "E-YM-11";
constexpr const char* kOptionValue = "E-YM-12";
constexpr const char* kNoSuchOption = "E-YM-13";
constexpr const char* kUnavailable = "E-YM-14";  // unknown, or not in this build
constexpr const char* kTwice = "E-YM-15";
constexpr const char* kRange = "E-YM-16";
constexpr const char* kOutput = "E-YM-17";
constexpr const char* kExpansion = "E-YM-18";  // ${HOME}, ~/
constexpr const char* kPath = "E-YM-19";
constexpr const char* kAbsent = "E-YM-20";
constexpr const char* kVersion = "E-YM-21";
constexpr const char* kSet = "E-YM-22";
}  // namespace ym

// A value of a parsed document. Cheap to copy; keeps the document alive.
class Yaml {
 public:
  static constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 20;  // of the file, and of its text with
                                                                       // aliases written out
  static constexpr int kMostDepth = 32;
  static constexpr int kMostNodes = 10'000;  // with aliases written out

  static Yaml from_file(const std::string& path);
  static Yaml from_text(const std::string& text, const std::string& file_name);

  // "policies.0.window=8": the value is parsed as YAML and replaces or adds what the path names. Handles of the
  // replaced value must not be used again.
  void set(const std::string& assignment);

  bool is_null() const;
  bool is_scalar() const;
  bool is_list() const;
  bool is_map() const;
  bool is_quoted() const;

  // Typed scalars. Integers are plain decimal digits: no 010, 0x10, 1_000, 1e3, +1; no quoted numbers; booleans are
  // true and false alone.
  std::int64_t integer(std::int64_t least, std::int64_t most) const;
  double number(double least, double most) const;  // finite
  bool boolean() const;
  const std::string& text() const;   // of any scalar; null is an Error
  const std::string& plain() const;  // a number or a text, for a reader that sees no quotes
  const std::string& choice(const std::vector<std::string>& from) const;  // a text among these

  std::vector<Yaml> elements() const;                       // of a list; what is no list is a list of itself
  std::vector<std::pair<std::string, Yaml>> items() const;  // of a map, in file order
  Yaml at(std::string_view key) const;                      // an absent key is an Error
  std::optional<Yaml> find(std::string_view key) const;
  void only(const std::vector<std::string>& keys) const;  // of a map; an Error for the first other key

  const std::string& file() const;
  std::string position() const;      // "9:3 policies[0].window"
  std::string key_position() const;  // the same, of the key before it
  std::string line() const;          // "line 9", for a second place in a message
  [[noreturn]] void reject(const char* code, const std::string& found, const std::string& expected,
                           const std::string& mend) const;

 private:
  struct Node;
  struct Document;
  struct Builder;
  Yaml(std::shared_ptr<Document> document, const Node* node);
  Yaml child(const Node& node) const;
  static std::unique_ptr<Node>& slot(Node& at, const std::string& step, const std::string& path);
  const Node& scalar(const char* expected) const;
  void expect_map() const;
  std::string path() const;
  std::shared_ptr<Document> document_;
  const Node* node_;
};

}  // namespace evictbench
