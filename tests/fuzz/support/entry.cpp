#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/support/target.h"
#include "tests/support/well_formed.h"

namespace evictbench {

void check_refusal(const Error& error) {
  if (error.exit() != Exit::kInternal && is_well_formed(error.what())) return;
  std::fprintf(stderr, "exit %d, not a refusal of this input: %s\n", static_cast<int>(error.exit()),
               error.what());
  std::abort();
}

}  // namespace evictbench

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(size == 0 ? "" : reinterpret_cast<const char*>(data), size);
  evictbench::passes([&] { evictbench::fuzz_one(input); });
  return 0;
}
