#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace evictbench {

// What we read of a tokenizer.model ourselves: all pieces, and the settings that decide how text is encoded.
struct SentencePieceModel {
  enum class Type : std::uint8_t { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };
  struct Piece {
    std::string text;
    float score = 0;
    Type type = Type::kNormal;
  };

  std::vector<Piece> pieces;
  std::string bos_piece = "<s>", eos_piece = "</s>";
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool rewrites_text = false;  // has rules for characters
};

// Reads the protobuf `bytes` of `file` and refuses (E-TM-.., exit 4) whatever could crash the sentencepiece library
// or would make it guess. What passes may be handed to the library.
SentencePieceModel check_sentencepiece(std::string_view bytes, const std::string& file);

}  // namespace evictbench
