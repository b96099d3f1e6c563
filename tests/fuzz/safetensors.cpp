// A safetensors file. What is accepted covers its data exactly once, and reads.
#include "models/safetensors.h"

#include "tests/fuzz/support/files.h"
#include "tests/fuzz/support/target.h"
#include "tests/support/safetensors_writer.h"

namespace evictbench {
namespace {

// An even first byte: the rest is the file. An odd one: two bytes say how much data follows the header that the rest is.
std::string file_of(std::string_view input) {
  if (input.size() < 3 || input[0] % 2 == 0)
    return std::string(input.substr(std::min<std::size_t>(1, input.size())));
  const auto size = static_cast<unsigned char>(input[1]) + 256U * static_cast<unsigned char>(input[2]);
  return safetensors_bytes(std::string(input.substr(3)), std::string(size, '\1'));
}

}  // namespace

void fuzz_one(std::string_view input) {
  static const MemoryFolder folder;
  const std::string file = file_of(input);
  folder.write("model.safetensors", file);
  const SafetensorsFolder weights(folder.path());
  std::uint64_t header = 0;
  std::memcpy(&header, file.data(), sizeof header);
  std::vector<int> covered(file.size() - 8 - header);
  for (const auto& [name, tensor] : weights.tensors()) {
    unsigned __int128 bytes = size_of(tensor.dtype);
    for (const std::int64_t dim : tensor.shape) bytes *= static_cast<unsigned __int128>(dim);
    must(tensor.bytes == bytes, "safetensors: a span that does not fit the shape");
    std::vector<std::byte> data(tensor.bytes);
    weights.read(name, data);
    must(data.empty() || std::memcmp(data.data(), file.data() + tensor.begin, data.size()) == 0,
         "safetensors: other bytes");
    for (std::size_t at = 0; at < data.size(); ++at) ++covered.at(tensor.begin - 8 - header + at);
  }
  for (const int times : covered) must(times == 1, "safetensors: a byte that is not in one tensor");
}

}  // namespace evictbench
