#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/json.h"
#include "models/gguf.h"

namespace evictbench {

// The architectures whose keys and tensors we know.
enum class GgufArchitecture : std::uint8_t { kLlama, kQwen2, kQwen3, kGpt2, kPhi3, kGemma2, kGemma3 };

// general.architecture; what is unknown, a part of a model or a part of a file is an Error.
GgufArchitecture architecture_of(const Gguf& file);

// The config.json that the model's Hugging Face folder would hold, made from keys and tensors.
struct GgufConfig {
  Json json;
  std::vector<std::string> notes;  // what a user may want to know
};
GgufConfig config_of(const Gguf& file);

// A small vector (rope_freqs.weight, ...) in f32.
std::vector<float> vector_of(const Gguf& file, const GgufTensor& tensor);

// What the rotary factors of a Llama 3.1 file were made of. Converters write the factors that divide the frequencies
// to a tensor, and not the four numbers of rope_scaling that they come from; these are found again by trying.
struct Llama3Scaling {
  double factor = 1;  // 1: nothing is scaled
  double low = 1, high = 4;
  int original = 8192;
};
// Nothing: no numbers in use give these factors.
std::optional<Llama3Scaling> llama3_scaling(const std::vector<float>& factors, double theta);

}  // namespace evictbench
