#pragma once

#include <compare>
#include <memory>
#include <optional>

#include "core/device.h"

namespace evictbench {
class CudaDevice;
}

namespace evictbench::cuda {

// x [rows, depth] and w [outputs, depth] of `type` (bf16 or f16) -> y [rows, outputs] of `out` (the same or f32). depth:
// a multiple of 8.
struct ProductShape {
  int outputs = 0, depth = 0;
  DType type = DType::kBF16, out = DType::kBF16;
  auto operator<=>(const ProductShape&) const = default;
};

// What we ask of a library of matrix products, and nothing else.
class ProductLibrary {
 public:
  virtual ~ProductLibrary() = default;
  virtual const char* name() const = 0;
  // Chooses an algorithm, the best one for `rows` rows, and keeps to it -> its number; none where no algorithm sums up
  // each output in one go. With `workspace` it may use memory of its own.
  virtual std::optional<int> plan(const ProductShape&, int rows, bool workspace) = 0;
  // -> false, and nothing done, where the algorithm is not for so many rows.
  virtual bool multiply(int plan, const void* x, const void* w, void* y, int rows) = 0;
};

// cuBLASLt (products_lt.cpp); null in the emulator (products_emulated.cpp).
std::unique_ptr<ProductLibrary> open_product_library(CudaDevice&);

}  // namespace evictbench::cuda
