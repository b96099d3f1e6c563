// An Arrow stream of texts. What is accepted has as many texts in every column, all of them UTF-8, and no more of them than the
// file has bytes.
#include "datasets/arrow.h"

#include "core/io/file.h"
#include "tests/fuzz/support/files.h"
#include "tests/fuzz/support/target.h"

namespace evictbench {

void fuzz_one(std::string_view input) {
  static const MemoryFolder folder;
  static const std::vector<std::string> wanted{"a", "bc"};
  const auto columns = read_arrow_texts(folder.write("data.arrow", input), wanted, "E-AR");
  must(columns.size() == 2 && columns[0].size() == columns[1].size(), "arrow: ragged columns");
  for (const auto& column : columns) {
    std::size_t bytes = 0;
    for (const std::string& text : column) {
      must(invalid_utf8(text) == text.npos, "arrow: a text that is none");
      bytes += text.size();
    }
    must(bytes <= input.size(), "arrow: more text than file");
  }
}

}  // namespace evictbench
