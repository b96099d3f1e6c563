#include "models/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace evictbench {
namespace {

constexpr std::size_t kMostTokenBytes = 4096;  // of one added token
constexpr std::int64_t kMostIds = std::int64_t{1} << 24;
constexpr const char* kFetch = "fetch the tokenizer again";

std::string quoted(std::string_view text) { return "'" + printable(text) + "'"; }

bool flag(const Json& token, std::string_view key) {
  const auto value = token.find(key);
  return value && value->boolean();
}

}  // namespace

// Ids may have holes, but not so many that an id decides how much memory we take.
void VocabularyReader::limit_ids(std::size_t tokens) {
  most_id_ = std::min(kMostIds, 2 * static_cast<std::int64_t>(tokens + added_) + 1024);
}

void VocabularyReader::place(const std::string& spelling, const Json& id, std::string_view code) {
  place(spelling, id.integer(0, most_id_), id, code);
}

void VocabularyReader::place(const std::string& spelling, std::int64_t id, const Json& where,
                             std::string_view code) {
  auto& entries = model_.table.entries;
  if (static_cast<std::size_t>(id) >= entries.size()) entries.resize(static_cast<std::size_t>(id) + 1);
  auto& entry = entries[static_cast<std::size_t>(id)];
  if (!entry.spelling.empty() && entry.spelling != spelling)
    where.reject(code,
                 fmt::format("id {} for {} belongs to {}", id, quoted(spelling), quoted(entry.spelling)),
                 "one token for each id", kFetch);
  entry.spelling = spelling;
  model_.table.ids[spelling] = static_cast<std::int32_t>(id);
}

void VocabularyReader::add_piece(const std::string& spelling) {
  const auto piece = model_.byte_level ? byte_level_bytes(spelling) : spelling;
  if (piece) model_.pieces[*piece] = model_.table.ids[spelling];
}

void VocabularyReader::read(const Json& vocabulary) {
  const auto items = vocabulary.items();
  if (items.empty()) vocabulary.reject("03", "an empty vocabulary", "tokens and their ids", kFetch);
  limit_ids(items.size());
  model_.table.ids.reserve(items.size());
  model_.pieces.reserve(items.size());
  for (const auto& [spelling, id] : items) {
    if (spelling.empty()) id.reject("03", "an empty token", "text", kFetch);
    place(spelling, id, "03");
    add_piece(spelling);
  }
}

std::vector<std::pair<std::string, double>> VocabularyReader::read_scored(const Json& vocabulary) {
  constexpr double kMostScore = 1e30;
  if (vocabulary.size() == 0)
    vocabulary.reject("03", "an empty vocabulary", "tokens and their scores", kFetch);
  limit_ids(vocabulary.size());
  std::vector<std::pair<std::string, double>> pieces;
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    const Json piece = vocabulary[i];
    if (piece.size() != 2)
      piece.reject("03", fmt::format("{} values", piece.size()), "a token and its score", kFetch);
    const std::string& text = piece[0].string();
    if (text.empty() || text.size() > Unigram::kMostPieceBytes)
      piece.reject("03", fmt::format("a token of {} bytes", text.size()),
                   fmt::format("1 to {} bytes", Unigram::kMostPieceBytes), kFetch);
    if (model_.table.ids.contains(text))
      piece.reject("03", "the token " + quoted(text) + " a second time", "each once", kFetch);
    place(text, static_cast<std::int64_t>(i), piece, "03");
    add_piece(text);
    pieces.emplace_back(text, piece[1].number(-kMostScore, kMostScore));
  }
  return pieces;
}

std::string VocabularyReader::add_merge(const std::string& left, const std::string& right, std::size_t rank) {
  std::string unknown;
  const auto id = [&](const std::string& token) {
    const auto found = model_.table.id_of(token);
    if (!found && unknown.empty()) unknown = token;
    return found.value_or(-1);
  };
  const std::int32_t first = id(left), second = id(right), merged = id(left + right);
  if (!unknown.empty()) return "a merge of or into " + quoted(unknown) + ", which is not in the vocabulary";
  if (!model_.merges.add(first, second, static_cast<std::int32_t>(rank), merged))
    return "the merge of " + quoted(left) + " and " + quoted(right) + " a second time";
  return "";
}

std::pair<std::string, std::string> VocabularyReader::halves(std::string_view merge) {
  const std::size_t space = merge.find(' ');
  if (space == merge.npos || space == 0 || space + 1 == merge.size() ||
      merge.find(' ', space + 1) != merge.npos)
    return {};
  return {std::string(merge.substr(0, space)), std::string(merge.substr(space + 1))};
}

void VocabularyReader::read_added(const Json& token, const Json& id) {
  const Json content = token.at("content");
  const std::string& text = content.string();
  if (text.empty() || text.size() > kMostTokenBytes)
    content.reject("05", fmt::format("an added token of {} bytes", text.size()),
                   fmt::format("1 to {} bytes", kMostTokenBytes), kFetch);
  if (const auto known = model_.table.id_of(text); known && *known != id.integer())
    id.reject("05", fmt::format("id {} for {}", id.integer(), quoted(text)),
              fmt::format("{}, its id in the vocabulary", *known), kFetch);
  place(text, id, "05");
  auto& entry = model_.table.entries[static_cast<std::size_t>(model_.table.ids[text])];
  if (entry.cuts)
    token.reject("05", "the added token " + quoted(text) + " a second time", "each once", kFetch);
  entry.cuts = true;
  entry.special = flag(token, "special");
  entry.bytes = text;
  const bool normalized = flag(token, "normalized");
  tokens_.push_back({normalized ? normalize(text, model_.normalization) : text, model_.table.ids[text],
                     entry.special, normalized, flag(token, "single_word"), flag(token, "lstrip"),
                     flag(token, "rstrip")});
}

void VocabularyReader::add_special(const std::string& token) {
  const std::int32_t id = model_.table.ids.at(token);
  auto& entry = model_.table.entries[static_cast<std::size_t>(id)];
  if (entry.cuts) return;
  entry.cuts = entry.special = true;
  tokens_.push_back({.text = token, .id = id});
}

void VocabularyReader::finish_added(const Json& list) {
  std::set<std::string_view> seen;
  for (const AddedToken& token : tokens_)
    if (token.normalized && (token.text.empty() || !seen.insert(token.text).second))
      list.reject("05",
                  "the added token of id " + fmt::to_string(token.id) + " is " + quoted(token.text) +
                      " after normalisation, nothing or what another is",
                  "added tokens that stay different", "use a model with a supported tokenizer");
  model_.added = AddedTokens(std::move(tokens_));
}

}  // namespace evictbench
