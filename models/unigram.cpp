#include "models/unigram.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "core/error.h"
#include "core/utf8.h"
#include "models/token_table.h"

namespace evictbench {
namespace {

// What a character that no piece spells scores below the worst piece.
constexpr double kUnknownPenalty = 10;

std::uint64_t edge(std::uint32_t node, char byte) {
  return std::uint64_t{node} << 8 | static_cast<unsigned char>(byte);
}

// The library of this format takes a number's digits, rounds them, divides by the power of ten and rounds again. Which of
// two ways to cut a text wins may hang on that last bit.
double as_published(double score) {
  std::array<char, 32> text{};
  const char* const end =
      std::to_chars(text.begin(), text.end(), std::abs(score), std::chars_format::scientific).ptr;
  std::uint64_t digits = 0;
  int exponent = 0, behind_point = 0;
  const char* at = text.begin();
  for (bool point = false; at != end && *at != 'e'; ++at) {
    if (*at == '.') {
      point = true;
      continue;
    }
    digits = 10 * digits + static_cast<std::uint64_t>(*at - '0');
    behind_point += point ? 1 : 0;
  }
  std::from_chars(at + (at + 1 < end && at[1] == '+' ? 2 : 1), end, exponent);
  exponent -= behind_point;
  double power = 1;
  const std::string one = fmt::format("1e{}", std::abs(exponent));
  std::from_chars(one.data(), one.data() + one.size(), power);
  const auto rounded = static_cast<double>(digits);
  return std::copysign(exponent < 0 ? rounded / power : rounded * power, score);
}

// The best way to a place in the text: the piece that ends there.
struct Step {
  std::size_t start = 0;
  double score = 0;
  std::int32_t id = -1;
  bool reached = false;

  void offer(std::size_t from, double sum, std::int32_t piece) {  // of equal sums the first stays
    if (!reached || sum > score) *this = {from, sum, piece, true};
  }
};

}  // namespace

Unigram::Unigram(const std::vector<std::pair<std::string, double>>& pieces, std::int32_t unknown,
                 bool byte_fallback, std::string file)
    : ends_(1), unknown_(unknown), file_(std::move(file)) {
  double least = 0;
  std::unordered_map<std::string_view, std::int32_t> ids;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const std::string& text = pieces[i].first;
    const double score = as_published(pieces[i].second);
    std::uint32_t node = 0;
    for (const char byte : text) {
      const auto [found, fresh] =
          edges_.try_emplace(edge(node, byte), static_cast<std::uint32_t>(ends_.size()));
      if (fresh) ends_.emplace_back();
      node = found->second;
    }
    ends_[node] = {static_cast<std::int32_t>(i), score};
    ids[text] = static_cast<std::int32_t>(i);
    least = i == 0 ? score : std::min(least, score);
  }
  unknown_score_ = least - kUnknownPenalty;
  for (int b = 0; b < 256 && byte_fallback; ++b) {
    const auto found = ids.find(byte_token(static_cast<unsigned char>(b)));
    bytes_.push_back(found == ids.end() ? -1 : found->second);
  }
}

void Unigram::encode(std::string_view text, Tokens& out) const {
  std::vector<Step> best(text.size() + 1);
  for (std::size_t at = 0; at < text.size();) {
    const double so_far = best[at].score;
    const std::size_t character = decode_utf8(text.substr(at)).bytes;
    bool spelled = false;  // is the character by itself a piece?
    std::uint32_t node = 0;
    for (std::size_t end = at; end < text.size();) {
      const auto next = edges_.find(edge(node, text[end++]));
      if (next == edges_.end()) break;
      node = next->second;
      if (ends_[node].id < 0) continue;
      best[end].offer(at, so_far + ends_[node].score, ends_[node].id);
      spelled |= end == at + character;
    }
    if (!spelled) best[at + character].offer(at, so_far + unknown_score_, -1);
    at += character;
  }

  Tokens backwards;
  for (std::size_t end = text.size(); end > 0;) {
    std::size_t start = best[end].start;
    if (best[end].id >= 0 && best[end].id != unknown_) {
      backwards.push_back(best[end].id);
    } else {  // unknown characters in a row are one token
      while (start > 0 && (best[start].id < 0 || best[start].id == unknown_)) start = best[start].start;
      Tokens unknown;
      spell_unknown(text.substr(start, end - start), unknown);
      backwards.insert(backwards.end(), unknown.rbegin(), unknown.rend());
    }
    end = start;
  }
  out.insert(out.end(), backwards.rbegin(), backwards.rend());
}

// A piece after all ("<unk>" in so many letters), else bytes, else the unknown token.
void Unigram::spell_unknown(std::string_view text, Tokens& out) const {
  if (const std::int32_t piece = find(text); piece >= 0) {
    out.push_back(piece);
    return;
  }
  for (const char c : text) {
    const std::int32_t id = bytes_.empty() ? -1 : bytes_[static_cast<unsigned char>(c)];
    if (id >= 0) {
      out.push_back(id);
      continue;
    }
    if (unknown_ < 0)
      reject(Exit::kInput, {"E-TJ-09", file_, "/model/unk_id",
                            "no unknown token, and none that spells '" + printable(text) + "'",
                            "a vocabulary that spells the text", "use a text or a model that fits"});
    out = {unknown_};
    return;
  }
}

std::int32_t Unigram::find(std::string_view text) const {
  std::uint32_t node = 0;
  for (const char byte : text) {
    const auto next = edges_.find(edge(node, byte));
    if (next == edges_.end()) return -1;
    node = next->second;
  }
  return ends_[node].id;
}

}  // namespace evictbench
