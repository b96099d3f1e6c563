#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace evictbench {

// Chinese text into words, as jieba 0.42.1 cuts in its default mode: the likeliest path through a dictionary, and a
// hidden Markov model for runs of single characters that no word joins.
class Segmenter {
 public:
  // A folder with the dictionary and the model's tables, in either of two forms:
  //   dict.txt, finalseg/prob_start.py, prob_trans.py, prob_emit.py   the Python package jieba as it is installed
  //   jieba_dict.txt, jieba_hmm.json                                  {"start": .., "trans": .., "emit": ..}
  // What is absent or not of that form is an Error (exit 4, E-JB-..).
  static std::unique_ptr<const Segmenter> from_folder(const std::string& folder);
  ~Segmenter();

  std::vector<std::string_view> cut(std::string_view text) const;  // in order; together they are the text

 private:
  struct Dictionary;
  struct States;
  class Cutter;
  Segmenter();
  std::unique_ptr<Dictionary> dictionary_;
  std::unique_ptr<States> states_;
};

// Where Debian's python3-jieba puts them, if it is installed; else "".
std::string usual_segmenter_folder();

// What to say where Chinese text is to be scored without a segmenter.
std::string how_to_get_a_segmenter();

}  // namespace evictbench
