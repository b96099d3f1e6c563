// The values of a GGUF file's keys, each in the type that its reader wants or refused.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "models/gguf.h"

namespace evictbench {
namespace {

constexpr const char* kFetch = "fetch the file again, or convert the model again";

}  // namespace

double as_written(float value) {
  if (!std::isfinite(value)) return static_cast<double>(value);
  const std::string decimal = fmt::format("{}", value);
  double out = 0;
  std::from_chars(decimal.data(), decimal.data() + decimal.size(), out);
  return out;
}

const Gguf::Value* Gguf::find_value(std::string_view key) const {
  const auto found = keys_.find(key);
  return found == keys_.end() ? nullptr : &found->second;
}

std::vector<std::string_view> Gguf::keys() const {
  std::vector<std::string_view> names;
  for (const auto& [key, value] : keys_) names.push_back(key);
  return names;
}

std::optional<std::uint64_t> Gguf::length(std::string_view key) const {
  const Value* value = find_value(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind != Kind::kArray) reject_kind(key, *value, "an array");
  return value->count;
}

void Gguf::reject_kind(std::string_view key, const Value& value, const char* expected) const {
  const std::string found = value.kind == Kind::kArray
                                ? fmt::format("an array of {} {}", value.count, name_of(value.element))
                                : fmt::format("a value of type {}", name_of(value.kind));
  reject("31", key, found, expected, kFetch);
}

void Gguf::reject_absent(std::string_view key) const {
  std::vector<std::string_view> all = keys();
  if (all.size() > 1000) all.resize(1000);
  const std::string near = nearest(key.substr(0, 200), all);
  reject(
      "30", key,
      near.empty() ? "the key is absent" : fmt::format("the key is absent; nearest is {}", printable(near)),
      "a value under this key", "convert the model again with a current converter");
}

std::int64_t Gguf::integer_of(Kind kind, std::uint64_t at, std::string_view key) const {
  switch (kind) {
    case Kind::kU8:
      return raw<std::uint8_t>(at);
    case Kind::kI8:
      return raw<std::int8_t>(at);
    case Kind::kU16:
      return raw<std::uint16_t>(at);
    case Kind::kI16:
      return raw<std::int16_t>(at);
    case Kind::kU32:
      return raw<std::uint32_t>(at);
    case Kind::kI32:
      return raw<std::int32_t>(at);
    case Kind::kI64:
      return raw<std::int64_t>(at);
    case Kind::kU64:
      return static_cast<std::int64_t>(std::min<std::uint64_t>(raw<std::uint64_t>(at), INT64_MAX));
    default:
      reject_kind(key, *find_value(key), "an integer");
  }
}

double Gguf::number_of(Kind kind, std::uint64_t at) const {
  return kind == Kind::kF32 ? as_written(raw<float>(at)) : raw<double>(at);
}

std::string_view Gguf::text_of(std::uint64_t& at) const {
  const auto bytes = raw<std::uint64_t>(at);
  const std::string_view text = std::string_view(header_).substr(at + 8, bytes);
  at += 8 + bytes;
  return text;
}

std::optional<std::int64_t> Gguf::integer(std::string_view key, std::int64_t least, std::int64_t most) const {
  const Value* value = find_value(key);
  if (value == nullptr) return std::nullopt;
  const std::int64_t found = integer_of(value->kind, value->at, key);
  if (found < least || found > most)
    reject("31", key, fmt::format("{}", found), fmt::format("an integer from {} to {}", least, most), kFetch);
  return found;
}

std::optional<double> Gguf::number(std::string_view key, double least, double most) const {
  const Value* value = find_value(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind != Kind::kF32 && value->kind != Kind::kF64) reject_kind(key, *value, "FLOAT32 or FLOAT64");
  const double found = number_of(value->kind, value->at);
  if (!(found >= least && found <= most))
    reject("31", key, fmt::format("{}", found), fmt::format("a number from {} to {}", least, most), kFetch);
  return found;
}

std::optional<bool> Gguf::boolean(std::string_view key) const {
  const Value* value = find_value(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind != Kind::kBool) reject_kind(key, *value, "BOOL");
  return header_[value->at] != 0;
}

std::optional<std::string_view> Gguf::text(std::string_view key) const {
  const Value* value = find_value(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind != Kind::kText) reject_kind(key, *value, "STRING");
  std::uint64_t at = value->at;
  const std::string_view found = text_of(at);
  if (invalid_utf8(found) != found.npos)
    reject("31", key, fmt::format("'{}', which is not UTF-8", printable(found)), "UTF-8 text", kFetch);
  return found;
}

std::optional<std::vector<std::int64_t>> Gguf::integers(std::string_view key) const {
  const Value* value = find_value(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind != Kind::kArray) reject_kind(key, *value, "an array of integers");
  std::vector<std::int64_t> out;
  out.reserve(value->count);
  for (std::uint64_t i = 0; i < value->count; ++i)
    out.push_back(integer_of(value->element, value->at + i * size_of(value->element), key));
  return out;
}

std::optional<std::vector<double>> Gguf::numbers(std::string_view key) const {
  const Value* value = find_value(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind != Kind::kArray || (value->element != Kind::kF32 && value->element != Kind::kF64))
    reject_kind(key, *value, "an array of FLOAT32");
  std::vector<double> out;
  out.reserve(value->count);
  for (std::uint64_t i = 0; i < value->count; ++i)
    out.push_back(number_of(value->element, value->at + i * size_of(value->element)));
  return out;
}

std::optional<std::vector<std::string_view>> Gguf::texts(std::string_view key) const {
  const Value* value = find_value(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind != Kind::kArray || value->element != Kind::kText)
    reject_kind(key, *value, "an array of STRING");
  std::vector<std::string_view> out;
  out.reserve(value->count);
  std::uint64_t at = value->at;
  for (std::uint64_t i = 0; i < value->count; ++i) out.push_back(text_of(at));
  return out;
}

std::int64_t Gguf::integer_at(std::string_view key, std::int64_t least, std::int64_t most) const {
  if (!has(key)) reject_absent(key);
  return *integer(key, least, most);
}

double Gguf::number_at(std::string_view key, double least, double most) const {
  if (!has(key)) reject_absent(key);
  return *number(key, least, most);
}

std::string_view Gguf::text_at(std::string_view key) const {
  if (!has(key)) reject_absent(key);
  return *text(key);
}

std::vector<std::string_view> Gguf::texts_at(std::string_view key) const {
  if (!has(key)) reject_absent(key);
  return *texts(key);
}

}  // namespace evictbench
