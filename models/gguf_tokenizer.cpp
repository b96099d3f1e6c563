#include "models/gguf_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "models/bpe_tokenizer.h"
#include "models/sentencepiece_fields.h"
#include "models/sentencepiece_tokenizer.h"
#include "models/unicode.h"

namespace evictbench {
namespace {

constexpr const char* kTokens = "tokenizer.ggml.tokens";
constexpr const char* kTypes = "tokenizer.ggml.token_type";
constexpr const char* kMerges = "tokenizer.ggml.merges";
constexpr const char* kScores = "tokenizer.ggml.scores";
constexpr const char* kConvert = "convert the model again with a current converter";
constexpr std::size_t kMostTokenBytes = 4096;
constexpr std::uint64_t kMostTokens = 2'000'000;  // as many as a SentencePiece model may have

// llama_token_type of llama.cpp, which has the numbers of SentencePiece.
enum Type : std::int64_t { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

struct Vocabulary {
  std::vector<std::string_view> tokens;
  std::vector<std::int64_t> types;
};

std::string place(const char* key, std::size_t index) { return fmt::format("{}/{}", key, index); }

// The values of `key` are one for each token. Checked before they are read: they may be larger in memory.
void check_length(const Gguf& file, const char* key, const Vocabulary& vocabulary) {
  if (!file.has(key)) file.reject("30", key, "the key is absent", "a value for each token", kConvert);
  if (const std::uint64_t values = *file.length(key); values != vocabulary.tokens.size())
    file.reject("42", key, fmt::format("{} values", values),
                fmt::format("{}, one for each token", vocabulary.tokens.size()), kConvert);
}

void check_tokens(const Gguf& file, const std::vector<std::string_view>& tokens) {
  std::unordered_set<std::string_view> seen;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::string_view token = tokens[i];
    if (token.empty() || token.size() > kMostTokenBytes)
      file.reject("42", place(kTokens, i), fmt::format("a token of {} bytes", token.size()),
                  fmt::format("1 to {}", kMostTokenBytes), kConvert);
    if (invalid_utf8(token) != token.npos)
      file.reject("42", place(kTokens, i),
                  fmt::format("the token '{}', which is not UTF-8", printable(token)), "UTF-8 text",
                  kConvert);
    if (!seen.insert(token).second)
      file.reject("42", place(kTokens, i), fmt::format("the token '{}' a second time", printable(token)),
                  "each token once", kConvert);
  }
}

Vocabulary vocabulary_of(const Gguf& file) {
  const std::uint64_t count = file.length(kTokens).value_or(0);
  if (file.has(kTokens) && (count == 0 || count > kMostTokens))
    file.reject("42", kTokens, fmt::format("{} tokens", count), fmt::format("1 to {}", kMostTokens),
                kConvert);
  Vocabulary out{file.texts_at(kTokens), {}};
  check_tokens(file, out.tokens);
  check_length(file, kTypes, out);
  out.types = *file.integers(kTypes);
  for (std::size_t i = 0; i < out.types.size(); ++i)
    if (out.types[i] < kNormal || out.types[i] > kByte)
      file.reject("44", place(kTypes, i), fmt::format("token type {}", out.types[i]),
                  "1 (normal) to 6 (byte)", kConvert);
  return out;
}

std::optional<std::int64_t> special_id(const Gguf& file, const char* name, const Vocabulary& vocabulary) {
  return file.integer(fmt::format("tokenizer.ggml.{}_token_id", name), 0, std::ssize(vocabulary.tokens) - 1);
}

// Is `name` ("bos", "eos") put around every text? -> its id.
std::optional<std::int64_t> end_token(const Gguf& file, const char* name, bool otherwise,
                                      const Vocabulary& vocabulary) {
  const std::string key = fmt::format("tokenizer.ggml.add_{}_token", name);
  if (!file.boolean(key).value_or(otherwise)) return std::nullopt;
  const auto id = special_id(file, name, vocabulary);
  if (!id)
    file.reject("46", fmt::format("tokenizer.ggml.{}_token_id", name),
                "the key is absent, and every text needs this token", "the id of a token", kConvert);
  return id;
}

// A way to cut text into pieces, by the name that tokenizer.ggml.pre has for it. The name stands for a tokenizer.json,
// and so for its normalizer and for ignore_merges too.
struct PreTokenizers {
  std::string_view name;
  const char* split;  // a pattern before ByteLevel; nullptr: ByteLevel's own one
  bool single_digits, ignore_merges, adds_bos, composes;
};
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr auto kPreTokenizers = std::to_array<PreTokenizers>({
    {"gpt-2", nullptr, false, false, false, false},
    {"smollm", nullptr, true, false, false, false},
    {"llama-bpe", kLlama3, false, true, true, false},
    {"llama3", kLlama3, false, true, true, false},
    {"llama-v3", kLlama3, false, true, true, false},
    {"qwen2", kQwen2, false, false, false, true},
    {"tekken", kTekken, false, true, true, false},
});

const PreTokenizers& pre_tokenizers_of(const Gguf& file) {
  constexpr const char* kKey = "tokenizer.ggml.pre";
  std::string_view name = file.text(kKey).value_or("default");
  // "default" is written where nothing is known; before there was this key, GPT-2's rule was meant by GPT-2 alone.
  if (name == "default" && file.text("general.architecture").value_or("") == "gpt2") name = "gpt-2";
  const auto found = std::ranges::find(kPreTokenizers, name, &PreTokenizers::name);
  if (found != kPreTokenizers.end()) return *found;
  std::string known;
  for (const PreTokenizers& each : kPreTokenizers) known.append(known.empty() ? "" : ", ").append(each.name);
  file.reject(
      "41", kKey,
      file.has(kKey) ? fmt::format("the pre-tokenizer '{}'", printable(name))
                     : "the key is absent: how text is cut into pieces is not known",
      "one of " + known,
      name == "default" ? kConvert : "use the model's Hugging Face folder, or a model with one of these");
}

using Out = nlohmann::ordered_json;

Out byte_level(bool own_pattern) {
  return {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", own_pattern}};
}

Out pre_tokenizer_json(const PreTokenizers& pre) {
  Out steps = Out::array();
  if (pre.single_digits) steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
  if (pre.split != nullptr)
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", pre.split}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  steps.push_back(byte_level(pre.split == nullptr));
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

// TemplateProcessing that puts the tokens around a text that add_bos_token and add_eos_token ask for; null if none.
Out post_processor_json(const Gguf& file, const PreTokenizers& pre, const Vocabulary& vocabulary) {
  Out single = Out::array(), specials = Out::object();
  const auto add = [&](std::optional<std::int64_t> id) {
    if (!id) return;
    const std::string token(vocabulary.tokens[static_cast<std::size_t>(*id)]);
    single.push_back({{"SpecialToken", {{"id", token}, {"type_id", 0}}}});
    specials[token] = {{"id", token}, {"ids", {*id}}, {"tokens", {token}}};
  };
  add(end_token(file, "bos", pre.adds_bos, vocabulary));
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  add(end_token(file, "eos", false, vocabulary));
  if (specials.empty()) return nullptr;
  return {{"type", "TemplateProcessing"}, {"single", single}, {"special_tokens", specials}};
}

Out added_tokens_json(const Vocabulary& vocabulary) {
  Out added = Out::array();
  for (std::size_t i = 0; i < vocabulary.tokens.size(); ++i)
    if (vocabulary.types[i] == kControl || vocabulary.types[i] == kUserDefined)
      added.push_back({{"id", i},
                       {"content", vocabulary.tokens[i]},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", vocabulary.types[i] == kControl}});
  return added;
}

std::string quoted(std::string_view text) { return Out(text).dump(); }

// The two large parts as text: as values they would take many times the file's own memory.
std::string vocabulary_text(const Gguf& file, const Vocabulary& vocabulary) {
  std::string out;
  for (std::size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    if (vocabulary.types[i] == kByte || vocabulary.types[i] == kUnknown)
      file.reject("44", place(kTypes, i),
                  fmt::format("type {} in a vocabulary of bytes", vocabulary.types[i]),
                  "normal, control, user-defined or unused tokens", kConvert);
    // Unused tokens fill the table up to the embedding's rows; no text becomes one, and the folder has none.
    if (vocabulary.types[i] != kUnused)
      out += fmt::format("{}{}:{}", out.empty() ? "" : ",", quoted(vocabulary.tokens[i]), i);
  }
  return out;
}

std::string merges_text(const Gguf& file) {
  std::string out;
  const auto merges = file.texts_at(kMerges);
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const std::string_view merge = merges[i];
    const std::size_t space = merge.find(' ', 1);
    if (merge.size() > 2 * kMostTokenBytes || invalid_utf8(merge) != merge.npos || space == merge.npos ||
        space + 1 == merge.size() || merge.find(' ', space + 1) != merge.npos || merge[0] == ' ')
      file.reject("43", place(kMerges, i), fmt::format("the merge '{}'", printable(merge)),
                  "two tokens with a space between", kConvert);
    out += (i == 0 ? "" : ",") + quoted(merge);
  }
  return out;
}

// ---- SentencePiece

// Protobuf, as far as it is needed to write a tokenizer.model.
class Message {
 public:
  void integer(std::uint32_t field, std::uint64_t value) {
    varint(field << 3);
    varint(value);
  }
  void bytes(std::uint32_t field, std::string_view value) {
    varint(field << 3 | 2);
    varint(value.size());
    out_ += value;
  }
  void number(std::uint32_t field, float value) {
    varint(field << 3 | 5);
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  const std::string& text() const { return out_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_ += static_cast<char>(value | 0x80);
    out_ += static_cast<char>(value);
  }
  std::string out_;
};

using namespace sentencepiece_fields;

// Spaces of added tokens are spelled as spaces by newer converters.
std::string with_marks(std::string_view text) {
  std::string out;
  for (const char c : text)
    if (c == ' ')
      out += kSpaceMark;
    else
      out += c;
  return out;
}

std::string trainer_of(const Gguf& file, const Vocabulary& vocabulary) {
  Message trainer;
  trainer.integer(kModelType, kBpe);
  trainer.integer(kByteFallback,
                  std::ranges::find(vocabulary.types, kByte) != vocabulary.types.end() ? 1 : 0);
  const auto unknown = std::ranges::find(vocabulary.types, kUnknown) - vocabulary.types.begin();
  if (unknown == std::ssize(vocabulary.types))
    file.reject("44", kTypes, "no token of type 2 (unknown)", "one", kConvert);
  const auto named = [&](std::uint32_t id_field, std::uint32_t piece_field, std::int64_t id) {
    trainer.integer(id_field, static_cast<std::uint64_t>(id));
    trainer.bytes(piece_field, vocabulary.tokens[static_cast<std::size_t>(id)]);
  };
  named(kUnkId, kUnkPiece, unknown);
  if (const auto bos = special_id(file, "bos", vocabulary)) named(kBosId, kBosPiece, *bos);
  if (const auto eos = special_id(file, "eos", vocabulary)) named(kEosId, kEosPiece, *eos);
  return trainer.text();
}

std::string normalizer_of(const Gguf& file) {
  constexpr const char* kMap = "tokenizer.ggml.precompiled_charsmap";
  if (file.has(kMap))
    file.reject("40", kMap, "rules that rewrite text", "a tokenizer without them",
                "use the model's Hugging Face folder");
  Message normalizer;
  normalizer.bytes(kName, "identity");
  normalizer.integer(kDummyPrefix, file.boolean("tokenizer.ggml.add_space_prefix").value_or(true) ? 1 : 0);
  normalizer.integer(kRemoveExtra,
                     file.boolean("tokenizer.ggml.remove_extra_whitespaces").value_or(false) ? 1 : 0);
  normalizer.integer(kEscape, 1);
  return normalizer.text();
}

}  // namespace

Json tokenizer_json_of(const Gguf& file) {
  const Vocabulary vocabulary = vocabulary_of(file);
  const PreTokenizers& pre = pre_tokenizers_of(file);
  const Out rest{{"version", "1.0"},
                 {"added_tokens", added_tokens_json(vocabulary)},
                 {"normalizer", pre.composes ? Out{{"type", "NFC"}} : Out(nullptr)},
                 {"pre_tokenizer", pre_tokenizer_json(pre)},
                 {"post_processor", post_processor_json(file, pre, vocabulary)},
                 {"decoder", byte_level(true)}};
  std::string text = rest.dump();
  text.pop_back();  // the brace that closes it
  text += fmt::format(R"(,"model":{{"type":"BPE","ignore_merges":{},"vocab":{{)", pre.ignore_merges);
  text += vocabulary_text(file, vocabulary);
  text += R"(},"merges":[)";
  text += merges_text(file);
  text += "]}}";
  return Json::from_text(std::move(text), file.path() + " (as tokenizer.json)", {.code_prefix = "E-TJ"});
}

std::string sentencepiece_model_of(const Gguf& file) {
  const Vocabulary vocabulary = vocabulary_of(file);
  check_length(file, kScores, vocabulary);
  const std::vector<double> scores = *file.numbers(kScores);
  Message model;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (!std::isfinite(scores[i]))
      file.reject("45", place(kScores, i), fmt::format("a score of {}", scores[i]), "a finite number",
                  kConvert);
    Message piece;
    piece.bytes(kText, vocabulary.types[i] == kUserDefined ? with_marks(vocabulary.tokens[i])
                                                           : std::string(vocabulary.tokens[i]));
    piece.number(kScore, static_cast<float>(scores[i]));
    piece.integer(kType, static_cast<std::uint64_t>(vocabulary.types[i]));
    model.bytes(kPieces, piece.text());
  }
  model.bytes(kTrainer, trainer_of(file, vocabulary));
  model.bytes(kNormalizer, normalizer_of(file));
  return model.text();
}

std::unique_ptr<const Tokenizer> load_gguf_tokenizer(const Gguf& file) {
  constexpr const char* kModel = "tokenizer.ggml.model";
  const std::string_view model = file.text_at(kModel);
  if (model == "gpt2") return make_bpe_tokenizer(read_tokenizer_json(tokenizer_json_of(file)));
  if (model != "llama")
    file.reject("40", kModel, fmt::format("a tokenizer of kind '{}'", printable(model)),
                "gpt2 (byte-level BPE) or llama (SentencePiece)", "use a model with one of these");
  const Vocabulary vocabulary = vocabulary_of(file);
  const SpecialEnds ends{.bos = end_token(file, "bos", true, vocabulary).has_value(),
                         .eos = end_token(file, "eos", false, vocabulary).has_value()};
  return load_sentencepiece(sentencepiece_model_of(file), file.path() + " (as tokenizer.model)", ends);
}

}  // namespace evictbench
