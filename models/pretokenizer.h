#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace evictbench {

// Cuts text into the pieces that byte-pair merging works on: a chain of patterns, each cutting what the one before
// it left. Safe to use from several threads, linear in the text.
class PreTokenizer {
 public:
  PreTokenizer();
  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;
  ~PreTokenizer();

  // Only patterns that are known to run in linear time are taken, by their exact spelling; others give false.
  bool add_pattern(std::string_view pattern);
  void add_gpt2();                   // the pattern inside ByteLevel(use_regex)
  void add_digits(bool individual);  // runs of numbers, or single ones, apart from the rest

  std::vector<std::string_view> split(std::string_view text) const;  // valid UTF-8

 private:
  class Pattern;
  void add(std::string_view pattern);

  std::vector<std::unique_ptr<const Pattern>> patterns_;
};

}  // namespace evictbench
