#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace evictbench {

// How a task judges an answer: by one metric, over a part of it.
struct Judge {
  enum class Part {
    kAll,
    kFirstLine,   // behind line feeds that lead
    kFirstText,   // the first line behind white space that leads
    kBeforeStop,  // what stands before "###"
  };
  std::string metric;  // in all_metrics()
  Part part = Part::kAll;
};

std::string_view judged_part(Judge::Part part, std::string_view answer);

const char* name_of(Judge::Part part);  // "all", "first line", "first text"
std::optional<Judge::Part> part_named(std::string_view name);

}  // namespace evictbench
