#define EVICTBENCH_PATH avx512
#define EVICTBENCH_PATH_TABLE kAvx512Kernels
#include "core/cpu/kernels_impl.h"
