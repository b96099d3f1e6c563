#include "models/added_tokens.h"

#include <algorithm>

#include "core/utf8.h"
#include "models/unicode.h"

namespace evictbench {
namespace {

std::uint64_t edge(std::uint32_t node, char byte) {
  return std::uint64_t{node} << 8 | static_cast<unsigned char>(byte);
}

// Length of `text` without its last character.
std::size_t before_last(std::string_view text) {
  std::size_t start = text.size() - 1;
  while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xc0) == 0x80) --start;
  return start;
}

bool word_before(std::string_view text) {
  return !text.empty() && is_word_character(decode_utf8(text.substr(before_last(text))).code);
}

bool word_after(std::string_view text) { return !text.empty() && is_word_character(decode_utf8(text).code); }

std::string_view without_end_space(std::string_view text) {
  while (!text.empty() && is_white_space(decode_utf8(text.substr(before_last(text))).code))
    text = text.substr(0, before_last(text));
  return text;
}

std::string_view without_start_space(std::string_view text) {
  while (!text.empty() && is_white_space(decode_utf8(text).code)) text.remove_prefix(decode_utf8(text).bytes);
  return text;
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)), ends_{-1} {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    std::uint32_t node = 0;
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
const AddedToken* AddedTokens::find(std::string_view text, bool normalized, bool specials) const {
  const AddedToken* longest = nullptr;
  std::uint32_t node = 0;
  for (const char byte : text) {
    const auto next = edges_.find(edge(node, byte));
    if (next == edges_.end()) break;
    node = next->second;
    if (ends_[node] < 0) continue;
    const AddedToken& token = tokens_[static_cast<std::size_t>(ends_[node])];
    if (token.normalized == normalized && (specials || !token.special)) longest = &token;
  }
  return longest;
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text, bool normalized,
                                                  bool specials) const {
  std::vector<Part> parts;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size() && !tokens_.empty();) {
    const AddedToken* token = find(text.substr(at), normalized, specials);
    if (!token) {
      ++at;
      continue;
    }
    std::size_t start = at, end = at + token->text.size();
    at = end;
    if (token->single_word && (word_before(text.substr(0, start)) || word_after(text.substr(end)))) continue;
    if (token->lstrip) start = done + without_end_space(text.substr(done, start - done)).size();
    if (token->rstrip) end = text.size() - without_start_space(text.substr(end)).size();
    if (start > done) parts.push_back({text.substr(done, start - done)});
    parts.push_back({text.substr(start, end - start), token->id});
    at = done = end;
  }
  if (done < text.size()) parts.push_back({text.substr(done)});
  return parts;
}

}  // namespace evictbench
