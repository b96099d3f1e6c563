#define EVICTBENCH_PATH avx2
#define EVICTBENCH_PATH_TABLE kAvx2Kernels
#include "core/cpu/kernels_impl.h"
