// tokenizer.json, the format of Hugging Face's tokenizers: what we can run exactly, and a refusal by name of
// everything else. `truncation` and `padding` are ignored: lengths are the experiment's affair.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <set>

#include "core/io/json.h"
#include "models/bpe_tokenizer.h"

namespace evictbench {
namespace {

constexpr std::size_t kMostTokenBytes = 4096;  // of one added token
constexpr std::int64_t kMostIds = std::int64_t{1} << 24;
constexpr const char* kFetch = "fetch the tokenizer again";
constexpr const char* kOther = "use a model with a supported tokenizer";

std::string quoted(std::string_view text) { return "'" + printable(text) + "'"; }

// A key we do not know may change what the tokenizer does.
void only_keys(const Json& object, std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : object.items())
    if (std::ranges::find(known, key) == known.end())
      value.reject("06", "unknown setting " + quoted(key), fmt::format("one of {}", fmt::join(known, ", ")),
                   "use a tokenizer without it");
}

[[noreturn]] void reject_type(const Json& object, std::string_view code, const std::string& expected) {
  object.reject(code, "type " + quoted(object.at("type").string()), expected,
                "this tokenizer cannot be run exactly; use a model with a supported one");
}

bool flag(const Json& object, std::string_view key, bool otherwise = false) {
  const auto value = object.find(key);
  return value ? value->boolean() : otherwise;
}

std::string text_of(const Json& object, std::string_view key) {
  const auto value = object.find(key);
  return value ? value->string() : "";
}

// Calls `take` with every member of a possibly nested Sequence; null has none. The reader bounds the depth.
void each_member(const std::optional<Json>& step, std::string_view list,
                 const std::function<void(const Json&)>& take) {
  if (!step) return;
  if (step->at("type").string() != "Sequence") return take(*step);
  only_keys(*step, {"type", list});
  const Json members = step->at(list);
  for (std::size_t i = 0; i < members.size(); ++i) each_member(members[i], list, take);
}

class Reader {
 public:
  explicit Reader(Json root) : root_(std::move(root)) {}

  BpeModel read() {
    only_keys(root_, {"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
                      "post_processor", "decoder", "model"});
    if (const auto added = root_.find("added_tokens"); added && !added->is_array())
      added->reject("05", "added_tokens that is no list", "a list of tokens", kFetch);
    each_member(root_.find("pre_tokenizer"), "pretokenizers",
                [&](const Json& step) { read_pre_tokenizer(step); });
    each_member(root_.find("normalizer"), "normalizers", [&](const Json& step) { read_normalizer(step); });
    read_model(root_.at("model"));
    if (const auto added = root_.find("added_tokens")) read_added(*added);
    read_decoder();
    fill_bytes();
    each_member(root_.find("post_processor"), "processors",
                [&](const Json& step) { read_post_processor(step); });
    return std::move(model_);
  }

 private:
  void read_pre_tokenizer(const Json& step) {
    const std::string& type = step.at("type").string();
    if (model_.byte_level)
      step.reject("06", quoted(type) + " after ByteLevel", "ByteLevel as the last pre-tokenizer", kOther);
    if (type == "ByteLevel")
      read_byte_level(step);
    else if (type == "Digits")
      read_digits(step);
    else if (type == "Split")
      read_split(step);
    else
      reject_type(step, "06", "ByteLevel, Digits, Split or a Sequence of these as the pre-tokenizer");
    any_pattern_ = true;
  }

  void read_byte_level(const Json& step) {
    only_keys(step, {"type", "add_prefix_space", "trim_offsets", "use_regex"});
    model_.byte_level = true;
    model_.add_prefix_space = flag(step, "add_prefix_space", true);
    if (model_.add_prefix_space && any_pattern_)
      step.reject("06", "add_prefix_space after another pre-tokenizer", "it in a ByteLevel that stands alone",
                  kOther);
    if (flag(step, "use_regex", true)) model_.pre_tokenizer.add_gpt2();
  }

  void read_digits(const Json& step) {
    only_keys(step, {"type", "individual_digits"});
    model_.pre_tokenizer.add_digits(flag(step, "individual_digits"));
  }

