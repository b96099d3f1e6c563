// The emulator has no library: our own product, or what a test brings.
#include "core/cuda/product_library.h"

namespace evictbench::cuda {

std::unique_ptr<ProductLibrary> open_product_library(CudaDevice&) { return nullptr; }

}  // namespace evictbench::cuda
