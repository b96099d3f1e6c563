#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace evictbench {

// GGUF files for tests, good and bad: every number of the format can be set to what it should not be.
namespace gguf {

enum Kind : std::uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kText, kArray, kU64, kI64, kF64 };
enum Type : std::uint32_t {
  kTypeF32 = 0,
  kTypeF16 = 1,
  kTypeQ4_1 = 3,
  kTypeQ8_0 = 8,
  kTypeQ4_K = 12,
  kTypeBF16 = 30
};

template <class T>
std::string raw(T value) {
  std::string out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}
inline std::string text(const std::string& s) { return raw<std::uint64_t>(s.size()) + s; }
// Of a vector or an array of numbers.
template <class Values>
std::string bytes_of(const Values& values) {
  return {reinterpret_cast<const char*>(std::data(values)), std::size(values) * sizeof(*std::data(values))};
}

// A value with its type in front.
inline std::string u32(std::uint32_t value) { return raw<std::uint32_t>(kU32) + raw(value); }
inline std::string i32(std::int32_t value) { return raw<std::uint32_t>(kI32) + raw(value); }
inline std::string u64(std::uint64_t value) { return raw<std::uint32_t>(kU64) + raw(value); }
inline std::string f32(float value) { return raw<std::uint32_t>(kF32) + raw(value); }
inline std::string f64(double value) { return raw<std::uint32_t>(kF64) + raw(value); }
inline std::string boolean(int value) {
  return raw<std::uint32_t>(kBool) + raw(static_cast<std::uint8_t>(value));
}
inline std::string string(const std::string& value) { return raw<std::uint32_t>(kText) + text(value); }
inline std::string array(std::uint32_t kind, std::uint64_t count, const std::string& content) {
  return raw<std::uint32_t>(kArray) + raw(kind) + raw(count) + content;
}
inline std::string texts(const std::vector<std::string>& values) {
  std::string content;
  for (const std::string& each : values) content += text(each);
  return array(kText, values.size(), content);
}
inline std::string i32s(const std::vector<std::int32_t>& values) {
  return array(kI32, values.size(), bytes_of(values));
}
inline std::string f32s(const std::vector<float>& values) {
  return array(kF32, values.size(), bytes_of(values));
}

}  // namespace gguf

struct GgufToWrite {
  struct Tensor {
    std::string name;
    std::vector<std::uint64_t> dims;  // the first one varies fastest
    std::uint32_t type = gguf::kTypeF32;
    std::string data;
    std::optional<std::uint64_t> offset = std::nullopt;  // else behind the tensor before
    std::optional<std::uint32_t> dim_count = std::nullopt;
  };

  std::string magic = "GGUF";
  std::uint32_t version = 3;
  std::optional<std::uint64_t> tensor_count, key_count;
  std::vector<std::pair<std::string, std::string>> keys;  // name, and value with its type
  std::vector<Tensor> tensors;
  std::uint64_t alignment = 32;
  std::string tail;  // behind the last tensor

  std::string* key(const std::string& name) {
    const auto found = std::ranges::find(keys, name, &std::pair<std::string, std::string>::first);
    return found == keys.end() ? nullptr : &found->second;
  }
  void set(const std::string& name, const std::string& value) {
    if (std::string* old = key(name))
      *old = value;
    else
      keys.emplace_back(name, value);
  }
  void erase(const std::string& name) {
    std::erase_if(keys, [&](const auto& each) { return each.first == name; });
  }
  Tensor& tensor(const std::string& name) { return *std::ranges::find(tensors, name, &Tensor::name); }
  void erase_tensor(const std::string& name) {
    std::erase_if(tensors, [&](const Tensor& each) { return each.name == name; });
  }

  static void pad(std::string& out, std::uint64_t to) { out.append((to - out.size() % to) % to, '\0'); }

  std::string header() const {
    std::string out = magic + gguf::raw(version) +
                      gguf::raw<std::uint64_t>(tensor_count.value_or(tensors.size())) +
                      gguf::raw<std::uint64_t>(key_count.value_or(keys.size()));
    for (const auto& [name, value] : keys) out += gguf::text(name) + value;
    std::uint64_t offset = 0;
    for (const Tensor& tensor : tensors) {
      out += gguf::text(tensor.name) +
             gguf::raw(tensor.dim_count.value_or(static_cast<std::uint32_t>(tensor.dims.size())));
      for (const std::uint64_t dim : tensor.dims) out += gguf::raw(dim);
      out += gguf::raw(tensor.type) + gguf::raw(tensor.offset.value_or(offset));
      offset += (tensor.data.size() + alignment - 1) / alignment * alignment;
    }
    return out;
  }

  std::string bytes() const {
    std::string out = header();
    for (const Tensor& tensor : tensors) {
      pad(out, alignment);
      out += tensor.data;
    }
    if (!tensors.empty()) pad(out, alignment);
    return out + tail;
  }
};

}  // namespace evictbench
