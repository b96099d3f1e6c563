#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/dtype.h"

namespace evictbench {

struct TensorToWrite {
  std::string name;  // plain: nothing that JSON must escape
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;
  std::string bytes;

  static TensorToWrite f32(std::string name, std::vector<std::int64_t> shape, std::span<const float> values) {
    std::string bytes(values.size_bytes(), '\0');
    std::memcpy(bytes.data(), values.data(), values.size_bytes());
    return {std::move(name), DType::kF32, std::move(shape), std::move(bytes)};
  }
  static TensorToWrite zeros(std::string name, DType dtype, std::vector<std::int64_t> shape) {
    const std::int64_t count =
        std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
    return {std::move(name), dtype, std::move(shape),
            std::string(static_cast<std::size_t>(count) * size_of(dtype), '\0')};
  }
};

// Any header with any data: what the malformed files of tests are made of.
inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  std::string out(sizeof length, '\0');
  std::memcpy(out.data(), &length, sizeof length);
  return out + header + data;
}

inline std::string safetensors_bytes(std::span<const TensorToWrite> tensors) {
  std::string header = "{", data;
  for (const TensorToWrite& tensor : tensors) {
    const char* dtype = tensor.dtype == DType::kF32 ? "F32" : tensor.dtype == DType::kF16 ? "F16" : "BF16";
    std::string shape;
    for (const std::int64_t dim : tensor.shape) shape += (shape.empty() ? "" : ",") + std::to_string(dim);
    header += (header.size() > 1 ? ",\"" : "\"") + tensor.name + R"(":{"dtype":")" + dtype +
              R"(","shape":[)" + shape + R"(],"data_offsets":[)" + std::to_string(data.size()) + "," +
              std::to_string(data.size() + tensor.bytes.size()) + "]}";
    data += tensor.bytes;
  }
  header += "}";
  header.append((8 - header.size() % 8) % 8, ' ');
  return safetensors_bytes(header, data);
}

inline void write_safetensors(const std::string& path, std::span<const TensorToWrite> tensors) {
  const std::string all = safetensors_bytes(tensors);
  std::ofstream out(path, std::ios::binary);
  out.write(all.data(), static_cast<std::streamsize>(all.size()));
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

}  // namespace evictbench
