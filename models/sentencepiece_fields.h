#pragma once

#include <cstdint>

// Field numbers of sentencepiece_model.proto, and its model types.
namespace evictbench::sentencepiece_fields {

enum ModelField : std::uint32_t {
  kPieces = 1,
  kTrainer = 2,
  kNormalizer = 3,
  kSelfTest = 4,
  kDenormalizer = 5
};
enum PieceField : std::uint32_t { kText = 1, kScore = 2, kType = 3 };
enum TrainerField : std::uint32_t {
  kModelType = 3,
  kVocabSize = 4,
  kSpaceAsSuffix = 24,
  kHardLimit = 33,
  kByteFallback = 35,
  kUnkId = 40,
  kBosId = 41,
  kEosId = 42,
  kPadId = 43,
  kUnkPiece = 45,
  kBosPiece = 46,
  kEosPiece = 47,
  kPadPiece = 48,
};
enum ModelType : std::int32_t { kUnigram = 1, kBpe = 2, kWord = 3, kChar = 4 };
enum NormalizerField : std::uint32_t {
  kName = 1,
  kCharsMap = 2,
  kDummyPrefix = 3,
  kRemoveExtra = 4,
  kEscape = 5
};

}  // namespace evictbench::sentencepiece_fields
