#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "datasets/draws.h"

namespace evictbench {

template <class Value>
void shuffle(std::vector<Value>& list, Draws& draws) {
  for (std::size_t n = list.size(); n > 1; --n) std::swap(list[n - 1], list[draws.below(n)]);
}

// What RULER's generators draw, none of it twice. Where the originals take English words of the package wonderwords, these
// are coined of syllables: "talbost".
class RulerWords {
 public:
  explicit RulerWords(Draws draws) : draws_(draws) {}

  std::string word(std::size_t syllables = 2);
  std::string words_key() {
    return fresh([&] { return raw_word(2) + "-" + raw_word(2); });
  }
  std::string number();                            // seven digits
  std::string uuid();                              // version 4
  std::string letters(char first, std::size_t n);  // n of the 26 from 'a' or 'A' on
  Draws& draws() { return draws_; }

 private:
  std::string raw_word(std::size_t syllables);

  template <class Draw>
  std::string fresh(const Draw& draw) {
    for (;;)
      if (std::string out = draw(); used_.insert(out).second) return out;
  }

  Draws draws_;
  std::set<std::string> used_;
};

}  // namespace evictbench