  void read_split(const Json& step) {
    only_keys(step, {"type", "pattern", "behavior", "invert"});
    const Json pattern = step.at("pattern").at("Regex");
    if (!model_.pre_tokenizer.add_pattern(pattern.string()))
      pattern.reject("07", "the pattern " + quoted(pattern.string()), "a known one (GPT-2, Llama 3, Qwen 2)",
                     "use a model whose tokenizer splits by one of these");
    if (step.at("behavior").string() != "Isolated" || flag(step, "invert"))
      step.reject("07",
                  "Split with behavior " + quoted(step.at("behavior").string()) +
                      (flag(step, "invert") ? ", inverted" : ""),
                  "behavior 'Isolated', not inverted", kOther);
  }

  void read_normalizer(const Json& step) {
    using Kind = Normalization::Kind;
    static const std::unordered_map<std::string, Kind> kForms = {
        {"NFC", Kind::kNfc}, {"NFD", Kind::kNfd}, {"NFKC", Kind::kNfkc}, {"NFKD", Kind::kNfkd}};
    const std::string& type = step.at("type").string();
    if (const auto form = kForms.find(type); form != kForms.end()) {
      only_keys(step, {"type"});
      model_.normalization.push_back({form->second, {}});
    } else if (type == "Prepend") {
      only_keys(step, {"type", "prepend"});
      model_.normalization.push_back({Kind::kPrepend, {"", step.at("prepend").string()}});
    } else if (type == "Replace") {
      only_keys(step, {"type", "pattern", "content"});
      const Json pattern = step.at("pattern");
      if (!pattern.find("String") || pattern.at("String").string().empty())
        pattern.reject("07", "a Replace that is not of a plain string", R"({"String": "..."})", kOther);
      model_.normalization.push_back(
          {Kind::kReplace, {pattern.at("String").string(), step.at("content").string()}});
    } else {
      reject_type(step, "06",
                  "NFC, NFD, NFKC, NFKD, Prepend, Replace or a Sequence of these as the normalizer");
    }
  }

  void read_model(const Json& model) {
    if (const auto type = model.find("type"); type && type->string() != "BPE")
      reject_type(model, "02", "the model type BPE");
    only_keys(model, {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix",
                      "fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges"});
    if (const auto dropout = model.find("dropout"); dropout && dropout->number(0, 1) != 0)
      dropout->reject("08", "dropout in the merges", "null: encoding must be repeatable",
                      "set dropout to null");
    for (const std::string_view affix : {"continuing_subword_prefix", "end_of_word_suffix"})
      if (!text_of(model, affix).empty())
        model.at(affix).reject("06", fmt::format("a {}", affix), "none", kOther);
    model_.ignore_merges = flag(model, "ignore_merges");
    model_.byte_fallback = flag(model, "byte_fallback");
    if (model_.byte_fallback && model_.byte_level)
      model.at("byte_fallback")
          .reject("13", "byte_fallback at byte level", "false: every byte is a token", kOther);
    model_.fuse_unknown = flag(model, "fuse_unk");
    read_vocabulary(model.at("vocab"));
    read_merges(model.at("merges"));
    if (const auto unknown = model.find("unk_token")) {
      const auto id = model_.table.id_of(unknown->string());
      if (!id)
        unknown->reject("09", "the unknown token " + quoted(unknown->string()) + " is not in the vocabulary",
                        "a token of /model/vocab", "fetch the file again or set unk_token to null");
      model_.unknown = *id;
    }
  }

  // Gives `spelling` the id that `value` holds. Ids may have holes, but not so many that an id decides how much
  // memory we take.
  void place(const std::string& spelling, const Json& value) {
    const std::int64_t id = value.integer(0, most_id_);
    auto& entries = model_.table.entries;
    if (static_cast<std::size_t>(id) >= entries.size()) entries.resize(static_cast<std::size_t>(id) + 1);
    auto& entry = entries[static_cast<std::size_t>(id)];
    if (!entry.spelling.empty() && entry.spelling != spelling)
      value.reject(code_of_clash_,
                   fmt::format("id {} for {} belongs to {}", id, quoted(spelling), quoted(entry.spelling)),
                   "one token for each id", kFetch);
    entry.spelling = spelling;
    model_.table.ids[spelling] = static_cast<std::int32_t>(id);
  }

