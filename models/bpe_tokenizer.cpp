#include "models/bpe_tokenizer.h"

#include <utf8proc.h>

#include <cstdlib>

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

std::string unicode_form(std::string_view text, int options) {
  utf8proc_uint8_t* out = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                 static_cast<utf8proc_ssize_t>(text.size()), &out,
                                 static_cast<utf8proc_option_t>(options | UTF8PROC_STABLE));
  const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owner(out, &std::free);
  require(size >= 0, "a Unicode normal form of valid UTF-8");
  return {reinterpret_cast<const char*>(out), static_cast<std::size_t>(size)};
}

class BpeTokenizer final : public Tokenizer {
 public:
  explicit BpeTokenizer(BpeModel model) : model_(std::move(model)) {
    for (const Normalization& step : model_.normalization)
      if (step.kind != Normalization::Kind::kPrepend) unprefixed_.push_back(step);
    if (!model_.byte_level) return;
    for (int b = 0; b < 256; ++b) bytes_.push_back(symbols_of(std::string(1, static_cast<char>(b))));
  }

  Tokens encode(std::string_view text, Encode how) const override {
    const std::string valid = text_to_encode(text);
    BpeMerges::Workspace work;
    Tokens out = how.add_special ? model_.before : Tokens{};
    const bool prepends = unprefixed_.size() < model_.normalization.size();
    bool spaced = !how.continues;  // does the tokenizer's own space go in front of the next part?
    for (auto part : model_.added.split(valid, false, how.parse_special)) {
      if (part.id < 0 && !spaced && prepends && part.text.starts_with(' ')) {
        part.text.remove_prefix(1);
        spaced = true;
      }
      if (part.id >= 0)
        out.push_back(part.id);
      else
        encode_part(part.text, how.parse_special, spaced, work, out);
      spaced = true;
    }
    if (how.add_special) out.insert(out.end(), model_.after.begin(), model_.after.end());
    return out;
  }

  std::string decode(std::span<const std::int32_t> ids, bool keep_special) const override {
    return model_.table.decode(ids, keep_special);
  }
  int vocabulary() const override { return model_.table.size(); }
  std::optional<std::int32_t> id_of(std::string_view token) const override {
    return model_.table.id_of(token);
  }
  std::string_view kind() const override { return "bpe"; }

 private:
  void encode_part(std::string_view text, bool specials, bool spaced, BpeMerges::Workspace& work,
                   Tokens& out) const {
    const std::string changed = normalize(std::string(text), spaced ? model_.normalization : unprefixed_);
    for (const auto& inner : model_.added.split(changed, true, specials)) {
      if (inner.id >= 0)
        out.push_back(inner.id);
      else
        encode_changed(inner.text, spaced, work, out);
      spaced = true;
    }
  }

  void encode_changed(std::string_view text, bool spaced, BpeMerges::Workspace& work, Tokens& out) const {
    std::string prefixed;
    if (model_.add_prefix_space && spaced && !text.starts_with(' '))
      text = prefixed.append(1, ' ').append(text);
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

  // The symbols that merging starts from.
  void spell(std::string_view piece, Tokens& symbols) const {
    bool after_unknown = false;
    Tokens character;
    while (!piece.empty()) {
      const std::size_t size = model_.byte_level ? 1 : decode_utf8(piece).bytes;
      if (!model_.byte_level) character = symbols_of(std::string(piece.substr(0, size)));
      const Tokens& unit = model_.byte_level ? bytes_[static_cast<unsigned char>(piece.front())] : character;
      if (unit.empty() && model_.unknown >= 0 && !(after_unknown && model_.fuse_unknown))
        symbols.push_back(model_.unknown);
      symbols.insert(symbols.end(), unit.begin(), unit.end());
      after_unknown = unit.empty();
      piece.remove_prefix(size);
    }
  }

  // Of one byte or character; empty where the vocabulary cannot express it. Without an unknown token such a unit
  // vanishes from the text: that is the rule of this format.
  Tokens symbols_of(const std::string& unit) const {
    if (const auto found = model_.pieces.find(unit); found != model_.pieces.end()) return {found->second};
    Tokens bytes;
    for (const char c : model_.byte_fallback ? unit : std::string()) {
      const auto found = model_.pieces.find(byte_token(static_cast<unsigned char>(c)));
      if (found == model_.pieces.end()) return {};
      bytes.push_back(found->second);
    }
    return bytes;
  }

  BpeModel model_;
  std::vector<Normalization> unprefixed_;  // all but what puts a text in front
  std::vector<Tokens> bytes_;              // [256] at byte level, else empty
};

}  // namespace

std::string normalize(std::string text, const std::vector<Normalization>& steps) {
  using Kind = Normalization::Kind;
  for (const Normalization& step : steps) {
    if (text.empty()) break;
    switch (step.kind) {
      case Kind::kNfc:
        text = unicode_form(text, UTF8PROC_COMPOSE);
        break;
      case Kind::kNfd:
        text = unicode_form(text, UTF8PROC_DECOMPOSE);
        break;
      case Kind::kNfkc:
        text = unicode_form(text, UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
        break;
      case Kind::kNfkd:
        text = unicode_form(text, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
        break;
      case Kind::kPrepend:
        text = step.text.to + text;
        break;
      case Kind::kReplace:
        text = replace_all(text, step.text.from, step.text.to);
        break;
    }
  }
  return text;
}

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
