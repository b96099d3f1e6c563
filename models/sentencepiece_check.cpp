#include "models/sentencepiece_check.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <string_view>
#include <unordered_set>

#include "core/error.h"
#include "core/io/file.h"
#include "core/utf8.h"
#include "models/charsmap_check.h"
#include "models/protobuf.h"
#include "models/sentencepiece_fields.h"
#include "models/token_table.h"

namespace evictbench {
namespace {

using Type = SentencePieceModel::Type;
using Field = ProtobufReader::Field;

constexpr const char* kFetch = "the file is damaged; fetch it again";
constexpr std::size_t kMostPieces = 2'000'000;
constexpr std::size_t kMostPieceBytes = 4096;  // the library recurses once a byte when it loads a piece
constexpr std::size_t kMostUnknownFields = 1000;

using namespace sentencepiece_fields;

class Checker {
 public:
  Checker(std::string_view bytes, std::string file) : file_(file), top_(bytes, 0, std::move(file)) {}

  SentencePieceModel run() {
    for (Field field; top_.next(field);) switch (field.number) {
        case kPieces:
          read_piece(field);
          break;
        case kTrainer:
          read_trainer(field);
          break;
        case kNormalizer:
          read_normalizer(field);
          break;
        case kDenormalizer:
          read_denormalizer(field);
          break;
        case kSelfTest:
          top_.bytes(field);
          break;
        default:
          count_unknown(field);
      }
    check_pieces();
    check_trainer();
    return std::move(model_);
  }

 private:
  [[noreturn]] void reject(const char* code, const std::string& found, const std::string& expected,
                           const std::string& mend = kFetch) const {
    evictbench::reject(Exit::kInput, {fmt::format("E-TM-{}", code), file_, "", found, expected, mend});
  }

  void count_unknown(const Field& field) {
    if (++unknown_fields_ > kMostUnknownFields)
      top_.reject("03", field.offset, fmt::format("more than {} unknown fields", kMostUnknownFields),
                  "a SentencePiece model", kFetch);
  }

  void read_piece(const Field& field) {
    if (model_.pieces.size() == kMostPieces)
      top_.reject("04", field.offset, fmt::format("more than {} pieces", kMostPieces), "a vocabulary",
                  kFetch);
    SentencePieceModel::Piece piece;
    ProtobufReader reader = top_.message(field);
    for (Field part; reader.next(part);) switch (part.number) {
        case kText:
          piece.text = reader.bytes(part);
          break;
        case kScore:
          piece.score = reader.float32(part);
          break;
        case kType: {
          const std::int32_t type = reader.int32(part);
          if (type < 1 || type > 6)
            reader.reject("10", part.offset, fmt::format("piece type {}", type), "1 to 6", kFetch);
          piece.type = static_cast<Type>(type);
          break;
        }
        default:
          count_unknown(part);
      }
    const auto refuse = [&](const char* code, const std::string& found, const std::string& expected) {
      top_.reject(code, field.offset, fmt::format("piece {}: {}", model_.pieces.size(), found), expected,
                  kFetch);
    };
    if (piece.text.empty()) refuse("05", "no text", "at least one character");
    if (piece.text.size() > kMostPieceBytes)
      refuse("06", fmt::format("{} bytes", piece.text.size()), fmt::format("at most {}", kMostPieceBytes));
    if (invalid_utf8(piece.text) != std::string::npos) refuse("05", "bytes that are not UTF-8", "UTF-8 text");
    if (!std::isfinite(piece.score)) refuse("09", fmt::format("score {}", piece.score), "a finite score");
    model_.pieces.push_back(std::move(piece));
  }

  void read_trainer(const Field& field) {
    ProtobufReader reader = top_.message(field);
    for (Field part; reader.next(part);) switch (part.number) {
        case kModelType:
          model_type_ = reader.int32(part);
          break;
        case kVocabSize:
          vocab_size_ = reader.int32(part);
          break;
        case kHardLimit:
          hard_limit_ = reader.boolean(part);
          break;
        case kByteFallback:
          byte_fallback_ = reader.boolean(part);
          break;
        case kSpaceAsSuffix:
          space_as_suffix_ = reader.boolean(part);
          break;
        case kUnkId:
        case kBosId:
        case kEosId:
        case kPadId:
          ids_[part.number - kUnkId] = reader.int32(part);
          break;
        case kUnkPiece:
          unk_piece_ = reader.bytes(part);
          break;
        case kBosPiece:
          model_.bos_piece = reader.bytes(part);
          break;
        case kEosPiece:
          model_.eos_piece = reader.bytes(part);
          break;
        case kPadPiece:
          reader.bytes(part);
          break;
        default:
          break;  // how it was trained
      }
  }

