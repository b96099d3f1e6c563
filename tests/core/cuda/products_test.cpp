#include "core/cuda/products.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "tests/support/cuda.h"

namespace evictbench {
namespace {

using cuda::Products, cuda::ProductShape;

// By what the device chooses, or by our own product: the same thing where there is no library.
enum class By { kDevice, kOwn };

class CudaProducts : public CudaTest, public ::testing::WithParamInterface<std::tuple<DType, By>> {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (IsSkipped()) return;
    device = std::make_unique<CudaDevice>(dtype);
    device->enter(Phase::kDecode);
  }
  const DType dtype = std::get<DType>(GetParam());
  const By by = std::get<By>(GetParam());
  std::unique_ptr<CudaDevice> device;
};

std::uint16_t rounded(float x, DType dtype) { return dtype == DType::kF16 ? f32_to_f16(x) : f32_to_bf16(x); }

std::vector<std::uint16_t> random_halves(std::size_t count, DType dtype, unsigned seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  std::vector<std::uint16_t> halves(count);
  std::ranges::generate(halves, [&] { return rounded(normal(rng), dtype); });
  return halves;
}

float wide(std::uint16_t x, DType dtype) { return dtype == DType::kF16 ? f16_to_f32(x) : bf16_to_f32(x); }

std::size_t n(int x) { return static_cast<std::size_t>(x); }

// x [rows, depth] and w [outputs, depth], on the host and on the device.
struct Case {
  Case(CudaDevice& device_, int rows_, int outputs_, int depth_, By by_ = By::kDevice)
      : device(device_),
        by(by_),
        dtype(device_.working()),
        rows(rows_),
        outputs(outputs_),
        depth(depth_),
        x(random_halves(n(rows) * n(depth), dtype, 1)),
        w(random_halves(n(outputs) * n(depth), dtype, 2)) {
    const int padded = (depth + 7) / 8 * 8;
    std::vector<std::uint16_t> panels(n(outputs) * n(padded));
    for (int o = 0; o < outputs; ++o) std::copy_n(w.begin() + o * depth, depth, panels.begin() + o * padded);
    matrix = {outputs, depth, dtype, false,
              Tensor::from_host<std::uint16_t>(device, panels, {outputs, padded}, dtype)};
  }
  // Of rows `which`, as the device's bytes.
  std::vector<float> multiply(const std::vector<int>& which, DType out) const {
    std::vector<std::uint16_t> chosen;
    for (const int row : which)
      chosen.insert(chosen.end(), x.begin() + row * depth, x.begin() + (row + 1) * depth);
    const auto input =
        Tensor::from_host<std::uint16_t>(device, chosen, {static_cast<int>(which.size()), depth}, dtype);
    Tensor y(device, out, {static_cast<int>(which.size()), outputs});
    if (by == By::kDevice || which.empty()) {
      cuda::multiply_half(device, input, matrix, y);
    } else {
      const int padded = matrix.panels.columns();
      cuda::multiply_own(device, {outputs, padded, dtype, out},
                         cuda::padded_rows(device, input, depth, padded).at(0), matrix.panels.at(0), y.at(0),
                         static_cast<int>(which.size()));
    }
    return y.to_floats();
  }
  std::vector<float> multiply(int first, int count, DType out) const {
    std::vector<int> which(n(count));
    std::iota(which.begin(), which.end(), first);
    return multiply(which, out);
  }

