// AdaKV as its authors have it: what rounding loses is lost.
// Feng et al. 2024, arXiv:2407.11550; FFY0/AdaKV, for models with grouped heads.
//
//   score     as snapkv
//   share     of a head: what it wins in its layer, blended with an equal share by `alpha`, in whole numbers
//   keep      the window, then the best scores

#include "policies/published/variants.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class AdaKvOfAdaKv final : public RoundedAda<SnapKv> {
 public:
  explicit AdaKvOfAdaKv(const Options& o) : RoundedAda(o, kOfSnapKv) {}
};

[[maybe_unused]] const int entry =
    registered<AdaKvOfAdaKv>("adakv@adakv", "arXiv:2407.11550", "as adakv, losing what rounding loses",
                             "s as snapkv; lane g: window + round((1 - alpha) won[g] + floor(alpha B)), won: "
                             "its part of the best G B entries of the layer");

}  // namespace
}  // namespace evictbench
