#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "core/io/json.h"
#include "models/bpe_tokenizer.h"

namespace evictbench {

// Fills the tokens and merges of a BpeModel, from whichever files hold them; errors E-TJ-03 to E-TJ-05.
class VocabularyReader {
 public:
  // `added`: how many tokens may come from elsewhere than the vocabulary.
  VocabularyReader(BpeModel& model, std::size_t added) : model_(model), added_(added) {}

  void read(const Json& vocabulary);  // {"token": id, ...}
  // [["token", score], ...]; texts of the model's pieces and their scores, by id.
  std::vector<std::pair<std::string, double>> read_scored(const Json& vocabulary);

  // Gives an added token its id. The same token twice is an Error.
  void read_added(const Json& token, const Json& id);
  void add_special(const std::string& token);  // one of the vocabulary; again: nothing
  void finish_added(const Json& list);         // after the last

  // "" or what is wrong with this merge.
  std::string add_merge(const std::string& left, const std::string& right, std::size_t rank);
  // The two tokens of "a b"; two empty ones where it is not of that form.
  static std::pair<std::string, std::string> halves(std::string_view merge);

 private:
  void limit_ids(std::size_t tokens);
  void place(const std::string& spelling, const Json& id, std::string_view code);
  void place(const std::string& spelling, std::int64_t id, const Json& where, std::string_view code);
  void add_piece(const std::string& spelling);

  BpeModel& model_;
  std::size_t added_;
  std::int64_t most_id_ = 0;
  std::vector<AddedToken> tokens_;
};

}  // namespace evictbench