  CudaDevice& device;
  By by;
  DType dtype;
  int rows, outputs, depth;
  std::vector<std::uint16_t> x, w;
  PackedMatrix matrix;
};

// A sum of `depth` exact products in f32, in any order, rounded or cut at each addition: an error of at most a unit in
// the last place (2^-23) of the sum of magnitudes for each; then rounded to the type of y.
void expect_near(const Case& c, const std::vector<float>& y, DType out) {
  const double last = out == DType::kF32 ? 0 : out == DType::kF16 ? 0x1p-11 : 0x1p-8;
  ASSERT_EQ(y.size(), n(c.rows) * n(c.outputs));
  for (int r = 0; r < c.rows; ++r)
    for (int o = 0; o < c.outputs; ++o) {
      double sum = 0, magnitudes = 0;
      for (int k = 0; k < c.depth; ++k) {
        const double product =
            double{wide(c.x[n(r * c.depth + k)], c.dtype)} * double{wide(c.w[n(o * c.depth + k)], c.dtype)};
        sum += product;
        magnitudes += std::abs(product);
      }
      const double slack = magnitudes * c.depth * 0x1p-23;
      ASSERT_NEAR(y[n(r * c.outputs + o)], sum, slack + (std::abs(sum) + slack) * last)
          << "row " << r << " output " << o;
    }
}

TEST_P(CudaProducts, AreNearFloat64InEveryTileAndTail) {
  struct Sizes {
    int rows, outputs, depth;
  };
  in_every_order([&] {
    for (const auto& [rows, outputs, depth] :
         {Sizes{1, 1, 1}, Sizes{1, 3, 7}, Sizes{5, 32, 16}, Sizes{32, 33, 129}, Sizes{17, 47, 264},
          Sizes{9, 257, 40},                          // wide tiles
          Sizes{33, 70, 65}, Sizes{65, 64, 200},      // square ones
          Sizes{130, 257, 33}, Sizes{257, 129, 72}})  // large ones
      for (const DType out : {dtype, DType::kF32}) {
        SCOPED_TRACE(::testing::Message() << rows << " x " << outputs << " x " << depth << name_of(out));
        const Case c(*device, rows, outputs, depth, by);
        expect_near(c, c.multiply(0, rows, out), out);
      }
  });
}

// Rows are read in steps that reach beyond them: what stands there is not theirs.
TEST_P(CudaProducts, AnInfiniteRowLeavesItsNeighboursAlone) {
  for (const int depth : {7, 8, 40}) {
    Case c(*device, 3, 5, depth, by);
    std::fill_n(c.x.begin() + depth, depth, rounded(std::numeric_limits<float>::infinity(), c.dtype));
    const std::vector<float> y = c.multiply(0, 3, DType::kF32);
    for (int o = 0; o < c.outputs; ++o) {
      EXPECT_TRUE(std::isfinite(y[n(o)])) << depth;
      EXPECT_FALSE(std::isfinite(y[n(c.outputs + o)])) << depth;
      EXPECT_TRUE(std::isfinite(y[n(2 * c.outputs + o)])) << depth;
    }
  }
}

TEST_P(CudaProducts, NothingToMultiplyIsNothing) {
  const Case c(*device, 1, 3, 8);
  EXPECT_TRUE(c.multiply(0, 0, DType::kF32).empty());
}

TEST_P(CudaProducts, RefuseOtherTypesAndSizes) {
  const Case c(*device, 2, 3, 8);
  const Tensor floats = Tensor::zeros(*device, DType::kF32, {2, 8});
  const Tensor halves = Tensor::zeros(*device, dtype, {2, 8});
  Tensor y(*device, DType::kF32, {2, 3}), short_y(*device, DType::kF32, {1, 3});
  EXPECT_THROW(cuda::multiply_half(*device, floats, c.matrix, y), Error);
  EXPECT_THROW(cuda::multiply_half(*device, halves, c.matrix, short_y), Error);
}

// One row alone, among any number of others, in any place: the same bits. The numbers meet every kind of tile.
TEST_P(CudaProducts, ARowKeepsItsBitsInEveryBatch) {
  const Case c(*device, 300, 130, 200, by);
#ifdef EVICTBENCH_EMULATED
  const std::vector<int> counts{1, 2, 16, 17, 31, 32, 33, 64, 65, 128, 129, 256, 300};
#else
  std::vector<int> counts(300);
  std::iota(counts.begin(), counts.end(), 1);
#endif
  const std::vector<float> all = c.multiply(0, c.rows, DType::kF32);
  for (const int count : counts) {
    const int first = c.rows - count;
    const std::vector<float> some = c.multiply(first, count, DType::kF32);
    EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin() + first * c.outputs)) << count << " rows";
  }
  std::vector<int> order(n(c.rows));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::shuffle(order, std::mt19937(3));
  const std::vector<float> reordered = c.multiply(order, DType::kF32);
  for (int i = 0; i < c.rows; ++i)
    EXPECT_TRUE(std::equal(reordered.begin() + i * c.outputs, reordered.begin() + (i + 1) * c.outputs,
                           all.begin() + order[n(i)] * c.outputs))
        << "row " << order[n(i)] << " in place " << i;
}

