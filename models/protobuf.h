#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace evictbench {

// Walks the fields of one protobuf message, in place. Nothing is allocated, nothing recursed into.
class ProtobufReader {
 public:
  enum class Wire : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
  struct Field {
    std::uint32_t number = 0;
    Wire wire = Wire::kVarint;
    std::uint64_t value = 0;   // kVarint, kFixed32, kFixed64
    std::string_view bytes;    // kBytes
    std::uint64_t offset = 0;  // of its tag, in the file
  };

  // `offset`: where `message` starts in the file, for positions in errors.
  ProtobufReader(std::string_view message, std::uint64_t offset, std::string file);

  bool next(Field& field);  // false at the end

  // The field's content; a wire type that the field's number does not have is an Error.
  std::int32_t int32(const Field& field) const;
  bool boolean(const Field& field) const;
  float float32(const Field& field) const;
  std::string_view bytes(const Field& field) const;
  ProtobufReader message(const Field& field) const;

  [[noreturn]] void reject(const char* code, std::uint64_t offset, const std::string& found,
                           const std::string& expected, const std::string& mend) const;

 private:
  std::uint64_t varint();
  void expect(const Field& field, Wire wire) const;

  std::string_view message_;
  std::uint64_t start_;
  std::size_t at_ = 0;
  std::string file_;
};

}  // namespace evictbench