  void read_vocabulary(const Json& vocab) {
    const auto items = vocab.items();
    if (items.empty()) vocab.reject("03", "an empty vocabulary", "tokens and their ids", kFetch);
    const auto added = root_.find("added_tokens");
    most_id_ =
        std::min(kMostIds, 2 * static_cast<std::int64_t>(items.size() + (added ? added->size() : 0)) + 1024);
    model_.table.ids.reserve(items.size());
    model_.pieces.reserve(items.size());
    for (const auto& [spelling, id] : items) {
      if (spelling.empty()) id.reject("03", "an empty token", "text", kFetch);
      place(spelling, id);
      const auto piece = model_.byte_level ? byte_level_bytes(spelling) : spelling;
      if (piece) model_.pieces[*piece] = model_.table.ids[spelling];
    }
  }

  void read_merges(const Json& merges) {
    const std::size_t count = merges.size();
    model_.merges.reserve(count);
    for (std::size_t rank = 0; rank < count; ++rank) {
      const Json merge = merges[rank];
      const auto [left, right] = parts(merge);
      const auto id = [&](const std::string& token) {
        const auto found = model_.table.id_of(token);
        if (!found)
          merge.reject("04", "a merge of or into " + quoted(token) + ", which is not in the vocabulary",
                       "tokens of /model/vocab", kFetch);
        return *found;
      };
      const std::int32_t first = id(left), second = id(right), merged = id(left + right);
      if (!model_.merges.add(first, second, static_cast<std::int32_t>(rank), merged))
        merge.reject("04", "the merge of " + quoted(left) + " and " + quoted(right) + " a second time",
                     "each merge once", kFetch);
    }
  }

  // Both spellings: "a b" and ["a", "b"].
  static std::pair<std::string, std::string> parts(const Json& merge) {
    if (merge.is_array() && merge.size() == 2 && !merge[0].string().empty() && !merge[1].string().empty())
      return {merge[0].string(), merge[1].string()};
    if (merge.is_string()) {
      const std::string& text = merge.string();
      const std::size_t space = text.find(' ');
      if (space != text.npos && space > 0 && space + 1 < text.size() &&
          text.find(' ', space + 1) == text.npos)
        return {text.substr(0, space), text.substr(space + 1)};
    }
    merge.reject("04", "a merge that is not of two tokens", R"("a b" or ["a", "b"])", kFetch);
  }

