#include "harness/compute_modes.h"

#include <map>

#include "core/cuda/open.h"

namespace evictbench {

const std::vector<std::string>& compute_modes(const std::string& device) {
  static const std::map<std::string, std::vector<std::string>> kModes{
      {"cpu", {"f32", "bf16dot"}}, {"cuda", {"bf16", "f16", "f32"}}, {"reference", {"f32"}}};
  return kModes.at(device);
}

DType working_type(const std::string& compute) {
  return compute == "bf16" ? DType::kBF16 : compute == "f16" ? DType::kF16 : DType::kF32;
}

DType packed_type(const std::string& compute) {
  return compute == "bf16dot" ? DType::kBF16 : working_type(compute);
}

int prefill_rows_of(const std::string& device) {
  return device == "cuda" ? kCudaPrefillRows : Device::kPrefillRows;
}

}  // namespace evictbench
