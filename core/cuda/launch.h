#pragma once

#include <array>
#include <tuple>
#include <utility>

#include "core/cuda/device.h"
#include "core/cuda/language.h"

namespace evictbench::cuda {

struct Launch {
  dim3 grid, block;
  std::size_t shared_bytes = 0;  // dynamic
};

// Runs a kernel on the device's stream. Arguments are converted to what the kernel takes.
template <class... Parameters, class... Arguments>
void launch(Device& device, void (*kernel)(Parameters...), const Launch& how, const Arguments&... arguments) {
  std::tuple<Parameters...> values(static_cast<Parameters>(arguments)...);
#if defined(__CUDACC__)
  auto pointers =
      std::apply([](auto&... value) { return std::array<void*, sizeof...(value)>{&value...}; }, values);
  cuda_of(device).runtime().launch(
      reinterpret_cast<const void*>(kernel), {how.grid.x, how.grid.y, how.grid.z},
      {how.block.x, how.block.y, how.block.z}, how.shared_bytes, pointers.data());
#else
  cuda_of(device).runtime().launch(nullptr, {}, {}, 0, nullptr);  // counts, and may be told to fail
  emulator::run(how.grid, how.block, how.shared_bytes, [&] { std::apply(kernel, values); });
#endif
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
