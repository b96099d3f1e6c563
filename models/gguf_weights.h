#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "models/gguf.h"
#include "models/gguf_config.h"
#include "models/tensor_files.h"

namespace evictbench {

// The weights of a GGUF file as its Hugging Face folder would have them: by name, shape [out, in] and order of rows.
// Quantised ones read as f32, tensor by tensor, when they are asked for; F32, F16 and BF16 as they are stored.
class GgufWeights final : public TensorFiles {
 public:
  explicit GgufWeights(std::shared_ptr<const Gguf> file);

  const std::string& path() const override { return file_->path(); }
  const Map& tensors() const override { return tensors_; }
  void read(std::string_view name, std::span<std::byte> to) const override;
  void read_rows(std::string_view name, std::int64_t first, std::span<std::byte> to) const override;
  std::uint64_t stored_bytes() const override;
  const std::vector<std::string>& notes() const override { return notes_; }

 private:
  // What converters do to a tensor, to be undone.
  enum class Change : std::uint8_t { kNone, kRotaryRows, kTransposed, kPlusOne };
  struct Source {
    const GgufTensor* tensor;
    Change change;
    std::int64_t rows, row, heads;  // row: elements of one; heads: of kRotaryRows
    std::size_t element;            // bytes of one, as read() gives it
  };
  struct Scratch {
    std::vector<std::byte> blocks;
    std::vector<float> values;
  };

  void add(const GgufTensor& tensor);
  void note_types();
  Source source_of(const GgufTensor& tensor) const;
  void read_part(const Source& source, std::int64_t first, std::span<std::byte> to) const;
  void read_stored(const Source& source, std::uint64_t offset, std::span<std::byte> to,
                   Scratch& scratch) const;

  std::shared_ptr<const Gguf> file_;
  GgufArchitecture architecture_;
  Map tensors_;
  std::map<std::string, Source, std::less<>> sources_;
  std::vector<std::string> notes_;
};

}  // namespace evictbench
