// tokenizer.json, the format of Hugging Face's tokenizers: what we can run exactly, and a refusal by name of
// everything else. `truncation` and `padding` are ignored: lengths are the experiment's affair.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <initializer_list>

#include "core/io/file.h"
#include "core/io/json.h"
#include "models/bpe_tokenizer.h"
#include "models/vocabulary.h"

namespace evictbench {
namespace {

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
  if (!members.is_array())
    members.reject("06", fmt::format("{} that are no list", list), "a list of steps", kFetch);
  for (std::size_t i = 0; i < members.size(); ++i) each_member(members[i], list, take);
}

class Reader {
 public:
  explicit Reader(Json root) : root_(std::move(root)), vocabulary_(model_, added_count(root_)) {}

  BpeModel read() {
    only_keys(root_, {"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
                      "post_processor", "decoder", "model"});
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
  static std::size_t added_count(const Json& root) {
    const auto added = root.find("added_tokens");
    if (added && !added->is_array())
      added->reject("05", "added_tokens that is no list", "a list of tokens", kFetch);
    return added ? added->size() : 0;
  }

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
    else if (type == "Metaspace")
      read_metaspace(step);
    else
      reject_type(step, "06",
                  "ByteLevel, Digits, Split, Metaspace or a Sequence of these as the pre-tokenizer");
    any_pattern_ = true;
  }

  void read_byte_level(const Json& step) {
    only_keys(step, {"type", "add_prefix_space", "trim_offsets", "use_regex"});
    model_.byte_level = true;
    if (flag(step, "add_prefix_space", true)) {
      if (any_pattern_)
        step.reject("06", "add_prefix_space after another pre-tokenizer",
                    "it in a ByteLevel that stands alone", kOther);
      model_.prefix = " ";
    }
    if (flag(step, "use_regex", true)) model_.pre_tokenizer.add_gpt2();
  }

  void read_digits(const Json& step) {
    only_keys(step, {"type", "individual_digits"});
    model_.pre_tokenizer.add_digits(flag(step, "individual_digits"));
  }

  void read_split(const Json& step) {
    using Behavior = PreTokenizer::Behavior;
    only_keys(step, {"type", "pattern", "behavior", "invert"});
    const Json pattern = step.at("pattern");
    const auto text = pattern.find("String");
    const std::string regex = text ? "" : pattern.at("Regex").string();
    const std::string& behavior = step.at("behavior").string();
    const bool invert = flag(step, "invert");
    static const std::unordered_map<std::string, Behavior> kBehaviors = {
        {"Isolated", Behavior::kIsolated},
        {"MergedWithPrevious", Behavior::kMergedWithPrevious},
        {"MergedWithNext", Behavior::kMergedWithNext},
        {"Contiguous", Behavior::kContiguous}};
    const auto known = kBehaviors.find(behavior);
    const std::optional<bool> covers =
        text ? !text->string().empty() ? std::optional(false) : std::nullopt : PreTokenizer::covers(regex);
    if (!covers)
      pattern.reject("07", "the pattern " + quoted(regex),
                     "a known one (GPT-2, Llama 3, Qwen, o200k, Tekken, DeepSeek)",
                     "use a model whose tokenizer splits by one of these");
    // To invert changes nothing where all parts stay apart; to remove all but the matches, where all is matched.
    const bool removes_nothing = behavior == "Removed" && invert && *covers;
    if ((known == kBehaviors.end() || (invert && behavior != "Isolated")) && !removes_nothing)
      step.reject("07", "Split with behavior " + quoted(behavior) + (invert ? ", inverted" : ""),
                  "Isolated, MergedWithPrevious, MergedWithNext or Contiguous, not inverted", kOther);
    const Behavior cut = known == kBehaviors.end() ? Behavior::kIsolated : known->second;
    if (text)
      model_.pre_tokenizer.add_text(text->string(), cut);
    else
      model_.pre_tokenizer.add_pattern(regex, cut);
  }

