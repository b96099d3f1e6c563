#pragma once

#include <string>
#include <vector>

#include "core/dtype.h"

namespace evictbench {

// The compute modes of a device (design: named, part of a point's identity), its default first.
//   cpu        f32; bf16dot where the processor has AVX-512 BF16
//   cuda       bf16; f16; f32, slow, in the bits of the cpu
//   reference  f32: it computes in float64
const std::vector<std::string>& compute_modes(const std::string& device);

// Device::working() and Device::prefill_rows(), known without opening one.
DType working_type(const std::string& compute);
// What matrices become when they are packed; f32: they stay as they are stored.
DType packed_type(const std::string& compute);
int prefill_rows_of(const std::string& device);

}  // namespace evictbench
