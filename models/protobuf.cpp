#include "models/protobuf.h"

#include <fmt/format.h>

#include <bit>
#include <limits>

#include "core/error.h"

namespace evictbench {
namespace {

constexpr const char* kFetch = "the file is damaged or no SentencePiece model; fetch it again";

}  // namespace

ProtobufReader::ProtobufReader(std::string_view message, std::uint64_t offset, std::string file)
    : message_(message), start_(offset), file_(std::move(file)) {}

void ProtobufReader::reject(const char* code, std::uint64_t offset, const std::string& found,
                            const std::string& expected, const std::string& mend) const {
  evictbench::reject(Exit::kInput, {fmt::format("E-TM-{}", code), file_, fmt::format("byte {}", offset),
                                    found, expected, mend});
}

std::uint64_t ProtobufReader::varint() {
  const std::size_t first = at_;
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    if (at_ == message_.size())
      reject("01", start_ + first, "a number that is cut off", "its last byte inside the message", kFetch);
    const auto byte = static_cast<unsigned char>(message_[at_++]);
    if (shift == 63 && byte > 1) break;
    value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
    if (byte < 0x80) return value;
  }
  reject("01", start_ + first, "a number of more than 64 bits", "at most 10 bytes", kFetch);
}

bool ProtobufReader::next(Field& field) {
  if (at_ == message_.size()) return false;
  field = {};
  field.offset = start_ + at_;
  const std::uint64_t tag = varint();
  if (tag >> 3 == 0 || tag >> 32 != 0)
    reject("03", field.offset, fmt::format("field number {}", tag >> 3), "1 to 536870911", kFetch);
  field.number = static_cast<std::uint32_t>(tag >> 3);
  field.wire = static_cast<Wire>(tag & 7);
  switch (field.wire) {
    case Wire::kVarint:
      field.value = varint();
      return true;
    case Wire::kBytes: {
      const std::uint64_t size = varint();
      if (size > message_.size() - at_)
        reject("02", field.offset, fmt::format("field {} of {} bytes", field.number, size),
               fmt::format("at most the {} bytes that follow", message_.size() - at_), kFetch);
      field.bytes = message_.substr(at_, static_cast<std::size_t>(size));
      at_ += static_cast<std::size_t>(size);
      return true;
    }
    case Wire::kFixed32:
    case Wire::kFixed64: {
      const std::size_t size = field.wire == Wire::kFixed32 ? 4 : 8;
      if (size > message_.size() - at_)
        reject("02", field.offset, fmt::format("field {} is cut off", field.number),
               fmt::format("{} bytes", size), kFetch);
      for (std::size_t i = 0; i < size; ++i)
        field.value |= static_cast<std::uint64_t>(static_cast<unsigned char>(message_[at_ + i])) << (8 * i);
      at_ += size;
      return true;
    }
  }
  reject("03", field.offset, fmt::format("field {} of wire type {}", field.number, tag & 7), "0, 1, 2 or 5",
         kFetch);
}

void ProtobufReader::expect(const Field& field, Wire wire) const {
  if (field.wire != wire)
    reject("03", field.offset,
           fmt::format("field {} of wire type {}", field.number, static_cast<int>(field.wire)),
           fmt::format("wire type {}", static_cast<int>(wire)), kFetch);
}

std::int32_t ProtobufReader::int32(const Field& field) const {
  expect(field, Wire::kVarint);
  const auto value = static_cast<std::int64_t>(field.value);  // negative numbers take all ten bytes
  if (value < std::numeric_limits<std::int32_t>::min() || value > std::numeric_limits<std::int32_t>::max())
    reject("03", field.offset, fmt::format("{} in field {}", value, field.number), "a number of 32 bits",
           kFetch);
  return static_cast<std::int32_t>(value);
}

bool ProtobufReader::boolean(const Field& field) const {
  expect(field, Wire::kVarint);
  return field.value != 0;
}

float ProtobufReader::float32(const Field& field) const {
  expect(field, Wire::kFixed32);
  return std::bit_cast<float>(static_cast<std::uint32_t>(field.value));
}

std::string_view ProtobufReader::bytes(const Field& field) const {
  expect(field, Wire::kBytes);
  return field.bytes;
}

ProtobufReader ProtobufReader::message(const Field& field) const {
  expect(field, Wire::kBytes);
  const auto inside = static_cast<std::uint64_t>(field.bytes.data() - message_.data());
  return {field.bytes, start_ + inside, file_};
}

}  // namespace evictbench