  void read_normalizer(const Field& field) {
    ProtobufReader reader = top_.message(field);
    for (Field part; reader.next(part);) switch (part.number) {
        case kCharsMap:
          check_charsmap(reader.bytes(part), part.offset, file_);
          model_.rewrites_text = !part.bytes.empty();
          break;
        case kDummyPrefix:
          model_.add_dummy_prefix = reader.boolean(part);
          break;
        case kRemoveExtra:
          model_.remove_extra_whitespaces = reader.boolean(part);
          break;
        case kEscape:
          if (!reader.boolean(part))
            reader.reject("15", part.offset, "escape_whitespaces = false", "true",
                          "use a model with a supported tokenizer");
          break;
        default:
          break;
      }
  }

  void read_denormalizer(const Field& field) {
    ProtobufReader reader = top_.message(field);
    for (Field part; reader.next(part);)
      if (part.number == kCharsMap && !reader.bytes(part).empty())
        reader.reject("15", part.offset, "rules that rewrite decoded text", "none",
                      "use a model with a supported tokenizer");
  }

  void check_pieces() const {
    if (model_.pieces.empty()) reject("04", "no pieces", "a vocabulary");
    std::unordered_set<std::string_view> seen;
    int unknown = 0, bytes = 0;
    for (std::size_t i = 0; i < model_.pieces.size(); ++i) {
      const auto& [text, score, type] = model_.pieces[i];
      const std::string name = fmt::format("piece {} '{}'", i, printable(text));
      if (!seen.insert(text).second) reject("08", name + " a second time", "each piece once");
      const bool hidden = type == Type::kUnused || type == Type::kControl;
      if (hidden && model_type_ == kBpe &&
          decode_utf8(text).bytes == text.size())  // the library would lose it
        reject("10", name + " is unused or a control token", "single characters to be ordinary pieces");
      unknown += type == Type::kUnknown ? 1 : 0;
      if (type != Type::kByte) continue;
      ++bytes;
      if (byte_of_token(text) < 0) reject("12", name + " of type byte", "<0x00> to <0xFF>, in capitals");
    }
    if (unknown != 1) reject("11", fmt::format("{} unknown pieces", unknown), "one");
    if (bytes != (byte_fallback_ ? 256 : 0))
      reject("12", fmt::format("{} byte pieces with byte_fallback {}", bytes, byte_fallback_),
             byte_fallback_ ? "256" : "none");
    if (const auto& first = unk_piece_; !seen.contains(first))
      reject("11", fmt::format("the unknown piece '{}' is not there", printable(first)), "one of the pieces");
  }

  void check_trainer() const {
    if (model_type_ == kWord || model_type_ == kChar)
      reject("15", model_type_ == kWord ? "a model of type WORD" : "a model of type CHAR", "BPE or UNIGRAM",
             "use a model with a supported tokenizer");
    if (model_type_ != kUnigram && model_type_ != kBpe)
      reject("15", fmt::format("model type {}", model_type_), "1 (UNIGRAM) or 2 (BPE)");
    if (space_as_suffix_)
      reject("15", "treat_whitespace_as_suffix = true", "false", "use a model with a supported tokenizer");
    constexpr const char* kNames[] = {"unk_id", "bos_id", "eos_id", "pad_id"};
    const auto count = static_cast<std::int64_t>(model_.pieces.size());
    for (std::size_t i = 0; i < 4; ++i)
      if (ids_[i] && (*ids_[i] < -1 || *ids_[i] >= count))
        reject("13", fmt::format("{} {}", kNames[i], *ids_[i]), fmt::format("-1 to {}", count - 1));
    if (vocab_size_ && (*vocab_size_ < 0 || *vocab_size_ > static_cast<std::int32_t>(kMostPieces)))
      reject("17", fmt::format("vocab_size {}", *vocab_size_), fmt::format("0 to {}", kMostPieces));
    // A soft limit may end with fewer pieces than it asked for; pieces may be added after training.
    if (vocab_size_ && hard_limit_ && count < *vocab_size_)
      reject("17", fmt::format("{} pieces", count), fmt::format("{}, its vocab_size", *vocab_size_));
  }

  std::string file_;
  ProtobufReader top_;
  SentencePieceModel model_;
  std::size_t unknown_fields_ = 0;
  std::int32_t model_type_ = kUnigram;
  std::optional<std::int32_t> vocab_size_, ids_[4];  // ids: unk, bos, eos, pad
  bool hard_limit_ = true, byte_fallback_ = false, space_as_suffix_ = false;
  std::string unk_piece_ = "<unk>";
};

}  // namespace

SentencePieceModel check_sentencepiece(std::string_view bytes, const std::string& file) {
  return Checker(bytes, file).run();
}

}  // namespace evictbench