  void read_metaspace(const Json& step) {
    only_keys(step, {"type", "replacement", "prepend_scheme", "add_prefix_space", "str_rep", "split"});
    if (any_pattern_)
      step.reject("06", "Metaspace after another pre-tokenizer", "it as the first one", kOther);
    const std::string mark = step.at("replacement").string();
    const auto scheme = step.find("prepend_scheme");
    const std::string prepend = scheme                                 ? scheme->string()
                                : flag(step, "add_prefix_space", true) ? "always"
                                                                       : "never";
    if (mark.empty()) step.reject("06", "an empty replacement of spaces", "a character", kFetch);
    if (prepend != "always" && prepend != "first" && prepend != "never")
      scheme->reject("06", "prepend_scheme " + quoted(prepend), "always, first or never", kOther);
    model_.space_mark = mark;
    if (prepend != "never") model_.prefix = mark;
    model_.prefix_first_only = prepend == "first";
    if (flag(step, "split", true))
      model_.pre_tokenizer.add_text(mark, PreTokenizer::Behavior::kMergedWithNext);
  }

  // A text may not grow without end while it is made ready: real tokenizers write three bytes for a space.
  void bound_growth(const Json& step, std::size_t times) {
    constexpr std::size_t kMostGrowth = 64;
    growth_ = times > kMostGrowth ? kMostGrowth + 1 : growth_ * std::max<std::size_t>(1, times);
    if (growth_ > kMostGrowth)
      step.reject("07", "a normalizer that makes a text more than 64 times as long",
                  "one that keeps its length", kOther);
  }

  void read_normalizer(const Json& step) {
    using Kind = Normalization::Kind;
    static const std::unordered_map<std::string, Kind> kPlain = {{"NFC", Kind::kNfc},
                                                                 {"NFD", Kind::kNfd},
                                                                 {"NFKC", Kind::kNfkc},
                                                                 {"NFKD", Kind::kNfkd},
                                                                 {"Lowercase", Kind::kLowercase}};
    const std::string& type = step.at("type").string();
    if (const auto plain = kPlain.find(type); plain != kPlain.end()) {
      only_keys(step, {"type"});
      model_.normalization.push_back({.kind = plain->second});
    } else if (type == "Strip") {
      only_keys(step, {"type", "strip_left", "strip_right"});
      model_.normalization.push_back({.kind = Kind::kStrip,
                                      .left = step.at("strip_left").boolean(),
                                      .right = step.at("strip_right").boolean()});
    } else if (type == "Prepend") {
      only_keys(step, {"type", "prepend"});
      const Json prefix = step.at("prepend");
      bound_growth(prefix, prefix.string().size());
      model_.normalization.push_back({.kind = Kind::kPrepend, .to = prefix.string()});
    } else if (type == "Replace") {
      only_keys(step, {"type", "pattern", "content"});
      const Json pattern = step.at("pattern");
      if (!pattern.find("String") || pattern.at("String").string().empty())
        pattern.reject("07", "a Replace that is not of a plain string", R"({"String": "..."})", kOther);
      const std::string &from = pattern.at("String").string(), &to = step.at("content").string();
      bound_growth(step, std::max<std::size_t>(1, (to.size() + from.size() - 1) / from.size()));
      model_.normalization.push_back({.kind = Kind::kReplace, .from = from, .to = to});
    } else {
      reject_type(step, "06",
                  "NFC, NFD, NFKC, NFKD, Lowercase, Strip, Prepend, Replace or a Sequence of these as the "
                  "normalizer");
    }
  }

  void read_model(const Json& model) {
    const auto type = model.find("type");
    if (type && type->string() == "Unigram") return read_unigram(model);
    if (type && type->string() != "BPE") reject_type(model, "02", "the model type BPE or Unigram");
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
    vocabulary_.read(model.at("vocab"));
    read_merges(model.at("merges"));
    if (const auto unknown = model.find("unk_token")) {
      const auto id = model_.table.id_of(unknown->string());
      if (!id)
        unknown->reject("09", "the unknown token " + quoted(unknown->string()) + " is not in the vocabulary",
                        "a token of /model/vocab", "fetch the file again or set unk_token to null");
      model_.unknown = *id;
    }
  }

  void read_unigram(const Json& model) {
    only_keys(model, {"type", "unk_id", "vocab", "byte_fallback"});
    if (model_.byte_level) model.reject("06", "Unigram at byte level", "Metaspace", kOther);
    model_.byte_fallback = flag(model, "byte_fallback");
    const auto pieces = vocabulary_.read_scored(model.at("vocab"));
    if (const auto unknown = model.find("unk_id")) {
      const std::int64_t id = unknown->integer();
      if (id < 0 || id >= static_cast<std::int64_t>(pieces.size()))
        unknown->reject("09", fmt::format("the unknown token {} is not in the vocabulary", id),
                        "an id of /model/vocab", "fetch the file again or set unk_id to null");
      model_.unknown = static_cast<std::int32_t>(id);
    }
    model_.unigram.emplace(pieces, model_.unknown, model_.byte_fallback, root_.file());
  }

