// random_checkpoint DIR [SEED]: a seeded random model as a Hugging Face folder, for trials and for a
// tokenizer that counts bytes. It knows
// nothing: what it answers is noise. Its head is its own, since with a tied one it would repeat one token for ever.
#include <cstdlib>
#include <filesystem>

#include "tests/support/random_decoder.h"

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  std::filesystem::create_directories(argv[1]);
  const unsigned seed = argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 1;
  evictbench::write_random_checkpoint(argv[1],
                                      {.layers = 4,
                                       .q_heads = 8,
                                       .kv_heads = 4,
                                       .head_dim = 16,
                                       .hidden = 128,
                                       .intermediate = 256,
                                       .tied = false},
                                      seed);
}
