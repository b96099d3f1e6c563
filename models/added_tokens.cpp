#include "models/added_tokens.h"

#include <algorithm>

#include "core/utf8.h"
#include "models/unicode.h"

namespace evictbench {
namespace {

std::uint64_t edge(std::uint32_t node, char byte) {
  return std::uint64_t{node} << 8 | static_cast<unsigned char>(byte);
}

// Tokens that are looked for before normalisation and after it have a trie each, in one table.
std::uint32_t root(bool normalized) { return normalized ? 1 : 0; }

bool word_before(std::string_view text) {
  return !text.empty() && is_word_character(decode_utf8(text.substr(before_last(text))).code);
}

bool word_after(std::string_view text) { return !text.empty() && is_word_character(decode_utf8(text).code); }

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)), ends_{-1, -1} {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    std::uint32_t node = root(tokens_[i].normalized);
    for (const char byte : tokens_[i].text) {
      const auto [found, fresh] =
          edges_.try_emplace(edge(node, byte), static_cast<std::uint32_t>(ends_.size()));
      if (fresh) ends_.push_back(-1);
      node = found->second;
    }
    ends_[node] = static_cast<std::int32_t>(i);
  }
}

// The longest token that `text` starts with.
const AddedToken* AddedTokens::find(std::string_view text, bool normalized) const {
  std::int32_t longest = -1;
  std::uint32_t node = root(normalized);
  for (const char byte : text) {
    const auto next = edges_.find(edge(node, byte));
    if (next == edges_.end()) break;
    node = next->second;
    if (ends_[node] >= 0) longest = ends_[node];
  }
  return longest < 0 ? nullptr : &tokens_[static_cast<std::size_t>(longest)];
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text, bool normalized,
                                                  bool specials) const {
  std::vector<Part> parts;
  std::size_t done = 0, space_end = 0;  // the end of the white space that a token took along last
  for (std::size_t at = 0; at < text.size() && !tokens_.empty();) {
    const AddedToken* token = find(text.substr(at), normalized);
    if (!token) {
      ++at;
      continue;
    }
    std::size_t start = at, end = at + token->text.size();
    at = end;
    if (token->special && !specials) continue;  // and no other token is looked for inside
    if (token->single_word && (word_before(text.substr(0, start)) || word_after(text.substr(end)))) continue;
    if (token->lstrip && start > done)
      start = done + without_end_space(text.substr(done, start - done)).size();
    if (token->rstrip) {
      if (end >= space_end) space_end = text.size() - without_start_space(text.substr(end)).size();
      end = space_end;
    }
    if (start > done) parts.push_back({text.substr(done, start - done)});
    parts.push_back({text.substr(at - token->text.size(), token->text.size()), token->id});
    done =
        end;  // but tokens are still looked for in the white space taken along: so does this format's own library
  }
  if (done < text.size()) parts.push_back({text.substr(done)});
  return parts;
}

}  // namespace evictbench
