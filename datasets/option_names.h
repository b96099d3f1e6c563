#pragma once

#include <string>
#include <vector>

#include "core/error.h"
#include "datasets/task_options.h"

// What the options of several benchmarks share: refusals with their place, and names out of a list.
namespace evictbench {

struct OptionReader {
  const TaskOptions& task;
  std::string code_prefix;  // "E-BL"

  [[noreturn]] void refuse(const char* code, const std::string& key, const std::string& found,
                           const std::string& expected, const std::string& mend,
                           Exit exit = Exit::kSweep) const;

  // What `key` lists, each one of `known` and none twice; `known` itself if the key is absent. Codes 32 and 36.
  std::vector<std::string> names(const std::string& key, const std::vector<std::string>& known) const;
  std::string name(const std::string& key,
                   const std::vector<std::string>& known) const;  // the first if absent

  int number(const std::string& key, int otherwise, int least, int most) const;  // code 33
  std::vector<int> numbers(const std::string& key, int least, int most) const;   // code 33, none twice: 36
  std::string folder(const std::string& key,
                     const std::string& how_to_get_it) const;  // that is there: code 31
};

}  // namespace evictbench
