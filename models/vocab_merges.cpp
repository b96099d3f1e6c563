#include "models/vocab_merges.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "core/io/file.h"
#include "models/folder.h"
#include "models/vocabulary.h"

namespace evictbench {
namespace {

constexpr const char* kFetch = "fetch the tokenizer again";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

std::optional<Json> json_if_present(const std::string& path) {
  if (!is_present(path)) return std::nullopt;
  return Json::from_file(path, {.code_prefix = "E-TC"});
}

class Files {
 public:
  explicit Files(std::string folder)
      : folder_(std::move(folder)),
        config_(json_if_present(folder_ + "/tokenizer_config.json")),
        map_(json_if_present(folder_ + "/special_tokens_map.json")) {}

  BpeModel read() {
    model_.byte_level = true;
    set_kind();
    const auto decoder = config_ ? config_->find("added_tokens_decoder") : std::nullopt;
    VocabularyReader vocabulary(model_, decoder ? decoder->size() : 0);
    const Json tokens = Json::from_file(folder_ + "/vocab.json", {.code_prefix = "E-TJ"});
    vocabulary.read(tokens);
    read_merges(vocabulary);
    for (std::size_t id = 0; id < model_.table.entries.size(); ++id) {
      auto& entry = model_.table.entries[id];
      entry.bytes = byte_level_bytes(entry.spelling).value_or(entry.spelling);
    }
    read_added(vocabulary, decoder, tokens);
    if (config_ && flag("add_bos_token"))
      if (const auto bos = model_.table.id_of(special("bos_token"))) model_.before = {*bos};
    return std::move(model_);
  }

 private:
  bool flag(std::string_view key) const {
    const auto value = config_ ? config_->find(key) : std::nullopt;
    return value && value->boolean();
  }

  void set_kind() {
    const auto named = config_ ? config_->find("tokenizer_class") : std::nullopt;
    const std::string kind = named ? named->string() : "GPT2Tokenizer";
    if (kind == "GPT2Tokenizer" || kind == "GPT2TokenizerFast") {
      model_.pre_tokenizer.add_gpt2();
    } else if (kind == "Qwen2Tokenizer" || kind == "Qwen2TokenizerFast") {
      model_.pre_tokenizer.add_pattern(kQwen2);
      model_.normalization.push_back({.kind = Normalization::Kind::kNfc});
    } else {
      named->reject("02", "tokenizer_class '" + printable(kind) + "' without a tokenizer.json",
                    "GPT2Tokenizer or Qwen2Tokenizer",
                    "add the tokenizer.json that the fast tokenizer saves");
    }
    if (flag("add_prefix_space")) model_.prefix = " ";
  }

  void read_merges(VocabularyReader& vocabulary) const {
    constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 28;
    const std::string path = folder_ + "/merges.txt";
    const std::string text = read_text(path, Exit::kInput, "E-TJ", kMostBytes);
    std::size_t number = 0, rank = 0;
    for (std::size_t at = 0, end = 0; at < text.size(); at = end + 1) {
      end = std::min(text.find('\n', at), text.size());
      std::string_view line = std::string_view(text).substr(at, end - at);
      if (line.ends_with('\r')) line.remove_suffix(1);
      ++number;
      if (line.empty() || (number == 1 && line.starts_with("#version"))) continue;
      const auto [left, right] = VocabularyReader::halves(line);
      const std::string wrong = left.empty() ? "a merge that is not of two tokens: '" + printable(line) + "'"
                                             : vocabulary.add_merge(left, right, rank++);
      if (!wrong.empty())
        reject(Exit::kInput, {"E-TJ-04", path, fmt::format("line {}", number), wrong,
                              "two tokens of vocab.json and a space between, each merge once", kFetch});
    }
  }

  // The text of "bos_token" and so on, in whichever file and form; "" where nothing names one.
  std::string special(std::string_view key) const {
    for (const auto& file : {config_, map_}) {
      const auto value = file ? file->find(key) : std::nullopt;
      if (!value) continue;
      return value->is_object() ? value->at("content").string() : value->string();
    }
    return "";
  }

  void read_added(VocabularyReader& vocabulary, const std::optional<Json>& decoder, const Json& tokens) {
    if (decoder)
      for (const auto& [id, token] : decoder->items())
        vocabulary.read_added(token, Json::from_text(id, token.file(), {.code_prefix = "E-TC"}));
    for (const std::string_view key : {"bos_token", "eos_token", "unk_token", "pad_token"}) {
      std::string text = special(key);
      if (text.empty() && key != std::string_view("pad_token")) text = "<|endoftext|>";
      if (model_.table.id_of(text)) vocabulary.add_special(text);
    }
    vocabulary.finish_added(tokens);
  }

  std::string folder_;
  std::optional<Json> config_, map_;
  BpeModel model_;
};

}  // namespace

BpeModel read_vocab_and_merges(const std::string& folder) { return Files(folder).read(); }

}  // namespace evictbench
