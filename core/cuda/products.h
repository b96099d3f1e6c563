#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/cuda/product_library.h"
#include "core/ops.h"

// y = x wᵀ of the modes bf16 and f16, with f32 accumulators: the same bits for a row whatever the other rows are.
namespace evictbench::cuda {

// x [N, depth] of the mode's type; w.panels [outputs, depth rounded up to a multiple of 8] of the same, zeros behind each
// row; y [N, outputs] of the mode's type or f32.
void multiply_half(Device&, const Tensor& x, const PackedMatrix& w, Tensor& y);

// Our own: products.cu. Any number of rows.
void multiply_own(Device&, const ProductShape&, const void* x, const void* w, void* y, int rows);

// count += how many words of 2 bytes differ; all on the device.
void add_differences(Device&, const void* a, const void* b, std::size_t bytes, std::int32_t* count);
// x as rows of `depth` words -> [rows, padded_depth], with zeros behind each
Tensor padded_rows(Device&, const Tensor& x, int depth, int padded_depth);

// By the card's library where it keeps to the bits, by our own product where it does not. One algorithm of the library is
// pinned for each shape and use: for a prefill, which is alone in its batch, whatever the number of rows; for all else in
// pieces of up to 256 rows; every number of them gave the same bits when the shape was first met.
class Products {
 public:
  static constexpr int kPiece = 64, kMost = 256;

  Products(Device& device, std::unique_ptr<ProductLibrary> library)  // null: all by our own
      : device_(device), library_(std::move(library)) {}
  void multiply(Phase, const ProductShape&, const void* x, const void* w, void* y, int rows);
  const std::vector<std::string>& notes() const { return notes_; }  // of shapes that the library lost

 private:
  using Plan = std::optional<int>;  // of the library; none: our own
  struct Plans {
    Plan prefill, others;
  };
  const Plans& plans_of(const ProductShape&, const void* w);
  Plan keeping_bits(const ProductShape&, const void* w);
  std::string broken_promise(int plan, const ProductShape&, const void* w);
  void note(const ProductShape&, const char* use, const std::string& why);

  Device& device_;
  std::unique_ptr<ProductLibrary> library_;
  std::map<ProductShape, Plans> plans_;
  std::vector<std::string> notes_;
};

}  // namespace evictbench::cuda
