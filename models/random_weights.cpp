#include "models/random_weights.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>

#include "core/error.h"
#include "core/io/json.h"
#include "models/config_reader.h"
#include "models/decoder.h"
#include "models/family.h"
#include "models/reference.h"
#include "models/weights_check.h"

namespace evictbench {
namespace {

// The names of a family's weights may depend on a checkpoint's files; here there are none.
class NoFiles final : public TensorFiles {
 public:
  const std::string& path() const override { return path_; }
  const Map& tensors() const override { return none_; }
  void read(std::string_view, std::span<std::byte>) const override {
    require(false, "random weights: there is no file");
  }
  const std::vector<std::string>& notes() const override { return notes_; }

 private:
  std::string path_;
  Map none_;
  std::vector<std::string> notes_;
};

// Round to nearest even. Of what is far from the greatest f16.
std::uint16_t f32_to_f16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
  constexpr std::uint32_t kBias = (127u - 15u) << 23;
  if (rest > kBias + (1u << 23))
    return static_cast<std::uint16_t>(sign | (rest - kBias + 0xfffu + (rest >> 13 & 1u)) >> 13);
  const float units = std::abs(x) + 0.5f;  // a unit in the last place of 0.5 is the least subnormal, 2^-24
  return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(units) & 0x7fffffu));
}

void put(DType dtype, float x, std::byte* to) {
  if (dtype == DType::kF32) {
    std::memcpy(to, &x, sizeof x);
    return;
  }
  const std::uint16_t half = dtype == DType::kBF16 ? f32_to_bf16(x) : f32_to_f16(x);
  std::memcpy(to, &half, sizeof half);
}

// splitmix64: draw number `counter` of the stream `key`.
std::uint64_t draw(std::uint64_t key, std::uint64_t counter) {
  std::uint64_t x = key + (counter + 1) * 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// The sum of four uniform bytes: its mean, and its standard deviation sqrt(4 (256^2 - 1) / 12).
constexpr int kMean = 510;
constexpr double kDeviation = 147.80054127099805;

struct Matrix {
  std::uint64_t key = 0;
  int columns = 0;
  float scale = 0;  // of a sum of bytes
};

// A draw gives two neighbours. `to`: the rows from `first` on.
template <DType dtype>
void draw_rows(const Matrix& matrix, int first, std::span<std::byte> to) {
  constexpr std::size_t kSize = size_of(dtype);
  constexpr std::uint64_t kEverySecond = 0x00ff00ff00ff00ffu, kSum = 0x7ff;
  const std::uint64_t draws = static_cast<std::uint64_t>(matrix.columns + 1) / 2;  // of a row
  const auto value = [&](std::uint64_t sum) {
    return static_cast<float>(static_cast<int>(sum) - kMean) * matrix.scale;
  };
  std::byte* out = to.data();
  for (auto row = static_cast<std::uint64_t>(first); out != to.data() + to.size(); ++row)
    for (int column = 0; column < matrix.columns; column += 2) {
      const std::uint64_t bytes = draw(matrix.key, row * draws + static_cast<std::uint64_t>(column) / 2);
      const std::uint64_t pairs = (bytes & kEverySecond) + (bytes >> 8 & kEverySecond),
                          fours = pairs + (pairs >> 16);
      put(dtype, value(fours & kSum), out);
      out += kSize;
      if (column + 1 == matrix.columns) continue;
      put(dtype, value(fours >> 32 & kSum), out);
      out += kSize;
    }
}

void draw_rows(DType dtype, const Matrix& matrix, int first, std::span<std::byte> to) {
  if (dtype == DType::kF32) return draw_rows<DType::kF32>(matrix, first, to);
  if (dtype == DType::kF16) return draw_rows<DType::kF16>(matrix, first, to);
  return draw_rows<DType::kBF16>(matrix, first, to);
}

class Drawn final : public WeightSource {
 public:
  Drawn(const DecoderConfig& config, const WeightNames& names, DType dtype, std::uint64_t seed)
      : dtype_(dtype), seed_(seed) {
    for (const WeightShape& shape : weight_shapes(names, config)) {
      Form form;
      for (const std::int64_t dim : shape.dims) form.dims.push_back(static_cast<int>(dim));
      if (form.dims.size() == 2)
        form.inputs = form.dims[names.transposed && shape.is_per_layer ? 0 : 1];
      else if (!shape.name.ends_with(".bias") && !config.norm_adds_one)
        form.constant = 1;
      for (int layer = 0; layer < (shape.is_per_layer ? config.layers : 1); ++layer)
        forms_[shape.is_per_layer ? layer_name(shape.name, layer) : shape.name] = form;
    }
  }

  Weight load(const std::string& name) const override {
    const Form& form = form_of(name);
    std::size_t count = 1;
    for (const int dim : form.dims) count *= static_cast<std::size_t>(dim);
    Weight weight{dtype_, form.dims, std::vector<std::byte>(count * size_of(dtype_))};
    if (form.dims.size() == 2)
      draw_rows(dtype_, matrix_of(name, form), 0, weight.bytes);
    else
      for (std::size_t i = 0; i < count; ++i)
        put(dtype_, form.constant, weight.bytes.data() + i * size_of(dtype_));
    return weight;
  }

  WeightRowReader rows(const std::string& name) const override {
    const Form& form = form_of(name);
    return {dtype_, form.dims.at(0), form.dims.at(1),
            [dtype = dtype_, matrix = matrix_of(name, form)](int first, std::span<std::byte> to) {
              draw_rows(dtype, matrix, first, to);
            }};
  }

 private:
  struct Form {
    std::vector<int> dims;
    int inputs = 0;      // of a matrix
    float constant = 0;  // of a vector
  };

  const Form& form_of(const std::string& name) const {
    const auto found = forms_.find(name);
    require(found != forms_.end(), "random weights: a name that the family does not have");
    return found->second;
  }
  Matrix matrix_of(const std::string& name, const Form& form) const {
    return {XXH3_64bits_withSeed(name.data(), name.size(), seed_), form.dims[1],
            static_cast<float>(1 / (std::sqrt(static_cast<double>(form.inputs)) * kDeviation))};
  }

  DType dtype_;
  std::uint64_t seed_;
  std::map<std::string, Form, std::less<>> forms_;
};

DType dtype_named(const std::string& name) {
  return name == "float32" ? DType::kF32 : name == "float16" ? DType::kF16 : DType::kBF16;
}

// Sums over all weights, of a function of a shape and the number of its elements. Configs ask for any size: what is beyond
// 2^62 is said to be that.
template <class Of>
std::uint64_t sum_over(const WeightNames& names, const DecoderConfig& config, const Of& of) {
  double sum = 0;  // exact below 2^53
  for (const WeightShape& shape : weight_shapes(names, config)) {
    double count = shape.is_per_layer ? config.layers : 1;
    for (const std::int64_t dim : shape.dims) count *= static_cast<double>(dim);
    sum += of(shape, count);
  }
  return static_cast<std::uint64_t>(std::min(sum, 0x1p62));
}

}  // namespace

