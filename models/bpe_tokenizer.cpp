#include "models/bpe_tokenizer.h"

#include <utf8proc.h>

#include <array>

#include "core/error.h"
#include "core/utf8.h"
#include "models/unicode.h"

namespace evictbench {
namespace {

std::string utf8(std::int32_t code) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const auto size = utf8proc_encode_char(code, bytes.data());
  return {bytes.begin(), bytes.begin() + size};
}

// The characters that stand for bytes in a byte-level vocabulary: visible Latin-1 stands for itself, every other byte
// for the next character from U+0100 on.
const std::array<std::string, 256>& byte_level_alphabet() {
  static const std::array<std::string, 256> alphabet = [] {
    std::array<std::string, 256> made;
    std::int32_t next = 0x100;
    for (std::int32_t b = 0; b < 256; ++b) {
      const bool visible = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
      made[static_cast<std::size_t>(b)] = utf8(visible ? b : next++);
    }
    return made;
  }();
  return alphabet;
}

class BpeTokenizer final : public Tokenizer {
 public:
  explicit BpeTokenizer(BpeModel model) : model_(std::move(model)) {
    for (const Normalization& step : model_.normalization)
      if (step.kind != Normalization::Kind::kPrepend) unprefixed_.push_back(step);
    if (!model_.byte_level) return;
    for (int b = 0; b < 256; ++b) bytes_.push_back(unit_of(std::string(1, static_cast<char>(b))));
  }

  Tokens encode(std::string_view text, Encode how) const override {
    const std::string valid = text_to_encode(text);
    BpeMerges::Workspace work;
    Tokens out = how.add_special ? model_.before : Tokens{};
    const bool prepends = unprefixed_.size() < model_.normalization.size();
    // Does the tokenizer's own space go in front of the next part?
    Place place = how.continues ? Place::kContinued : Place::kFirst;
    for (auto part : model_.added.split(valid, false, how.parse_special)) {
      if (part.id < 0 && place == Place::kContinued && prepends && part.text.starts_with(' ')) {
        part.text.remove_prefix(1);
        place = Place::kLater;
      }
      if (part.id >= 0)
        out.push_back(part.id);
      else
        encode_part(part.text, how.parse_special, place, work, out);
      place = Place::kLater;
    }
    if (how.add_special) out.insert(out.end(), model_.after.begin(), model_.after.end());
    return out;
  }

  std::string decode(std::span<const std::int32_t> ids, bool keep_special) const override {
    return model_.table.decode(ids, keep_special);
  }
  std::unique_ptr<TextStream> stream(bool keep_special) const override {
    return std::make_unique<TableStream>(model_.table, keep_special);
  }
  int vocabulary() const override { return model_.table.size(); }
  std::optional<std::int32_t> id_of(std::string_view token) const override {
    return model_.table.id_of(token);
  }
  std::string_view kind() const override { return model_.unigram ? "unigram" : "bpe"; }

 private:
  // What a byte or character is before any merge; nothing where the vocabulary cannot express it.
  struct Unit {
    Tokens symbols;
    bool fallback = false;  // they are bytes
  };

  // Where text that is encoded on its own stands: it goes on where other text ended, is the first, or comes later.
  enum class Place : std::uint8_t { kContinued, kFirst, kLater };

  void encode_part(std::string_view text, bool specials, Place place, BpeMerges::Workspace& work,
                   Tokens& out) const {
    const std::string changed =
        normalize(std::string(text), place == Place::kContinued ? unprefixed_ : model_.normalization);
    for (const auto& inner : model_.added.split(changed, true, specials)) {
      if (inner.id >= 0)
        out.push_back(inner.id);
      else
        encode_changed(inner.text, place, work, out);
      place = Place::kLater;
    }
  }

  void encode_changed(std::string_view text, Place place, BpeMerges::Workspace& work, Tokens& out) const {
    std::string marked, prefixed;
    if (!model_.space_mark.empty()) text = marked = replace_all(text, " ", model_.space_mark);
    const bool prefixes = model_.prefix_first_only ? place == Place::kFirst : place != Place::kContinued;
    if (prefixes && !text.starts_with(model_.prefix)) text = prefixed.append(model_.prefix).append(text);
    if (model_.unigram) {
      for (const std::string_view piece : model_.pre_tokenizer.split(text))
        model_.unigram->encode(piece, out);
      return;
    }
    Tokens symbols;
    for (const std::string_view piece : model_.pre_tokenizer.split(text)) {
      if (model_.ignore_merges) {
        if (const auto whole = model_.pieces.find(std::string(piece)); whole != model_.pieces.end()) {
          out.push_back(whole->second);
          continue;
        }
      }
      symbols.clear();
      spell(piece, symbols);
      model_.merges.apply(symbols, work, out);
    }
  }

  // The symbols that merging starts from. An unknown character waits for the next known one: bytes that stand for a
  // character overtake it, a rule of the format that shows where some bytes are no tokens.
  void spell(std::string_view piece, Tokens& symbols) const {
    bool waits = false;
    Unit character;
    while (!piece.empty()) {
      const std::size_t size = model_.byte_level ? 1 : decode_utf8(piece).bytes;
      if (!model_.byte_level) character = unit_of(std::string(piece.substr(0, size)));
      const Unit& unit = model_.byte_level ? bytes_[static_cast<unsigned char>(piece.front())] : character;
      const bool unknown = unit.symbols.empty() && model_.unknown >= 0;
      if (waits && (unknown ? !model_.fuse_unknown : !unit.symbols.empty() && !unit.fallback)) {
        symbols.push_back(model_.unknown);
        waits = false;
      }
      waits |= unknown;
      symbols.insert(symbols.end(), unit.symbols.begin(), unit.symbols.end());
      piece.remove_prefix(size);
    }
    if (waits) symbols.push_back(model_.unknown);
  }

  // Of one byte or character; empty where the vocabulary cannot express it. Without an unknown token such a unit
  // vanishes from the text: that is the rule of this format.
  Unit unit_of(const std::string& text) const {
    if (const auto found = model_.pieces.find(text); found != model_.pieces.end())
      return {{found->second}, false};
    Unit unit{{}, true};
    for (const char c : model_.byte_fallback ? text : std::string()) {
      const auto found = model_.pieces.find(byte_token(static_cast<unsigned char>(c)));
      if (found == model_.pieces.end()) return {};
      unit.symbols.push_back(found->second);
    }
    return unit;
  }

  BpeModel model_;
  std::vector<Normalization> unprefixed_;  // all but what puts a text in front
  std::vector<Unit> bytes_;                // [256] at byte level, else empty
};

}  // namespace

std::optional<std::string> byte_level_bytes(std::string_view spelling) {
  static const auto byte_of = [] {
    std::unordered_map<std::string_view, char> made;
    for (int b = 0; b < 256; ++b)
      made[byte_level_alphabet()[static_cast<std::size_t>(b)]] =
          static_cast<char>(static_cast<unsigned char>(b));
    return made;
  }();
  std::string out;
  for (std::string_view rest = spelling; !rest.empty();) {
    const std::size_t bytes = decode_utf8(rest).bytes;
    const auto found = byte_of.find(rest.substr(0, bytes));
    if (found == byte_of.end()) return std::nullopt;
    out += found->second;
    rest.remove_prefix(bytes);
  }
  return out;
}

std::unique_ptr<const Tokenizer> make_bpe_tokenizer(BpeModel model) {
  return std::make_unique<const BpeTokenizer>(std::move(model));
}

}  // namespace evictbench
