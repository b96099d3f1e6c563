#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "datasets/dataset.h"

namespace evictbench {

// Needle in a haystack (specs/datasets.md section 2), the needle put in at sentence ends, by text; under the name of a
// published program as it does, among tokens.
struct NiahOptions {
  std::string id = "niah";   // name of the task in records
  std::string haystack;      // a folder of .txt files (sorted by name), or "generated"
  std::vector<int> lengths;  // prompt tokens, everything included; of a published program its nominal length
  std::vector<double> depths;                   // percent of the context's characters, 0..100
  std::string needle, question, answer_prefix;  // {key} and {value} are replaced, nothing else
  std::string evidence = "{value}";             // the part of the needle that the answer is read from
  std::vector<std::string> keys, values;  // pair i is keys[i] and values[i]; no keys if no text has {key}
  std::string protocol;                   // "compresskv", "kvcache-factory" or empty
  int max_new = 32;
  std::uint64_t seed = 42;  // of the generated haystack

  // Where the options stand, for messages: the sweep file and the place of each key in it.
  std::string file = "niah";
  std::map<std::string, std::string> positions;
};

// Every length x depth x pair is one example: the haystack is cut so that the whole prompt has `length` tokens or a
// few less. Scores: "exact" against the value, "rouge1_recall" of the generated text against the needle (as
// published; with an answer prefix it is low by construction), "word_overlap" against the value.
// Errors: exit 3 for options, exit 4 for the haystack's files.
std::unique_ptr<const Dataset> make_niah(NiahOptions options);

}  // namespace evictbench
