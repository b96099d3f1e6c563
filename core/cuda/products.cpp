#include "core/cuda/products.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <random>

#include "core/cuda/device.h"
#include "core/device_errors.h"

namespace evictbench::cuda {
namespace {

// Memory for trials: no part of what a model takes, so not counted by the device.
class Scratch {
 public:
  Scratch(Device& device, std::size_t bytes) : runtime_(cuda_of(device).runtime()) {
    data_ = runtime_.allocate(bytes);
    if (!data_)
      throw OutOfMemory(fmt::format("out of memory on {}: {} bytes asked for to try products, {} free of {}",
                                    runtime_.card().name, bytes, runtime_.free_bytes(),
                                    runtime_.card().bytes));
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { runtime_.release(data_); }
  void* at(std::size_t byte) const { return static_cast<char*>(data_) + byte; }

 private:
  Runtime& runtime_;
  void* data_ = nullptr;
};

std::size_t row_bytes(int columns, DType dtype) { return static_cast<std::size_t>(columns) * size_of(dtype); }

// Uniform in (-1, 1).
std::vector<std::uint16_t> random_words(std::size_t count, DType dtype) {
  std::mt19937 rng(1);  // NOLINT: the same on every run
  std::vector<std::uint16_t> words(count);
  std::ranges::generate(words, [&] {
    const float x = static_cast<float>(static_cast<std::int32_t>(rng())) * 0x1p-31f;
    return dtype == DType::kF16 ? f32_to_f16(x) : f32_to_bf16(x);
  });
  return words;
}

}  // namespace

void Products::multiply(Phase phase, const ProductShape& shape, const void* x, const void* w, void* y,
                        int rows) {
  const Plans& plans = plans_of(shape, w);
  const auto x_at = [&](int row) {
    return static_cast<const char*>(x) + static_cast<std::size_t>(row) * row_bytes(shape.depth, shape.type);
  };
  const auto y_at = [&](int row) {
    return static_cast<char*>(y) + static_cast<std::size_t>(row) * row_bytes(shape.outputs, shape.out);
  };
  const bool prefill = phase == Phase::kPrefill;
  const Plan plan = prefill ? plans.prefill : plans.others;
  if (!plan || (prefill && !library_->multiply(*plan, x, w, y, rows)))
    multiply_own(device_, shape, x, w, y, rows);
  if (!plan || prefill) return;
  for (int row = 0; row < rows;) {
    const int piece = std::min(rows - row, kMost);
    require(library_->multiply(*plan, x_at(row), w, y_at(row), piece),
            "cuda: the library refuses a product that it has made before");
    row += piece;
  }
}

const Products::Plans& Products::plans_of(const ProductShape& shape, const void* w) {
  if (const auto found = plans_.find(shape); found != plans_.end()) return found->second;
  Plans plans;
  if (library_) {  // a lack of memory leaves the question open
    plans = {library_->plan(shape, device_.prefill_rows(), true), keeping_bits(shape, w)};
    if (!plans.prefill) note(shape, "a prefill", "has no algorithm that sums up an output in one go");
  }
  return plans_.emplace(shape, plans).first->second;
}

// The library's plan for all that is no prefill, if it gives a row the same bits in every batch.
Products::Plan Products::keeping_bits(const ProductShape& shape, const void* w) {
  const Plan plan = library_->plan(shape, kPiece, false);
  const std::string why =
      plan ? broken_promise(*plan, shape, w) : "has no algorithm that sums up an output in one go";
  if (why.empty()) return plan;
  note(shape, "decoding", why);
  return {};
}

// The canary: 256 random rows in pieces of 64; then the last 1 .. 256 of them, which so stand in every place of every
// number.
std::string Products::broken_promise(int plan, const ProductShape& shape, const void* w) {
  constexpr std::size_t kCounts = kMost + 1;
  const std::size_t x_row = row_bytes(shape.depth, shape.type), y_row = row_bytes(shape.outputs, shape.out);
  const Scratch rows(device_, kMost * x_row), pieces(device_, kMost * y_row), trial(device_, kMost * y_row),
      counters(device_, kCounts * sizeof(std::int32_t));
  const auto words = random_words(kMost * static_cast<std::size_t>(shape.depth), shape.type);
  device_.upload(rows.at(0), words.data(), words.size() * 2);
  device_.zero(counters.at(0), kCounts * sizeof(std::int32_t));

  for (std::size_t row = 0; row < kMost; row += kPiece)
    if (!library_->multiply(plan, rows.at(row * x_row), w, pieces.at(row * y_row), kPiece))
      return fmt::format("does not multiply {} rows", kPiece);
  const auto differs = [&](std::size_t first, std::size_t count, std::size_t counter) {
    if (!library_->multiply(plan, rows.at(first * x_row), w, trial.at(0), static_cast<int>(count)))
      return true;
    add_differences(device_, trial.at(0), pieces.at(first * y_row), count * y_row,
                    static_cast<std::int32_t*>(counters.at(counter * sizeof(std::int32_t))));
    return false;
  };
  for (std::size_t count = 1; count <= kMost; ++count)
    if (differs(kMost - count, count, count)) return fmt::format("does not multiply {} rows", count);

  std::array<std::int32_t, kCounts> counts{};
  device_.download(counts.data(), counters.at(0), sizeof counts);
  const auto bad = std::ranges::find_if(counts, [](std::int32_t count) { return count != 0; });
  if (bad == counts.end()) return "";
  const auto number = bad - counts.begin();
  return fmt::format("gives {} rows other bits than {}", number, kPiece);
}

void Products::note(const ProductShape& shape, const char* use, const std::string& why) {
  notes_.push_back(fmt::format("products of {} outputs of {} {} words, in {}: {} {}; our own product is used",
                               shape.outputs, shape.depth, name_of(shape.type), use, library_->name(), why));
}

void multiply_half(Device& device, const Tensor& x, const PackedMatrix& w, Tensor& y) {
  const auto rows = x.size() / static_cast<std::size_t>(w.depth);
  const DType type = w.panels.dtype();
  require((type == DType::kBF16 || type == DType::kF16) && x.dtype() == type &&
              (y.dtype() == type || y.dtype() == DType::kF32),
          "cuda: a product of these types");
  require(x.size() == rows * static_cast<std::size_t>(w.depth) &&
              y.size() == rows * static_cast<std::size_t>(w.outputs),
          "cuda: a product of other sizes");
  if (y.empty()) return;
  const ProductShape shape{w.outputs, w.panels.columns(), type, y.dtype()};
  CudaDevice& cuda = cuda_of(device);
  const auto multiply = [&](const Tensor& aligned) {
    cuda.products().multiply(cuda.phase(), shape, aligned.at(0), w.panels.at(0), y.at(0),
                             static_cast<int>(rows));
  };
  shape.depth == w.depth ? multiply(x) : multiply(padded_rows(device, x, w.depth, shape.depth));
}

}  // namespace evictbench::cuda
