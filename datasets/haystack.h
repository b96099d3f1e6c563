#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/generated_text.h"

namespace evictbench {

// The texts of all .txt files of a folder, in the order of their names: each starting on a line of its own, or `joined` as they
// are. Errors: exit 4.
std::string read_haystack(const std::string& folder, bool joined = false);

// An endless text: a finite one repeated, or a generated one.
class Haystack {
 public:
  explicit Haystack(std::string text);  // not blank
  Haystack(std::uint64_t seed, const std::vector<std::string>& forbidden);

  // The longest prefix of whole words within `bytes` bytes (a run of more than 256 bytes without a blank is cut at
  // any character). Valid until the next call.
  std::string_view prefix(std::size_t bytes);

  // The bytes of the longest such prefix whose `tokens` stay within `budget`; one that lacks at most `slack` tokens is
  // long enough. No prefix at all is known to fit. A guess `start` near the answer saves calls: each one costs a pass
  // over the text. `tokens` need not grow steadily.
  std::size_t fit(std::int64_t budget, std::int64_t slack, std::size_t start,
                  const std::function<int(std::string_view)>& tokens);

 private:
  std::string text_;
  std::size_t period_ = 0;  // bytes of text_ that repeat
  std::optional<GeneratedText> generated_;
};

// Whether a sentence or paragraph ends before byte `at`, so that another sentence can be put there: after . ! ?
// (and closing quotes and brackets) before a blank, unless a small letter follows; after a full-width stop; and at
// the first word after an empty line.
bool is_sentence_end(std::string_view text, std::size_t at);

// The byte where a needle at `depth` percent goes: the last sentence end that has at most that share of the
// characters before it; 0 without any, and always the end at 100.
std::size_t needle_position(std::string_view text, double depth);

// `text` with the needle as a sentence of its own, blanks around it where they are missing.
std::string insert_needle(std::string_view text, std::string_view needle, double depth);

}  // namespace evictbench
