#include "models/sentencepiece_tokenizer.h"

#include <sentencepiece_processor.h>

#include <limits>

#include "core/io/file.h"
#include "models/added_tokens.h"
#include "models/sentencepiece_check.h"
#include "models/token_table.h"
#include "models/unicode.h"

namespace evictbench {
namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{256} << 20;

// normalizer_spec { add_dummy_prefix: false }; behind a model's own bytes it stands for what those say.
constexpr std::string_view kNoDummyPrefix("\x1a\x02\x18\x00", 4);

using Type = SentencePieceModel::Type;

TokenTable table_of(const SentencePieceModel& model) {
  TokenTable table;
  if (model.add_dummy_prefix) table.strip = TokenTable::Strip::kEach;
  table.broken = TokenTable::Broken::kBytes;
  for (const auto& piece : model.pieces) {
    TokenTable::Entry entry{piece.text, piece.text, false, false};
    if (piece.type == Type::kByte)
      entry.bytes = static_cast<char>(byte_of_token(piece.text));
    else if (piece.type == Type::kUnknown)
      entry.bytes = kReplacement;
    else if (piece.type == Type::kControl)
      entry.special = entry.cuts = true;
    else
      entry.bytes = spaces_for_marks(piece.text);
    table.ids[piece.text] = table.size();
    table.entries.push_back(std::move(entry));
  }
  return table;
}

// User-defined pieces are not among them: the library itself finds those in any text.
AddedTokens controls_of(const SentencePieceModel& model) {
  std::vector<AddedToken> controls;
  for (std::size_t i = 0; i < model.pieces.size(); ++i)
    if (model.pieces[i].type == Type::kControl)
      controls.push_back({.text = model.pieces[i].text, .id = static_cast<std::int32_t>(i)});
  return AddedTokens(std::move(controls));
}

// May text be cut before a space that follows something else, without changing any id? It may where no piece reaches
// across such a place and nothing rewrites spaces.
bool may_cut(const SentencePieceModel& model) {
  if (model.remove_extra_whitespaces || model.rewrites_text) return false;
  bool space_is_piece = false;
  for (const auto& piece : model.pieces) {
    const std::string spaced = spaces_for_marks(piece.text);
    space_is_piece |= spaced == " ";
    for (std::size_t at = 1; at < spaced.size(); ++at)
      if (spaced[at] == ' ' && spaced[at - 1] != ' ') return false;
  }
  return space_is_piece;
}

class SentencePieceTokenizer final : public Tokenizer {
 public:
  SentencePieceTokenizer(const std::string& bytes, const std::string& file, SpecialEnds ends) : file_(file) {
    const SentencePieceModel model = check_sentencepiece(bytes, file);
    load(library_, bytes);
    if (model.add_dummy_prefix) load(unprefixed_, bytes + std::string(kNoDummyPrefix));
    table_ = table_of(model);
    controls_ = controls_of(model);
    dummy_prefix_ = model.add_dummy_prefix;
    may_cut_ = may_cut(model);
    const auto control = [&](const std::string& piece, bool wanted) {
      const auto id = table_.id_of(piece);
      return id && wanted && library_.IsControl(*id) ? Tokens{*id} : Tokens{};
    };
    before_ = control(model.bos_piece, ends.bos);
    after_ = control(model.eos_piece, ends.eos);
  }

  // Each text between control tokens is encoded on its own, with its own dummy prefix: so do the programs that the
  // models of this kind came with.
  Tokens encode(std::string_view text, Encode how) const override {
    const std::string valid = text_to_encode(text);
    Tokens out = how.add_special ? before_ : Tokens{};
    bool spaced = !how.continues;
    for (const auto& part : controls_.split(valid, false, how.parse_special)) {
      if (part.id >= 0)
        out.push_back(part.id);
      else
        encode_part(part.text, spaced, out);
      spaced = true;
    }
    if (how.add_special) out.insert(out.end(), after_.begin(), after_.end());
    return out;
  }

  std::string decode(std::span<const std::int32_t> ids, bool keep_special) const override {
    return table_.decode(ids, keep_special);
  }
  std::unique_ptr<TextStream> stream(bool keep_special) const override {
    return std::make_unique<TableStream>(table_, keep_special);
  }
  int vocabulary() const override { return table_.size(); }
  std::optional<std::int32_t> id_of(std::string_view token) const override { return table_.id_of(token); }
  std::string_view kind() const override { return "sentencepiece"; }

 private:
  static constexpr std::size_t kCutAfter = 512;  // bytes; the library slows down with the length of its text

  // spaced: with a space in front, if this is a model that puts one there. A space that is all the text before a
  // control token is none: so do the programs that the models of this kind came with.
  void encode_part(std::string_view text, bool spaced, Tokens& out) const {
    std::vector<int> ids;
    while (!text.empty()) {
      if (!spaced && dummy_prefix_ && text.starts_with(' ')) {
        text.remove_prefix(1);  // the library puts that space back
        spaced = true;
      }
      const std::size_t cut = next_cut(text);
      const auto& library = spaced || !dummy_prefix_ ? library_ : unprefixed_;
      const auto status = library.Encode(text.substr(0, cut), &ids);
      if (!status.ok()) refuse(file_, status.ToString());
      out.insert(out.end(), ids.begin(), ids.end());
      text.remove_prefix(cut);
      spaced = false;  // what follows begins with a space
    }
  }

  // Where the first text to encode ends: before a space, with more than that space to follow.
  std::size_t next_cut(std::string_view text) const {
    for (std::size_t at = kCutAfter; may_cut_ && at + 1 < text.size(); ++at)
      if (text[at] == ' ' && text[at - 1] != ' ' && !text.substr(0, at).ends_with(kSpaceMark)) return at;
    return text.size();
  }

  [[noreturn]] static void refuse(const std::string& file, const std::string& why) {
    reject(Exit::kInput, {"E-TM-19", file, "", "the sentencepiece library says: " + printable(why, 200),
                          "a model that it can use", "fetch the file again"});
  }

  void load(sentencepiece::SentencePieceProcessor& library, const std::string& bytes) const {
    try {
      const auto status = library.LoadFromSerializedProto(bytes);
      if (!status.ok()) refuse(file_, status.ToString());
    } catch (const Error&) {
      throw;
    } catch (const std::exception& thrown) {
      refuse(file_, thrown.what());
    }
  }

  std::string file_;
  sentencepiece::SentencePieceProcessor library_;
  sentencepiece::SentencePieceProcessor
      unprefixed_;  // the same without a dummy prefix; empty where it has none
  TokenTable table_;
  AddedTokens controls_;
  Tokens before_, after_;
  bool dummy_prefix_ = true, may_cut_ = false;
};

}  // namespace

std::unique_ptr<const Tokenizer> load_sentencepiece(const std::string& path, SpecialEnds ends) {
  return load_sentencepiece(read_text(path, Exit::kInput, "E-TM", kMostBytes), path, ends);
}

std::unique_ptr<const Tokenizer> load_sentencepiece(const std::string& bytes, const std::string& file,
                                                    SpecialEnds ends) {
  return std::make_unique<const SentencePieceTokenizer>(bytes, file, ends);
}

}  // namespace evictbench
