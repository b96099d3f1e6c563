#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

// Tables of texts in Arrow's IPC stream format, as `datasets.save_to_disk` writes them (data-00000-of-00001.arrow):
//   https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
// A small strict reader: every size, offset and index in the file is checked against what is there before it is followed, and
// nothing is allocated from a number alone.
namespace evictbench {

// The columns named `wanted`, in this order: columns[i][row]. All columns of the file are texts (utf8 or large_utf8) without
// absent values; metadata versions 4 and 5, little-endian, neither compressed nor by dictionary; the stream has its end mark.
// Whatever is not so is an Error (exit 4) with the byte: codes A01 to A19 after the prefix, and those of core/io/file.h.
std::vector<std::vector<std::string>> read_arrow_texts(const std::string& path,
                                                       std::span<const std::string> wanted,
                                                       const std::string& code_prefix);

}  // namespace evictbench