  void read_merges(const Json& merges) {
    const std::size_t count = merges.size();
    model_.merges.reserve(count);
    for (std::size_t rank = 0; rank < count; ++rank) {
      const Json merge = merges[rank];
      const auto [left, right] = parts(merge);
      if (const std::string wrong = vocabulary_.add_merge(left, right, rank); !wrong.empty())
        merge.reject("04", wrong, "tokens of /model/vocab, each merge once", kFetch);
    }
  }

  // Both spellings: "a b" and ["a", "b"].
  static std::pair<std::string, std::string> parts(const Json& merge) {
    std::pair<std::string, std::string> both;
    if (merge.is_array() && merge.size() == 2)
      both = {merge[0].string(), merge[1].string()};
    else if (merge.is_string())
      both = VocabularyReader::halves(merge.string());
    if (both.first.empty() || both.second.empty())
      merge.reject("04", "a merge that is not of two tokens", R"("a b" or ["a", "b"])", kFetch);
    return both;
  }

  void read_added(const Json& list) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      const Json token = list[i];
      only_keys(token, {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
      vocabulary_.read_added(token, token.at("id"));
    }
    vocabulary_.finish_added(list);
  }

  void read_decoder() {
    bool byte_level = false, byte_fallback = false, fuse = false, metaspace = false;
    each_member(root_.find("decoder"), "decoders", [&](const Json& step) {
      const std::string& type = step.at("type").string();
      if (type == "ByteLevel")
        byte_level = true;
      else if (type == "ByteFallback")
        byte_fallback = true;
      else if (type == "Fuse")
        fuse = true;
      else if (type == "Metaspace" && step.at("replacement").string() == kSpaceMark)
        metaspace = marks_spaces_ = true;
      else if (type == "Strip" && step.at("content").string() == " " && step.at("stop").integer() == 0)
        strips_ = step.at("start").integer(0, 1) == 1;
      else if (type == "Replace" && text_of(step.at("pattern"), "String") == kSpaceMark &&
               step.at("content").string() == " ")
        marks_spaces_ = true;
      else
        reject_type(step, "06",
                    model_.byte_level ? "the decoder ByteLevel"
                                      : "Metaspace, or Replace, ByteFallback, Fuse and Strip as decoders");
    });
    const bool good = model_.byte_level ? byte_level && !fuse && !byte_fallback && !marks_spaces_
                                        : (fuse || metaspace) && !byte_level;
    if (!good)
      root_.reject("06", "a decoder that does not undo the pre-tokenizer",
                   model_.byte_level ? "ByteLevel"
                                     : "Metaspace, or a Sequence of Replace, ByteFallback, Fuse and Strip",
                   kFetch);
    // Metaspace takes off what its partner put on.
    if (metaspace) strips_ = !model_.prefix.empty();
    if (strips_)
      model_.table.strip = model_.prefix_first_only ? TokenTable::Strip::kFirst : TokenTable::Strip::kEach;
  }

  // What the model's own tokens read as. An added token that the model may also make of other text reads as that.
  void fill_bytes() {
    if (model_.byte_fallback) model_.table.broken = TokenTable::Broken::kRuns;
    for (auto& entry : model_.table.entries) {
      if (entry.spelling.empty()) continue;
      const std::string text =
          model_.byte_level ? byte_level_bytes(entry.spelling).value_or(entry.spelling) : entry.spelling;
      if (entry.cuts && (!model_.pieces.contains(text) || invalid_utf8(text) != std::string::npos)) continue;
      const int byte = model_.byte_fallback ? byte_of_token(entry.spelling) : -1;
      if (byte >= 0)
        entry.bytes = static_cast<char>(byte);
      else
        entry.bytes = marks_spaces_ ? spaces_for_marks(text) : text;
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
  std::size_t growth_ = 1;  // of a text, by the normalizers so far
  BpeModel model_;
  VocabularyReader vocabulary_;
  bool any_pattern_ = false, marks_spaces_ = false, strips_ = false;
};

}  // namespace

BpeModel read_tokenizer_json(const Json& root) { return Reader(root).read(); }

}  // namespace evictbench
