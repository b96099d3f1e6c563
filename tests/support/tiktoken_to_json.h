#pragma once

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tests/support/base64.h"

namespace evictbench {

// What a tiktoken rank file (a base64 token and its rank a line) leaves open.
struct TiktokenExtras {
  std::string pattern;                // of the pre-tokenizer
  std::vector<std::string> specials;  // take the ids after the last rank
  std::string bos;                    // one of them, put in front by add_special; or empty
  bool ignore_merges = true;
};

namespace tiktoken {

using nlohmann::json;

using Ranks = std::unordered_map<std::string, int>;

// The parts that merging by ranks below that of `token` leaves of it.
inline std::vector<std::string> parts_of(const std::string& token, const Ranks& ranks) {
  std::vector<std::string> parts;
  for (const char c : token) parts.emplace_back(1, c);
  const int own = ranks.at(token);
  while (true) {
    int best = own;
    std::size_t where = 0;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i)
      if (const auto found = ranks.find(parts[i] + parts[i + 1]);
          found != ranks.end() && found->second < best)
        best = found->second, where = i;
    if (best == own) return parts;
    parts[where] += parts[where + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(where) + 1);
  }
}

inline json byte_level_json(json model, json split) {
  const json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", split.is_null()}};
  json pre = byte_level;
  if (!split.is_null()) pre = {{"type", "Sequence"}, {"pretokenizers", json::array({split, byte_level})}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", json::array()},
          {"normalizer", nullptr},
          {"pre_tokenizer", pre},
          {"post_processor", byte_level},
          {"decoder", byte_level},
          {"model", std::move(model)}};
}

}  // namespace tiktoken

// The characters that stand for `bytes` in byte-level vocabularies.
inline std::string byte_level_spelling(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    const auto b = static_cast<unsigned char>(c);
    unsigned code = b;
    if (b <= 0x20)
      code = 0x100U + b;
    else if (b >= 0x7f && b <= 0xa0)
      code = 0x121U + b - 0x7f;
    else if (b == 0xad)
      code = 0x143;
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else {
      out += static_cast<char>(0xc0U | code >> 6);
      out += static_cast<char>(0x80U | (code & 0x3fU));
    }
  }
  return out;
}

// The text of a tokenizer.json for the ranks in `ranks_text`. Merges are recovered from the ranks: the last merge of a
// token joins the two parts that merging with lower ranks alone leaves of it.
inline std::string tiktoken_to_json(std::string_view ranks_text, const TiktokenExtras& extras) {
  using namespace tiktoken;  // NOLINT(google-build-using-namespace)
  Ranks ranks;
  std::vector<std::string> tokens;
  std::istringstream lines{std::string(ranks_text)};
  for (std::string token, rank; lines >> token >> rank;) {
    tokens.push_back(from_base64(token));
    ranks[tokens.back()] = std::stoi(rank);
  }
  json vocab = json::object(), merges = json::array();
  for (const std::string& token : tokens) {
    vocab[byte_level_spelling(token)] = ranks[token];
    if (token.size() == 1) continue;
    const auto parts = parts_of(token, ranks);
    if (parts.size() == 2)  // a few tokens of Llama 3 are made by no merge, only found whole (ignore_merges)
      merges.push_back({byte_level_spelling(parts[0]), byte_level_spelling(parts[1])});
  }
  json model = {{"type", "BPE"},
                {"dropout", nullptr},
                {"unk_token", nullptr},
                {"fuse_unk", false},
                {"byte_fallback", false},
                {"ignore_merges", extras.ignore_merges},
                {"vocab", std::move(vocab)},
                {"merges", std::move(merges)}};
  json split = {{"type", "Split"},
                {"pattern", {{"Regex", extras.pattern}}},
                {"behavior", "Isolated"},
                {"invert", false}};
  json all = byte_level_json(std::move(model), std::move(split));
  for (const std::string& special : extras.specials)
    all["added_tokens"].push_back({{"id", tokens.size() + all["added_tokens"].size()},
                                   {"content", special},
                                   {"single_word", false},
                                   {"lstrip", false},
                                   {"rstrip", false},
                                   {"normalized", false},
                                   {"special", true}});
  for (const json& token : all["added_tokens"]) {
    if (token["content"] != extras.bos) continue;
    const json front = {{"SpecialToken", {{"id", extras.bos}, {"type_id", 0}}}};
    const json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
    const json bos = {{"id", extras.bos}, {"ids", {token["id"]}}, {"tokens", {extras.bos}}};
    const json processor = {{"type", "TemplateProcessing"},
                            {"single", json::array({front, text})},
                            {"pair", json::array({front, text})},
                            {"special_tokens", {{extras.bos, bos}}}};
    all["post_processor"] = {{"type", "Sequence"},
                             {"processors", json::array({all["post_processor"], processor})}};
  }
  return all.dump();
}

// The same from GPT-2's own files: vocab.json as it is, and merges.txt, whose first line is a comment.
inline std::string gpt2_to_json(const std::string& vocab_json, std::string_view merges_txt) {
  using namespace tiktoken;  // NOLINT(google-build-using-namespace)
  json vocab = json::parse(vocab_json), merges = json::array();
  std::istringstream lines{std::string(merges_txt)};
  std::string line;
  std::getline(lines, line);
  for (std::string left, right; lines >> left >> right;)
    if (vocab.contains(left + right)) merges.push_back(left + ' ' + right);  // one is not
  return byte_level_json({{"type", "BPE"}, {"vocab", std::move(vocab)}, {"merges", std::move(merges)}},
                         nullptr)
      .dump();
}

}  // namespace evictbench
