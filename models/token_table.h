#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "models/tokenizer.h"

namespace evictbench {

// "<0x0A>": how a vocabulary spells a single byte. Upper case, two digits.
std::string byte_token(unsigned char byte);
// The byte that `spelling` stands for, or -1.
int byte_of_token(std::string_view spelling);

// SentencePiece spells a space as U+2581.
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";
std::string spaces_for_marks(std::string_view text);

// `text` as every tokenizer encodes it: repaired where it is not UTF-8. Refuses more than 256 MiB.
std::string text_to_encode(std::string_view text);

// What each token id spells and reads as: the decoding half of every tokenizer.
struct TokenTable {
  struct Entry {
    std::string spelling;  // as the tokenizer file has it; empty: no token has this id
    std::string bytes;     // what it reads as
    bool special = false;  // left out of decoded text
    bool cuts = false;     // text after it was encoded on its own
  };

  // Where encoding put a space in front: of each text that it encoded on its own, or only of one that came first.
  enum class Strip : std::uint8_t { kNone, kFirst, kEach };

  // What becomes one U+FFFD where bytes are no character. Programs differ; a text cut between tokens shows it.
  enum class Broken : std::uint8_t {
    kPieces,  // a maximal piece of a character, as Python repairs text: byte-level tokenizers
    kBytes,   // each byte, as sentencepiece has it
    kRuns,    // each byte of a run of byte tokens that is not whole, as ByteFallback of tokenizers has it
  };

  std::vector<Entry> entries;  // by id
  Strip strip = Strip::kNone;
  Broken broken = Broken::kPieces;
  std::unordered_map<std::string, std::int32_t> ids;  // by spelling

  int size() const { return static_cast<int>(entries.size()); }
  std::optional<std::int32_t> id_of(std::string_view spelling) const;
  std::string decode(std::span<const std::int32_t> tokens, bool keep_special) const;
};

// The text of tokens that come one by one.
class TableStream final : public TextStream {
 public:
  TableStream(const TokenTable& table, bool keep_special)
      : table_(table), keep_special_(keep_special), strips_(table.strip != TokenTable::Strip::kNone) {}
  std::string add(std::int32_t id) override;
  std::string finish() override;
  std::size_t waiting() const override { return waiting_.size(); }

 private:
  std::string text_of_run();  // ends it
  bool by_byte() const { return table_.broken != TokenTable::Broken::kPieces; }

  const TokenTable& table_;
  bool keep_special_;
  bool strips_;  // a space in front of the next token is not text
  std::string
      waiting_;  // the bytes of a character that is not complete, or of a run of byte tokens that may go on
};

}  // namespace evictbench
