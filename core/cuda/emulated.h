#pragma once

#include <cstddef>
#include <cstdint>

// What a test may ask of the emulated card.
namespace evictbench::cuda::emulated {

void set_memory(std::size_t bytes);      // of the card; beyond it allocate() gives null
void set_major(int major);               // of its compute capability, of devices opened from now on
void lose_after(std::int64_t launches);  // that many more launches, then the card is lost; negative: never
std::int64_t graph_launches();
std::int64_t launches();  // so far

}  // namespace evictbench::cuda::emulated
