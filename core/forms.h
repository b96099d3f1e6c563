#pragma once

// What sets the layers of one decoder apart from another's, as kernels need to know it.
namespace evictbench {

// x / (1 + e^-x); x / (1 + e^-2u) with u = sqrt(2 / pi) (x + 0.044715 x^3), the tanh form of GELU.
enum class Activation { kSilu, kGelu };

// How the queries of a layer attend, beside softmax(q k / sqrt(D)).
struct AttentionForm {
  int window = 0;     // a query sees this many positions back, its own included; 0: all
  float softcap = 0;  // logits become softcap tanh(logit / softcap); 0: as they are
};

}  // namespace evictbench
