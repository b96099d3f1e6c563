// Rows of a tensor read by themselves are those of the whole, whatever kind of file holds it.
#include <gtest/gtest.h>

#include "models/gguf_weights.h"
#include "models/safetensors.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_gguf.h"

namespace evictbench {
namespace {

// Returns how many tensors were compared.
int compare_rows(const TensorFiles& files) {
  int compared = 0;
  for (const auto& [name, tensor] : files.tensors()) {
    if (tensor.shape.size() != 2) continue;
    SCOPED_TRACE(name);
    ++compared;
    std::vector<std::byte> all(tensor.bytes);
    files.read(name, all);
    const auto rows = static_cast<std::size_t>(tensor.shape[0]), row = all.size() / rows;
    for (std::size_t first = 0; first < rows; ++first)
      for (std::size_t count = 0; count <= rows - first; ++count) {
        std::vector<std::byte> some(count * row), same(some.size());
        std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(first * row), some.size(), same.begin());
        files.read_rows(name, static_cast<std::int64_t>(first), some);
        EXPECT_EQ(some, same) << first << ", " << count << " rows";
      }
  }
  return compared;
}

TEST(TensorRows, AreThoseOfTheWhole) {
  const TempFolder folder;
  std::string bytes(7 * 5 * 2 + 3 * 4, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 37);
  const TensorToWrite tensors[] = {{"a", DType::kBF16, {7, 5}, bytes.substr(0, 70)},
                                   {"b", DType::kF32, {1, 3}, bytes.substr(70)}};
  folder.write("model.safetensors", safetensors_bytes(tensors));
  EXPECT_EQ(compare_rows(SafetensorsFolder(folder.path())), 2);

  GgufToWrite gpt2 = tiny_bpe_gguf();  // its matrices are turned
  gpt2.set("general.architecture", gguf::string("gpt2"));
  for (const GgufToWrite& file : {tiny_gguf(), gpt2}) {
    const auto open = std::make_shared<const Gguf>(folder.write("model.gguf", file.bytes()));
    EXPECT_GE(compare_rows(GgufWeights(open)), 8);
  }
}

}  // namespace
}  // namespace evictbench
