#define EVICTBENCH_PATH avx512bf16
#define EVICTBENCH_PATH_TABLE kAvx512Bf16Kernels
#include "core/cpu/kernels_impl.h"