RandomModel::RandomModel(const std::string& config_file, std::uint64_t seed)
    : path_(config_file), seed_(seed) {
  const Json json = Json::from_file(config_file, config_rules());
  const Family& family = family_of(json);
  config_ = family.config(json);
  names_ = family.names(config_, NoFiles());
  dtype_ = dtype_named(config_.dtype);
  if (std::int64_t{config_.layers} * config_.q_heads > INT32_MAX)
    reject(Exit::kInput,
           {"E-CF-22", path_, "", fmt::format("{} layers of {} heads", config_.layers, config_.q_heads),
            "at most 2^31 - 1 heads in all", "correct one of the two"});
}

std::uint64_t RandomModel::parameters() const {
  return sum_over(names_, config_, [](const WeightShape&, double count) { return count; });
}

std::uint64_t RandomModel::packed_bytes(DType packed) const {
  const bool narrow = dtype_ != DType::kF32 || packed != DType::kF32;
  return sum_over(names_, config_, [narrow](const WeightShape& shape, double count) {
    return count * (narrow && shape.dims.size() == 2 ? 2 : 4);
  });
}

std::unique_ptr<const WeightSource> RandomModel::weights() const {
  return std::make_unique<Drawn>(config_, names_, dtype_, seed_);
}

std::unique_ptr<const Model> RandomModel::load(Device& device) const {
  return std::make_unique<Decoder>(device, config_, names_, Drawn(config_, names_, dtype_, seed_));
}

std::unique_ptr<const Model> RandomModel::load_reference() const {
  return std::make_unique<ReferenceDecoder>(config_, names_, Drawn(config_, names_, dtype_, seed_));
}

}  // namespace evictbench
