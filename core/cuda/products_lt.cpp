// Products by cuBLASLt. Its matrices stand in columns: our rows of w [outputs, depth] are its columns, so y = x wᵀ is
// its yᵀ = (wᵀ)ᵀ xᵀ with yᵀ [outputs, rows].
#include <cublasLt.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "core/cuda/device.h"
#include "core/cuda/product_library.h"
#include "core/cuda/recorder.h"
#include "core/device_errors.h"

namespace evictbench::cuda {
namespace {

constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;  // what NVIDIA advises for sm_90
constexpr int kCandidates = 16;
constexpr std::uint32_t kAlignmentOfX = 16, kAlignmentOfY = 128;  // of pieces of 64 rows, and of any row of x

// The library's functions. It is opened when a card first multiplies: a program that links it holds 200 MB more and takes
// seconds to start from a cold disk, with or without a card.
struct Lt {
  Lt() {
    const std::string name = fmt::format("libcublasLt.so.{}", CUBLAS_VER_MAJOR);
    void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) library = dlopen(EVICTBENCH_CUBLASLT, RTLD_NOW | RTLD_LOCAL);  // where the build found it
    if (!library)
      throw Error(Exit::kUsage,
                  fmt::format("{} is not on this machine; expected it beside the CUDA driver. Mend: "
                              "install cuBLAS of CUDA {}, or name its folder in LD_LIBRARY_PATH.",
                              name, CUBLAS_VER_MAJOR));
    const auto find = [&](const char* symbol, auto& function) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, symbol));
      if (!function) throw Error(Exit::kUsage, fmt::format("{} has no {}", name, symbol));
    };
    find("cublasLtCreate", create);
    find("cublasLtDestroy", destroy);
    find("cublasLtGetStatusString", status_string);
    find("cublasLtMatmul", matmul);
    find("cublasLtMatmulAlgoCheck", algo_check);
    find("cublasLtMatmulAlgoConfigGetAttribute", algo_attribute);
    find("cublasLtMatmulAlgoGetHeuristic", algo_heuristic);
    find("cublasLtMatmulDescInit_internal", describe);
    find("cublasLtMatmulDescSetAttribute", set_attribute);
    find("cublasLtMatmulPreferenceInit_internal", init_preference);
    find("cublasLtMatmulPreferenceSetAttribute", set_preference);
    find("cublasLtMatrixLayoutInit_internal", lay_out);
  }
  decltype(&cublasLtCreate) create;
  decltype(&cublasLtDestroy) destroy;
  decltype(&cublasLtGetStatusString) status_string;
  decltype(&cublasLtMatmul) matmul;
  decltype(&cublasLtMatmulAlgoCheck) algo_check;
  decltype(&cublasLtMatmulAlgoConfigGetAttribute) algo_attribute;
  decltype(&cublasLtMatmulAlgoGetHeuristic) algo_heuristic;
  decltype(&cublasLtMatmulDescInit_internal) describe;
  decltype(&cublasLtMatmulDescSetAttribute) set_attribute;
  decltype(&cublasLtMatmulPreferenceInit_internal) init_preference;
  decltype(&cublasLtMatmulPreferenceSetAttribute) set_preference;
  decltype(&cublasLtMatrixLayoutInit_internal) lay_out;
};

const Lt& lt() {
  static const Lt functions;
  return functions;
}

void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const std::string text = fmt::format("the CUDA card failed in {}: {}", what, lt().status_string(status));
  if (status == CUBLAS_STATUS_ALLOC_FAILED) throw OutOfMemory(text);
  if (status == CUBLAS_STATUS_EXECUTION_FAILED || status == CUBLAS_STATUS_INTERNAL_ERROR ||
      status == CUBLAS_STATUS_MAPPING_ERROR)
    throw DeviceLost(text);
  throw Error(Exit::kInternal, text);
}

cudaDataType_t type_of(DType dtype) {
  return dtype == DType::kF32 ? CUDA_R_32F : dtype == DType::kF16 ? CUDA_R_16F : CUDA_R_16BF;
}

// A product of some number of rows, in the library's words.
struct Problem {
  Problem(const ProductShape& shape, int rows) {
    const auto outputs = static_cast<std::uint64_t>(shape.outputs),
               depth = static_cast<std::uint64_t>(shape.depth), columns = static_cast<std::uint64_t>(rows);
    const cublasOperation_t transposed = CUBLAS_OP_T;
    check(lt().describe(&operation, sizeof operation, CUBLAS_COMPUTE_32F, CUDA_R_32F),
          "cublasLtMatmulDescInit");
    check(lt().set_attribute(&operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed),
          "cublasLtMatmulDescSetAttribute");
    const auto lay_out = [](cublasLtMatrixLayoutOpaque_t& layout, DType dtype, std::uint64_t height,
                            std::uint64_t width) {
      check(lt().lay_out(&layout, sizeof layout, type_of(dtype), height, width,
                         static_cast<std::int64_t>(height)),
            "cublasLtMatrixLayoutInit");
    };
    lay_out(w, shape.type, depth, outputs);
    lay_out(x, shape.type, depth, columns);
    lay_out(y, shape.out, outputs, columns);
  }
  cublasLtMatmulDescOpaque_t operation{};
  cublasLtMatrixLayoutOpaque_t w{}, x{}, y{};
};

// Nothing where the algorithm does not say.
template <class T>
std::optional<T> attribute_of(const cublasLtMatmulAlgo_t& algorithm,
                              cublasLtMatmulAlgoConfigAttributes_t attribute) {
  T value{};
  std::size_t written = 0;
  if (lt().algo_attribute(&algorithm, attribute, &value, sizeof value, &written) != CUBLAS_STATUS_SUCCESS)
    return std::nullopt;
  return value;
}