// --- the canary: a library of which we say how it behaves -------------------------------------------------------------

// Multiplies as our own product does, and then changes one number where it is told to lie.
class FakeLibrary : public cuda::ProductLibrary {
 public:
  struct Behaviour {
    int lies_at_rows = 0;    // to that many rows, in the last of them
    int lies_at_place = -1;  // to the row in that place
    int refuses_rows = 0;    // that many
    bool plans = true;
  };
  struct Seen {
    std::vector<bool> plans;  // with a workspace?
    std::vector<int> rows;
  };
  FakeLibrary(CudaDevice& device, const Behaviour& how, Seen& seen)
      : device_(device), how_(how), seen_(seen) {}
  const char* name() const override { return "the library"; }
  std::optional<int> plan(const ProductShape& shape, int, bool workspace) override {
    seen_.plans.push_back(workspace);
    shape_ = shape;
    if (!how_.plans) return {};
    return static_cast<int>(seen_.plans.size()) - 1;
  }
  bool multiply(int plan, const void* x, const void* w, void* y, int rows) override {
    if (rows == how_.refuses_rows) return false;
    seen_.rows.push_back(rows);
    cuda::multiply_own(device_, shape_, x, w, y, rows);
    const bool prefill = seen_.plans.at(n(plan));
    if (rows == how_.lies_at_rows || prefill) lie(y, rows - 1);
    if (how_.lies_at_place >= 0 && rows > how_.lies_at_place) lie(y, how_.lies_at_place);
    return true;
  }

 private:
  void lie(void* y, int row) {
    const float wrong = -1234;
    device_.upload(static_cast<float*>(y) + (row + 1) * shape_.outputs - 1, &wrong, sizeof wrong);
  }
  CudaDevice& device_;
  Behaviour how_;
  Seen& seen_;
  ProductShape shape_;
};

class CudaCanary : public CudaTest {
 protected:
  static constexpr int kRows = 330, kOutputs = 9, kDepth = 16;
  void SetUp() override {
    CudaTest::SetUp();
    if (IsSkipped()) return;
    device = std::make_unique<CudaDevice>(DType::kBF16);
    c = std::make_unique<Case>(*device, kRows, kOutputs, kDepth);
    x = Tensor::from_host<std::uint16_t>(*device, c->x, {kRows, kDepth});
  }
  Products products_of(const FakeLibrary::Behaviour& how) {
    seen = {};
    return {*device, std::make_unique<FakeLibrary>(*device, how, seen)};
  }
  std::vector<float> multiply(Products& products, Phase phase, int rows) {
    Tensor y(*device, DType::kF32, {rows, kOutputs});
    products.multiply(phase, kShape, x.at(0), c->matrix.panels.at(0), y.at(0), rows);
    return y.to_floats();
  }
  std::vector<float> own(int rows) {
    Products products(*device, nullptr);
    return multiply(products, Phase::kDecode, rows);
  }
  static constexpr ProductShape kShape{kOutputs, kDepth, DType::kBF16, DType::kF32};
  std::unique_ptr<CudaDevice> device;
  std::unique_ptr<Case> c;
  Tensor x;
  FakeLibrary::Seen seen;
};

TEST_F(CudaCanary, TriesEveryNumberOfRowsOnceAndThenTrustsTheLibrary) {
  Products products = products_of({});
  EXPECT_EQ(multiply(products, Phase::kDecode, kRows), own(kRows));
  EXPECT_TRUE(products.notes().empty());
  EXPECT_EQ(seen.plans, (std::vector<bool>{true, false}));
  std::vector<int> expected{64, 64, 64, 64};  // what all others are compared with
  for (int rows = 1; rows <= 256; ++rows) expected.push_back(rows);
  expected.insert(expected.end(), {256, 74});  // 330 rows
  EXPECT_EQ(seen.rows, expected);
  seen.rows.clear();
  EXPECT_EQ(multiply(products, Phase::kDecode, 30), own(30));
  EXPECT_EQ(seen.rows, std::vector<int>{30});
  EXPECT_EQ(seen.plans.size(), 2u);
}

