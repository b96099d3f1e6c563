// SnapKV: keep the tokens that the last `window` queries look at.
// Li et al. 2024, arXiv:2404.14469.
//
//   score     attention from the window, mean of the group, pooled (`pool`) over `kernel` tokens
//   share     the same for every lane
//   keep      the window, then the best scores

#include "policies/snapkv.h"

#include "policies/registry.h"

namespace evictbench {
namespace {

[[maybe_unused]] const int entry =
    registered<SnapKv>("snapkv", "arXiv:2404.14469", "what the last queries look at, pooled over neighbours",
                       "s[g,t] = pool(mean over heads h of g of sum over window rows r of A[h,r,t])");

}  // namespace
}  // namespace evictbench
