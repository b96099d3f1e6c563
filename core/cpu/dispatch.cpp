#include "core/cpu/kernels.h"

#include <string>

#include "core/error.h"

namespace evictbench::cpu {

std::vector<const Kernels*> available_kernels() {
  std::vector<const Kernels*> paths{&kPortableKernels};
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx2) paths.push_back(&kAvx2Kernels);
  if (avx2 && avx512) paths.push_back(&kAvx512Kernels);
  if (avx2 && avx512 && __builtin_cpu_supports("avx512bf16")) paths.push_back(&kAvx512Bf16Kernels);
  return paths;
}

const Kernels& kernels_named(std::string_view name) {
  const auto paths = available_kernels();
  if (name.empty()) return *paths.back();
  for (const Kernels* path : paths)
    if (path->name == name) return *path;
  throw Error(Exit::kUsage, "this machine has no instruction path '" + std::string(name) + "'");
}

}  // namespace evictbench::cpu
