#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evictbench {

// Cuts text into the pieces that the model works on: a chain of steps, each cutting what the one before it left. Safe
// to use from several threads, linear in the text.
class PreTokenizer {
 public:
  // What becomes of the matches of a pattern and of the text between them.
  enum class Behavior : std::uint8_t { kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

  PreTokenizer();
  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;
  ~PreTokenizer();

  // Only patterns that are known to run in linear time are taken, by their exact spelling; others give false.
  bool add_pattern(std::string_view pattern, Behavior behavior = Behavior::kIsolated);
  void add_text(std::string_view text, Behavior behavior);  // text itself as the pattern; not empty
  void add_gpt2();                                          // the pattern inside ByteLevel(use_regex)
  void add_digits(bool individual);  // runs of numbers, or single ones, apart from the rest

  // Does this pattern match any text from end to end, so that nothing is between its matches? Nothing: it is unknown.
  static std::optional<bool> covers(std::string_view pattern);

  std::vector<std::string_view> split(std::string_view text) const;  // valid UTF-8

 private:
  class Pattern;
  struct Step {
    std::unique_ptr<const Pattern> pattern;
    Behavior behavior;
  };
  static void cut(const Step& step, std::string_view text, std::vector<std::string_view>& pieces);

  std::vector<Step> steps_;
};

}  // namespace evictbench
