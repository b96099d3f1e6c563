#pragma once

#include <string>
#include <vector>

#include "harness/output_folder.h"

namespace evictbench {

// A file of JSON lines: the first says what is measured, then comes one for each finished piece of work, in order, made
// durable one by one. The same command goes on behind the last whole line; one that was cut off is dropped. A file
// of another measurement is refused (exit 8), one that is in use too (exit 7); what cannot be read or written is exit 6.
class LineJournal {
 public:
  // Code prefix "E-HD" gives E-HD-05 for another measurement and E-HD-09 for one in use; `mend` says where else to write.
  LineJournal(std::string path, const std::string& identity, std::string code_prefix,
              const std::string& mend);

  const std::string& path() const { return path_; }
  int descriptor() const { return file_.get(); }
  const std::vector<std::string>& lines() const {
    return lines_;
  }                                      // of finished work, as found; the first is line 2
  void append(const std::string& line);  // without its end

 private:
  std::string path_;
  Descriptor file_;
  std::vector<std::string> lines_;
};

}  // namespace evictbench