  void read_added(const Json& list) {
    std::vector<AddedToken> tokens;
    std::set<std::string> seen;
    code_of_clash_ = "05";
    for (std::size_t i = 0; i < list.size(); ++i) {
      const Json token = list[i];
      only_keys(token, {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
      const std::string& text = token.at("content").string();
      if (text.empty() || text.size() > kMostTokenBytes)
        token.at("content").reject("05", fmt::format("an added token of {} bytes", text.size()),
                                   fmt::format("1 to {} bytes", kMostTokenBytes), kFetch);
      if (!seen.insert(text).second)
        token.reject("05", "the added token " + quoted(text) + " a second time", "each once", kFetch);
      if (const auto known = model_.table.id_of(text); known && *known != token.at("id").integer())
        token.at("id").reject("05", fmt::format("id {} for {}", token.at("id").integer(), quoted(text)),
                              fmt::format("{}, its id in the vocabulary", *known), kFetch);
      place(text, token.at("id"));
      const std::int32_t id = model_.table.ids[text];
      auto& entry = model_.table.entries[static_cast<std::size_t>(id)];
      entry.cuts = true;
      entry.special = flag(token, "special");
      entry.bytes = text;
      tokens.push_back({text, id, entry.special, flag(token, "normalized"), flag(token, "single_word"),
                        flag(token, "lstrip"), flag(token, "rstrip")});
    }
    for (const AddedToken& token : tokens)
      if (token.normalized && normalize(token.text, model_.normalization) != token.text)
        list.reject("05", "the added token " + quoted(token.text) + " changes in normalisation",
                    "one that the normalizer leaves alone", kOther);
    model_.added = AddedTokens(std::move(tokens));
  }

  void read_decoder() {
    bool byte_level = false, byte_fallback = false, fuse = false;
    each_member(root_.find("decoder"), "decoders", [&](const Json& step) {
      const std::string& type = step.at("type").string();
      if (type == "ByteLevel")
        byte_level = true;
      else if (type == "ByteFallback")
        byte_fallback = true;
      else if (type == "Fuse")
        fuse = true;
      else if (type == "Strip" && step.at("content").string() == " " && step.at("stop").integer() == 0)
        model_.table.strip_first_space = step.at("start").integer(0, 1) == 1;
      else if (type == "Replace" && text_of(step.at("pattern"), "String") == kSpaceMark &&
               step.at("content").string() == " ")
        marks_spaces_ = true;
      else
        reject_type(step, "06",
                    model_.byte_level ? "the decoder ByteLevel"
                                      : "Replace, ByteFallback, Fuse and Strip as decoders");
    });
    const bool good =
        model_.byte_level ? byte_level && !fuse && !byte_fallback && !marks_spaces_ : fuse && !byte_level;
    if (!good)
      root_.reject("06", "a decoder that does not undo the pre-tokenizer",
                   model_.byte_level ? "ByteLevel" : "a Sequence of Replace, ByteFallback, Fuse and Strip",
                   kFetch);
  }

  // What the model's own tokens read as.
  void fill_bytes() {
    for (auto& entry : model_.table.entries) {
      if (entry.cuts || entry.spelling.empty()) continue;
      const int byte = model_.byte_fallback ? byte_of_token(entry.spelling) : -1;
      if (byte >= 0)
        entry.bytes = static_cast<char>(byte);
      else if (model_.byte_level)
        entry.bytes = byte_level_bytes(entry.spelling).value_or(entry.spelling);
      else
        entry.bytes = entry.spelling;
      if (marks_spaces_ && byte < 0) entry.bytes = spaces_for_marks(entry.bytes);
    }
  }

  void read_post_processor(const Json& step) {
    const std::string& type = step.at("type").string();
    if (type == "ByteLevel") return;  // moves offsets only
    if (type != "TemplateProcessing")
      reject_type(step, "06", "ByteLevel or TemplateProcessing as the post-processor");
    only_keys(step, {"type", "single", "pair", "special_tokens"});
    const Json single = step.at("single");
    bool text_seen = false;
    for (std::size_t i = 0; i < single.size(); ++i) {
      const Json part = single[i];
      if (const auto text = part.find("Sequence")) {
        if (text_seen || text->at("id").string() != "A")
          part.reject("10", "a second text in the template of one", "the Sequence A once", kFetch);
        text_seen = true;
      } else {
        add_special(part.at("SpecialToken").at("id"), step.at("special_tokens"),
                    text_seen ? model_.after : model_.before);
      }
    }
    if (!text_seen) single.reject("10", "a template without text", "the Sequence A once", kFetch);
  }

  void add_special(const Json& name, const Json& specials, Tokens& tokens) {
    const auto special = specials.find(name.string());
    if (!special)
      name.reject("10",
                  "the template names " + quoted(name.string()) + ", which special_tokens does not define",
                  "one of its tokens", kFetch);
    const Json ids = special->at("ids");
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const std::int64_t id = ids[i].integer();
      if (id < 0 || id >= model_.table.size() ||
          model_.table.entries[static_cast<std::size_t>(id)].spelling.empty())
        ids[i].reject("10", fmt::format("id {} in the template, which is no token", id),
                      fmt::format("an id below {}", model_.table.size()), kFetch);
      tokens.push_back(static_cast<std::int32_t>(id));
    }
  }

  Json root_;
  BpeModel model_;
  bool any_pattern_ = false, marks_spaces_ = false;
  std::int64_t most_id_ = 0;
  std::string_view code_of_clash_ = "03";
};

}  // namespace

BpeModel read_tokenizer_json(const Json& root) { return Reader(root).read(); }

}  // namespace evictbench
