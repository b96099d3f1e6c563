#include "models/stored_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <vector>

#include "core/error.h"

namespace evictbench {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

float value_at(DType dtype, std::span<const std::byte> elements, std::size_t i) {
  if (dtype == DType::kF32) {
    float value = 0;
    std::memcpy(&value, elements.data() + i * sizeof value, sizeof value);
    return value;
  }
  std::uint16_t half = 0;
  std::memcpy(&half, elements.data() + i * sizeof half, sizeof half);
  return dtype == DType::kBF16 ? bf16_to_f32(half) : f16_to_f32(half);
}

// Gives a tensor's elements to `look(first index, elements)` in pieces of whole rows where it has rows.
template <class Look>
void each_piece(const TensorFiles& files, const std::string& name, const StoredTensor& tensor,
                const Look& look) {
  std::vector<std::byte> piece;
  if (tensor.shape.size() != 2 || tensor.bytes <= kPieceBytes) {
    piece.resize(tensor.bytes);
    files.read(name, piece);
    return look(std::uint64_t{0}, std::span<const std::byte>(piece));
  }
  const std::uint64_t row_bytes = static_cast<std::uint64_t>(tensor.shape[1]) * size_of(tensor.dtype);
  const auto step = static_cast<std::int64_t>(std::max<std::uint64_t>(1, kPieceBytes / row_bytes));
  for (std::int64_t row = 0; row < tensor.shape[0]; row += step) {
    piece.resize(static_cast<std::uint64_t>(std::min(step, tensor.shape[0] - row)) * row_bytes);
    files.read_rows(name, row, piece);
    look(static_cast<std::uint64_t>(row * tensor.shape[1]), std::span<const std::byte>(piece));
  }
}

// A tensor that is known to hold such values, or not.
void refuse_nonfinite(const TensorFiles& files, const std::string& name) {
  const StoredTensor& tensor = *files.find(name);
  std::uint64_t count = 0, first = 0;
  float value = 0;
  each_piece(files, name, tensor, [&](std::uint64_t begin, std::span<const std::byte> elements) {
    if (!has_nonfinite(tensor.dtype, elements)) return;
    for (std::size_t i = 0; i < elements.size() / size_of(tensor.dtype); ++i) {
      const float x = value_at(tensor.dtype, elements, i);
      if (std::isfinite(x)) continue;
      if (count++ > 0) continue;
      first = begin + i;
      value = x;
    }
  });
  if (count == 0) return;
  reject(Exit::kInput, {"E-ST-26", tensor.file, printable(name, 200),
                        fmt::format("{} at index {} of {} (row-major), {} such values in all", value, first,
                                    tensor.shape_text(), count),
                        "finite weights",
                        "fetch the file again; if it was trained so, the checkpoint is broken, and only "
                        "--allow-nonfinite-weights "
                        "(model.allow_nonfinite in a sweep) loads it"});
}

}  // namespace

// The exponent of a NaN or an infinity is all ones, and of nothing else: adding one to its lowest bit carries into the
// sign's place, which was masked out. Whole words at a time.
bool has_nonfinite(DType dtype, std::span<const std::byte> elements) {
  struct Lanes {
    std::uint64_t exponent, one, carry;
  };
  static constexpr Lanes kF32{0x7f8000007f800000, 0x0080000000800000, 0x8000000080000000},
      kBF16{0x7f807f807f807f80, 0x0080008000800080, 0x8000800080008000},
      kF16{0x7c007c007c007c00, 0x0400040004000400, 0x8000800080008000};
  const Lanes lanes = dtype == DType::kF32 ? kF32 : dtype == DType::kBF16 ? kBF16 : kF16;
  constexpr std::size_t kWord = sizeof(std::uint64_t), kTogether = 4;
  std::uint64_t carried[kTogether] = {};
  std::size_t at = 0;
  for (; at + kTogether * kWord <= elements.size(); at += kTogether * kWord)
    for (std::size_t i = 0; i < kTogether; ++i) {
      std::uint64_t word = 0;
      std::memcpy(&word, elements.data() + at + i * kWord, kWord);
      carried[i] |= (word & lanes.exponent) + lanes.one;
    }
  for (; at < elements.size(); at += kWord) {
    std::uint64_t word = 0;  // zeros behind the end are finite
    std::memcpy(&word, elements.data() + at, std::min(kWord, elements.size() - at));
    carried[0] |= (word & lanes.exponent) + lanes.one;
  }
  return ((carried[0] | carried[1] | carried[2] | carried[3]) & lanes.carry) != 0;
}

Weight StoredWeights::load(const std::string& name) const {
  const StoredTensor* stored = files_->find(name);
  require(stored != nullptr, "checkpoint: a weight that was not checked");
  Weight weight{stored->dtype, {}, std::vector<std::byte>(stored->bytes)};
  for (const std::int64_t dim : stored->shape) weight.shape.push_back(static_cast<int>(dim));
  files_->read(name, weight.bytes);
  if (!allow_nonfinite_ && has_nonfinite(weight.dtype, weight.bytes)) refuse_nonfinite(*files_, name);
  return weight;
}

WeightRowReader StoredWeights::rows(const std::string& name) const {
  const StoredTensor* stored = files_->find(name);
  require(stored != nullptr && stored->shape.size() == 2, "checkpoint: a matrix that was not checked");
  return {stored->dtype, static_cast<int>(stored->shape[0]), static_cast<int>(stored->shape[1]),
          [this, name, dtype = stored->dtype](int first, std::span<std::byte> to) {
            files_->read_rows(name, first, to);
            if (!allow_nonfinite_ && has_nonfinite(dtype, to)) refuse_nonfinite(*files_, name);
          }};
}

void check_finite(const TensorFiles& files) {
  for (const auto& [name, tensor] : files.tensors())
    each_piece(files, name, tensor, [&](std::uint64_t, std::span<const std::byte> elements) {
      if (has_nonfinite(tensor.dtype, elements)) refuse_nonfinite(files, name);
    });
}

}  // namespace evictbench
