// Weights on their way to the card: rows as a checkpoint has them, in the device's type, each padded to whole packs of 16 bytes.
#include <algorithm>
#include <deque>
#include <future>
#include <thread>

#include "core/cuda/ops.h"

namespace evictbench::cuda {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{8}
                                    << 20;  // about what is read, converted and uploaded at a time
constexpr unsigned kMostReaders = 8;
constexpr int kPack = 8;  // depth is padded to a multiple of this: at least 16 bytes

struct Layout {
  DType dtype;
  int depth, stride;  // elements of a row, those behind them included
  std::size_t row_bytes() const { return static_cast<std::size_t>(stride) * size_of(dtype); }
};

using Bytes = std::unique_ptr<std::byte[]>;

struct Piece {
  const WeightRows* part;
  int first, rows;    // of the part
  std::ptrdiff_t to;  // row of the whole

  Bytes packed(const Layout& layout) const {
    const std::size_t stored_row = static_cast<std::size_t>(layout.depth) * size_of(part->dtype),
                      stored_bytes = static_cast<std::size_t>(rows) * stored_row;
    Bytes out =
        std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(rows) * layout.row_bytes());
    if (!part->data && part->dtype == layout.dtype && layout.stride == layout.depth) {
      part->read(first, {out.get(), stored_bytes});
      return out;
    }
    Bytes read;
    const auto* stored = static_cast<const std::byte*>(part->data);
    if (stored) {
      stored += static_cast<std::size_t>(first) * stored_row;
    } else {
      read = std::make_unique_for_overwrite<std::byte[]>(stored_bytes);
      part->read(first, {read.get(), stored_bytes});
      stored = read.get();
    }
    convert_rows(part->dtype, stored, rows, layout.depth, layout.dtype, layout.stride, out.get());
    return out;
  }
};

std::vector<Piece> pieces_of(std::span<const WeightRows> parts, const Layout& layout) {
  const int most =
      static_cast<int>(std::max<std::size_t>(1, kPieceBytes / std::max<std::size_t>(1, layout.row_bytes())));
  std::vector<Piece> pieces;
  std::ptrdiff_t to = 0;
  for (const WeightRows& part : parts)
    for (int first = 0; first < part.rows; first += most) {
      const int rows = std::min(most, part.rows - first);
      pieces.push_back({&part, first, rows, to});
      to += rows;
    }
  return pieces;
}

}  // namespace

// Several threads read and convert; this one uploads what they have ready, in order.
PackedMatrix pack(Device& device, std::span<const WeightRows> parts, int depth) {
  const DType working = device.working();
  const Layout layout{working != DType::kF32 ? working : exact_type(parts), depth,
                      (depth + kPack - 1) / kPack * kPack};
  PackedMatrix packed;
  packed.depth = depth;
  packed.dtype = layout.dtype;
  for (const WeightRows& part : parts) packed.outputs += part.rows;
  packed.panels = Tensor(device, layout.dtype, {packed.outputs, layout.stride});

  const std::vector<Piece> pieces = pieces_of(parts, layout);
  const std::size_t readers = std::clamp(std::thread::hardware_concurrency(), 1u, kMostReaders);
  const auto how = pieces.size() > 1 ? std::launch::async : std::launch::deferred;
  std::deque<std::future<Bytes>> coming;
  std::size_t begun = 0;
  for (const Piece& piece : pieces) {
    for (; begun < pieces.size() && coming.size() < readers; ++begun)
      coming.push_back(std::async(how, &Piece::packed, &pieces[begun], std::cref(layout)));
    const Bytes rows = coming.front().get();
    coming.pop_front();
    device.upload(packed.panels.at(piece.to * layout.stride), rows.get(),
                  static_cast<std::size_t>(piece.rows) * layout.row_bytes());
  }
  return packed;
}

}  // namespace evictbench::cuda
