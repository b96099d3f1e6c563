#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace evictbench {

// A token that is cut out of the text before anything else looks at it.
struct AddedToken {
  std::string text;  // as it is looked for: normalized if that is when
  std::int32_t id = 0;
  bool special = true;                  // only found where the caller asks for special tokens
  bool normalized = false;              // looked for after normalisation, not before
  bool single_word = false;             // not next to a word character
  bool lstrip = false, rstrip = false;  // takes the white space on that side along
};

class AddedTokens {
 public:
  // A part of a text: a token, or text between tokens (id -1).
  struct Part {
    std::string_view text;
    std::int32_t id = -1;
  };

  AddedTokens() = default;
  explicit AddedTokens(std::vector<AddedToken> tokens);

  const std::vector<AddedToken>& all() const { return tokens_; }

  // Cuts valid UTF-8 at the tokens whose `normalized` is as given; the longest token wins, leftmost first.
  std::vector<Part> split(std::string_view text, bool normalized, bool specials) const;

 private:
  const AddedToken* find(std::string_view text, bool normalized) const;

  std::vector<AddedToken> tokens_;
  // Two tries: node << 8 | byte leads to a node; nodes 0 and 1 are the roots.
  std::unordered_map<std::uint64_t, std::uint32_t> edges_;
  std::vector<std::int32_t> ends_;  // by node: index of the token that ends there, or -1
};

}  // namespace evictbench