TEST_F(CudaCanary, RefusesALibraryThatGivesOtherBitsToOtherNumbersOfRows) {
  for (const int rows : {1, 17, 63, 200, 256}) {
    Products products = products_of({.lies_at_rows = rows});
    EXPECT_EQ(multiply(products, Phase::kDecode, 64), own(64));
    ASSERT_EQ(products.notes().size(), 1u);
    EXPECT_EQ(products.notes()[0], "products of 9 outputs of 16 bf16 words, in decoding: the library gives " +
                                       std::to_string(rows) +
                                       " rows other bits than 64; our own product is used");
    seen.rows.clear();
    multiply(products, Phase::kDecode, 3);
    EXPECT_TRUE(seen.rows.empty());
  }
}

TEST_F(CudaCanary, RefusesALibraryThatGivesOtherBitsInOtherPlaces) {
  for (const int place : {0, 5, 62, 100}) {
    Products products = products_of({.lies_at_place = place});
    EXPECT_EQ(multiply(products, Phase::kDecode, 64), own(64));
    EXPECT_EQ(products.notes().size(), 1u) << place;
  }
}

TEST_F(CudaCanary, RefusesALibraryThatDoesNotMultiplyEveryNumberOfRows) {
  for (const int rows : {1, 30, 64, 256}) {
    Products products = products_of({.refuses_rows = rows});
    EXPECT_EQ(multiply(products, Phase::kDecode, 2), own(2));
    ASSERT_EQ(products.notes().size(), 1u) << rows;
    EXPECT_THAT(products.notes()[0],
                ::testing::HasSubstr("does not multiply " + std::to_string(rows) + " rows"));
  }
}

TEST_F(CudaCanary, SaysWhereTheLibraryHasNoAlgorithm) {
  Products products = products_of({.plans = false});
  EXPECT_EQ(multiply(products, Phase::kPrefill, 70), own(70));
  EXPECT_EQ(multiply(products, Phase::kDecode, 70), own(70));
  EXPECT_EQ(products.notes().size(), 2u);
  EXPECT_TRUE(seen.rows.empty());
}

TEST_F(CudaCanary, APrefillHasAnAlgorithmOfItsOwnForAnyNumberOfRows) {
  Products products = products_of({.refuses_rows = 299});
  for (const int rows : {1, 65, 300}) {
    seen.rows.clear();
    EXPECT_EQ(multiply(products, Phase::kPrefill, rows).back(), -1234) << "made by the other plan";
    EXPECT_EQ(seen.rows.back(), rows);
  }
  EXPECT_EQ(multiply(products, Phase::kPrefill, 299), own(299));  // refused: our own
}

TEST_F(CudaCanary, TakesNoMemoryThatTheDeviceCounts) {
  Products products = products_of({});
  device->reset_peak();
  const std::size_t before = device->peak_bytes();
  multiply(products, Phase::kDecode, 4);
  EXPECT_EQ(device->peak_bytes(), before + 4 * kOutputs * sizeof(float));
  EXPECT_EQ(device->notes(), std::vector<std::string>());
}

#ifdef EVICTBENCH_EMULATED
const auto kBy = ::testing::Values(By::kDevice);  // which has no library
#else
const auto kBy = ::testing::Values(By::kDevice, By::kOwn);
#endif
INSTANTIATE_TEST_SUITE_P(Halves, CudaProducts,
                         ::testing::Combine(::testing::Values(DType::kBF16, DType::kF16), kBy),
                         [](const auto& the) {
                           return std::string(name_of(std::get<DType>(the.param))) +
                                  (std::get<By>(the.param) == By::kOwn ? "_own" : "_device");
                         });

}  // namespace
}  // namespace evictbench
