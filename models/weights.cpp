#include "models/weights.h"

#include <cstring>

#include "core/error.h"

namespace evictbench {

std::vector<float> Weight::widened() const {
  std::vector<float> out(bytes.size() / size_of(dtype));
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (size_of(dtype) == 4) {
      std::memcpy(&out[i], bytes.data() + i * 4, 4);
    } else {
      std::uint16_t half = 0;
      std::memcpy(&half, bytes.data() + i * 2, 2);
      out[i] = dtype == DType::kBF16 ? bf16_to_f32(half) : f16_to_f32(half);
    }
  }
  return out;
}

std::string layer_name(const std::string& pattern, int layer) {
  std::string name = pattern;
  const auto at = name.find("{}");
  require(at != std::string::npos, "weights: a layer's name without {}");
  return name.replace(at, 2, std::to_string(layer));
}

}  // namespace evictbench
