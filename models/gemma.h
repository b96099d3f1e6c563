#pragma once

#include "models/config.h"

namespace evictbench {

// What Gemma 2 and 3 share: sizes, heads, GeGLU, norms of 1 + w before and after each block, scaled embeddings, an own
// scale of queries, and windows in the layers that slide: all but every pattern-th, or as layer_types says.
void read_gemma(const Json& json, int pattern, DecoderConfig& out);

}  // namespace evictbench
