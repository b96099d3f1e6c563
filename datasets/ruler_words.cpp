#include "datasets/ruler_words.h"

#include <fmt/format.h>

#include <string_view>

namespace evictbench {
namespace {

constexpr std::string_view kOnsets[] = {"b", "d", "f", "g", "h", "k", "l",  "m",
                                        "n", "p", "r", "s", "t", "v", "br", "st"};
constexpr std::string_view kVowels[] = {"a", "e", "i", "o", "u"};
constexpr std::string_view kCodas[] = {"l", "m", "n", "nd", "r", "sk", "st", "t"};

}  // namespace

std::string RulerWords::raw_word(std::size_t syllables) {
  std::string out;
  for (std::size_t i = 0; i < syllables; ++i) {
    out += draws_.one_of(kOnsets);
    out += draws_.one_of(kVowels);
    if (i + 1 == syllables || draws_.below(2) == 0) out += draws_.one_of(kCodas);
  }
  return out;
}

std::string RulerWords::word(std::size_t syllables) {
  return fresh([&] { return raw_word(syllables); });
}

std::string RulerWords::number() {
  return fresh([&] { return fmt::format("{}", 1000000 + draws_.below(9000000)); });
}

std::string RulerWords::uuid() {
  return fresh([&] {
    std::string out = "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx";
    for (char& c : out)
      if (c == 'x' || c == 'y') c = "0123456789abcdef"[c == 'x' ? draws_.below(16) : 8 + draws_.below(4)];
    return out;
  });
}

std::string RulerWords::letters(char first, std::size_t n) {
  return fresh([&] {
    std::string out;
    for (std::size_t i = 0; i < n; ++i) out += static_cast<char>(first + static_cast<char>(draws_.below(26)));
    return out;
  });
}

}  // namespace evictbench
