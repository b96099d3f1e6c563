// Sorting: by CUB on a card, by the standard library in the emulator.
#include "core/cuda/sort.h"

#include "core/cuda/device.h"

#if defined(__CUDACC__)
#include <cub/device/device_segmented_radix_sort.cuh>

#include "core/device_errors.h"
#else
#include <algorithm>
#endif

namespace evictbench::cuda {

#if defined(__CUDACC__)

const std::uint64_t* sort_segments(Device& device, std::uint64_t* keys, std::uint64_t* spare, int count,
                                   const std::int32_t* begins, const std::int32_t* ends, int segments,
                                   int bits) {
  cub::DoubleBuffer<std::uint64_t> buffers(keys, spare);
  const auto stream = static_cast<cudaStream_t>(cuda_of(device).runtime().stream());
  const auto sort = [&](void* room, std::size_t& bytes) {
    const cudaError_t error = cub::DeviceSegmentedRadixSort::SortKeys(room, bytes, buffers, count, segments,
                                                                      begins, ends, 0, bits, stream);
    if (error != cudaSuccess)
      throw DeviceLost(std::string("the CUDA card failed in a sort: ") + cudaGetErrorString(error));
  };
  std::size_t bytes = 0;
  sort(nullptr, bytes);  // says how much room it wants
  const int words = static_cast<int>((bytes + 3) / 4);
  Tensor room(device, DType::kI32, {words});
  sort(room.at(0), bytes);
  return buffers.Current();
}

#else

const std::uint64_t* sort_segments(Device&, std::uint64_t* keys, std::uint64_t*, int,
                                   const std::int32_t* begins, const std::int32_t* ends, int segments, int) {
  for (int i = 0; i < segments; ++i) std::sort(keys + begins[i], keys + ends[i]);
  return keys;
}

#endif

}  // namespace evictbench::cuda