bool sums_in_one_go(const cublasLtMatmulAlgo_t& algorithm) {
  const auto parts = attribute_of<std::int32_t>(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM);
  const auto scheme = attribute_of<std::uint32_t>(algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME);
  return parts && *parts <= 1 && scheme && *scheme == CUBLASLT_REDUCTION_SCHEME_NONE;
}

template <class T>
void prefer(cublasLtMatmulPreferenceOpaque_t& preference, cublasLtMatmulPreferenceAttributes_t attribute,
            const T& value) {
  check(lt().set_preference(&preference, attribute, &value, sizeof value),
        "cublasLtMatmulPreferenceSetAttribute");
}

class CublasLt final : public ProductLibrary {
 public:
  explicit CublasLt(Runtime& runtime) : runtime_(runtime) {
    workspace_ = runtime_.allocate(kWorkspaceBytes);
    if (!workspace_)
      throw OutOfMemory(fmt::format("out of memory on {}: {} bytes asked for cuBLASLt's workspace",
                                    runtime_.card().name, kWorkspaceBytes));
    const cublasStatus_t status = lt().create(&handle_);
    if (status != CUBLAS_STATUS_SUCCESS) runtime_.release(workspace_);
    check(status, "cublasLtCreate");
  }
  ~CublasLt() override {
    lt().destroy(handle_);
    runtime_.release(workspace_);
  }
  const char* name() const override { return "cuBLASLt"; }

  // Sums in parts need memory for the parts: with no workspace there is no stream-K either, which no attribute names.
  std::optional<int> plan(const ProductShape& shape, int rows, bool workspace) override {
    const std::uint64_t most_workspace = workspace ? kWorkspaceBytes : 0;
    cublasLtMatmulPreferenceOpaque_t wanted{};
    check(lt().init_preference(&wanted, sizeof wanted), "cublasLtMatmulPreferenceInit");
    prefer(wanted, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, most_workspace);
    prefer(wanted, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, std::uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE});
    prefer(wanted, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, kAlignmentOfX);
    prefer(wanted, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, kAlignmentOfY);
    prefer(wanted, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, kAlignmentOfY);

    Problem problem(shape, rows);
    std::array<cublasLtMatmulHeuristicResult_t, kCandidates> found{};
    int count = 0;
    const cublasStatus_t status =
        lt().algo_heuristic(handle_, &problem.operation, &problem.w, &problem.x, &problem.y, &problem.y,
                            &wanted, kCandidates, found.data(), &count);
    if (status != CUBLAS_STATUS_SUCCESS) return {};  // it declines
    for (const auto& candidate : std::span(found).first(static_cast<std::size_t>(count))) {
      if (candidate.state != CUBLAS_STATUS_SUCCESS || candidate.workspaceSize > most_workspace ||
          !sums_in_one_go(candidate.algo))
        continue;
      plans_.push_back({shape, candidate.algo, most_workspace, {}});
      return static_cast<int>(plans_.size()) - 1;
    }
    return {};
  }

  bool multiply(int number, const void* x, const void* w, void* y, int rows) override {
    Plan& plan = plans_.at(static_cast<std::size_t>(number));
    Problem problem(plan.shape, rows);
    if (!takes(plan, problem, rows)) return false;
    Step step{.kind = Step::Kind::kLibrary};
    for (const auto told : {reinterpret_cast<std::uintptr_t>(x), reinterpret_cast<std::uintptr_t>(w),
                            reinterpret_cast<std::uintptr_t>(y), static_cast<std::uintptr_t>(number),
                            static_cast<std::uintptr_t>(rows)})
      step.add(&told, sizeof told, alignof(std::uintptr_t));
    step.run = [this, number, x, w, y, rows] {
      run(plans_.at(static_cast<std::size_t>(number)), x, w, y, rows);
    };
    runtime_.run(std::move(step));
    return true;
  }

 private:
  struct Plan {
    ProductShape shape;
    cublasLtMatmulAlgo_t algorithm;
    std::size_t most_workspace;
    std::map<int, bool> takes;  // so many rows: as far as asked
  };

  void run(const Plan& plan, const void* x, const void* w, void* y, int rows) {
    Problem problem(plan.shape, rows);
    const float one = 1, none = 0;
    check(lt().matmul(handle_, &problem.operation, &one, w, &problem.w, x, &problem.x, &none, y, &problem.y,
                      y, &problem.y, &plan.algorithm, workspace_, plan.most_workspace,
                      static_cast<cudaStream_t>(runtime_.raw_stream())),
          "cublasLtMatmul");
  }

  bool takes(Plan& plan, Problem& problem, int rows) {
    const auto [known, is_new] = plan.takes.try_emplace(rows, false);
    if (is_new) {
      cublasLtMatmulHeuristicResult_t result{};
      known->second = lt().algo_check(handle_, &problem.operation, &problem.w, &problem.x, &problem.y,
                                      &problem.y, &plan.algorithm, &result) == CUBLAS_STATUS_SUCCESS &&
                      result.workspaceSize <= plan.most_workspace;
    }
    return known->second;
  }

  Runtime& runtime_;
  void* workspace_ = nullptr;
  cublasLtHandle_t handle_ = nullptr;
  std::vector<Plan> plans_;
};

}  // namespace

std::unique_ptr<ProductLibrary> open_product_library(CudaDevice& device) {
  return std::make_unique<CublasLt>(device.runtime());
}

}  // namespace evictbench::cuda
