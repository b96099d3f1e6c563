#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

#include "core/cuda/device.h"
#include "core/cuda/language.h"
#include "core/cuda/recorder.h"

namespace evictbench::cuda {

struct Launch {
  dim3 grid, block;
  std::size_t shared_bytes = 0;  // dynamic
};

// Runs a kernel on the device's stream; of a grid without blocks nothing, which CUDA would refuse. Arguments are converted to what the kernel takes: plain data, which is copied.
template <class... Parameters, class... Arguments>
void launch(Device& device, void (*kernel)(Parameters...), const Launch& how, const Arguments&... arguments) {
  static_assert((std::is_trivially_copyable_v<Parameters> && ...));
  if (how.grid.x == 0 || how.grid.y == 0 || how.grid.z == 0) return;
  const std::tuple<Parameters...> values(static_cast<Parameters>(arguments)...);
  Step step;
  step.kernel = reinterpret_cast<const void*>(kernel);
  step.grid = {how.grid.x, how.grid.y, how.grid.z};
  step.block = {how.block.x, how.block.y, how.block.z};
  step.shared_bytes = how.shared_bytes;
  std::apply([&](const auto&... value) { (step.add(&value, sizeof value, alignof(decltype(value))), ...); },
             values);
#if !defined(__CUDACC__)
  step.run = [=] {
    emulator::run(how.grid, how.block, how.shared_bytes, [&] { std::apply(kernel, values); });
  };
#endif
  cuda_of(device).runtime().run(std::move(step));
}

// Calls f with a number of the type that `dtype` stands for: float, Bf16 or F16.
template <class F>
decltype(auto) with_type(DType dtype, const F& f) {
  if (dtype == DType::kBF16) return f(Bf16{});
  if (dtype == DType::kF16) return f(F16{});
  require(dtype == DType::kF32, "cuda: not a type of activations");
  return f(0.0f);
}

constexpr int ceil_div(std::ptrdiff_t a, std::ptrdiff_t b) { return static_cast<int>((a + b - 1) / b); }

}  // namespace evictbench::cuda
