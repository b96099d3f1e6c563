// model.safetensors.index.json, beside two good shards.
#include "models/safetensors.h"
#include "tests/fuzz/support/files.h"
#include "tests/fuzz/support/target.h"
#include "tests/support/safetensors_writer.h"

namespace evictbench {
namespace {

const MemoryFolder& folder_with_shards() {
  static const MemoryFolder folder;
  static const bool written = [] {
    const TensorToWrite first[] = {TensorToWrite::zeros("a", DType::kF32, {2}),
                                   TensorToWrite::zeros("embed_tokens.weight", DType::kBF16, {3})};
    const TensorToWrite second[] = {TensorToWrite::zeros("b", DType::kF16, {2, 2})};
    folder.write("m-1.safetensors", safetensors_bytes(first));
    folder.write("m-2.safetensors", safetensors_bytes(second));
    return true;
  }();
  must(written, "index: no shards");
  return folder;
}

}  // namespace

void fuzz_one(std::string_view input) {
  const MemoryFolder& folder = folder_with_shards();
  folder.write("model.safetensors.index.json", input);
  const SafetensorsFolder weights(folder.path());
  for (const auto& [name, tensor] : weights.tensors()) {
    must(tensor.file.starts_with(folder / "m-"), "index: a file that it must not name");
    std::vector<std::byte> data(tensor.bytes);
    weights.read(name, data);
  }
}

}  // namespace evictbench
