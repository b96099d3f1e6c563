#pragma once

#include <cstddef>
#include <string>

// For a look at a folder: files of the tasks cnn_dailymail and xsum.
namespace evictbench {

bool are_summaries(const std::string& path);           // whether the first line is a record of them
std::size_t count_summaries(const std::string& path);  // read as strictly as for a run

}  // namespace evictbench
