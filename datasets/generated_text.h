#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace evictbench {

// An endless plain English story in paragraphs, made from a small grammar: the haystack that needs no files. It holds
// no digits. The bytes depend on the seed and the forbidden phrases alone, and are the same on every machine: each
// paragraph draws from its own counter, so a longer text begins with the shorter one.
class GeneratedText {
 public:
  // No paragraph holds a forbidden phrase (as whole words, letter case aside). Phrases so common that hardly a
  // sentence is without them are an Error (exit 3).
  GeneratedText(std::uint64_t seed, const std::vector<std::string>& forbidden);

  // The text so far, grown by whole paragraphs to at least `bytes`.
  const std::string& grown_to(std::size_t bytes);

 private:
  std::string paragraph(std::uint64_t index) const;
  bool allowed(const std::string& text) const;

  std::uint64_t seed_;
  std::vector<std::vector<std::string>> forbidden_;  // words of each phrase
  std::string text_;
  std::uint64_t paragraphs_ = 0;
};

}  // namespace evictbench
