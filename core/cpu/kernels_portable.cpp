#define EVICTBENCH_PATH portable
#define EVICTBENCH_PATH_TABLE kPortableKernels
#include "core/cpu/kernels_impl.h"
