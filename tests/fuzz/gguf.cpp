// A GGUF file: its keys and tensors, then what they mean. Rows read by themselves are those of the whole tensor.
#include "models/gguf.h"

#include <algorithm>

#include "models/family.h"
#include "models/gguf_config.h"
#include "models/gguf_tokenizer.h"
#include "models/gguf_weights.h"
#include "tests/fuzz/support/files.h"
#include "tests/fuzz/support/target.h"

namespace evictbench {
namespace {

void read_all(const TensorFiles& files) {
  for (const auto& [name, tensor] : files.tensors()) {
    must(tensor.bytes <= std::uint64_t{64} << 20,
         "gguf: a tensor far larger than its file");  // a block gives < 32 times
    std::vector<std::byte> all(tensor.bytes);
    files.read(name, all);
    if (tensor.shape.size() != 2 || tensor.shape[0] == 0 || tensor.bytes == 0) continue;
    const std::size_t row = tensor.bytes / static_cast<std::size_t>(tensor.shape[0]);
    std::vector<std::byte> last(row);
    files.read_rows(name, tensor.shape[0] - 1, last);
    must(std::ranges::equal(last, std::span(all).last(row)), "gguf: a row that is another by itself");
  }
}

}  // namespace

void fuzz_one(std::string_view input) {
  static const MemoryFolder folder;
  const auto file = std::make_shared<const Gguf>(folder.write("model.gguf", input));
  passes([&] {
    const GgufConfig config = config_of(*file);
    family_of(config.json).config(config.json);
  });
  passes([&] { read_all(GgufWeights(file)); });
  passes([&] {
    const auto tokenizer = load_gguf_tokenizer(*file);
    for (const std::int32_t id : tokenizer->encode("ab a\xff<s>", {.parse_special = true}))
      must(id >= 0 && id < tokenizer->vocabulary(), "gguf: an id outside the vocabulary");
  });
}

}  // namespace evictbench
