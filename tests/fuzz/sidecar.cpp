// A sidecar: what is accepted is written again as it was read.
#include "harness/sidecar.h"

#include "tests/fuzz/support/files.h"
#include "tests/fuzz/support/target.h"

namespace evictbench {

void fuzz_one(std::string_view input) {
  static const MemoryFolder folder;
  folder.write("s.json.meta.json", input);
  const Sidecar read = read_sidecar(folder / "s.json").value();
  write_scores(folder / "again.json", "{}", read);
  const Sidecar again = read_sidecar(folder / "again.json").value();
  must(again.kind == read.kind && again.model.hash == read.model.hash &&
           again.model.name == read.model.name && again.model.layers == read.model.layers &&
           again.model.heads == read.model.heads && again.method == read.method && again.data == read.data &&
           again.examples == read.examples && again.made == read.made && again.accepted == read.accepted,
       "sidecar: it reads otherwise than it was written");
}

}  // namespace evictbench
