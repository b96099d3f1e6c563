// In a build without CUDA.
#include "core/cuda/open.h"
#include "core/error.h"

namespace evictbench {

std::unique_ptr<Device> open_cuda(DType, int) {
  reject(Exit::kUsage, {"E-CL-04", "this build", "", "no CUDA device", "one made where nvcc is on the PATH",
                        "run with --device cpu"});
}

int cuda_cards() { return 0; }

}  // namespace evictbench
