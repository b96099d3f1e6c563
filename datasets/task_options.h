#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace evictbench {

// What a sweep file says about one task, without the file's format: each key with its scalars as text. A dataset
// reads them through the strict readers below; whatever does not fit is an Error (exit 3) that names the place.
class TaskOptions {
 public:
  struct Scalar {
    std::string text;
    std::string position;  // "14:12"
    bool quoted = false;   // then it is text, never a number or null
  };
  struct Option {
    std::vector<Scalar> values;
    std::string position;  // of the key
    bool list = false;     // written as a list, even if of one
  };

  std::string file;         // the sweep file, as the user typed it
  std::string position;     // where the task begins: "12:5"
  std::string base_folder;  // of the sweep file; relative paths start here
  std::uint64_t seed = 42;  // of the protocol
  std::map<std::string, Option> options;

  bool has(std::string_view key) const;
  std::string position_of(std::string_view key) const;  // of the task if the key is absent

  // Required keys. One value where a list is due is a list of one; a list where one value is due is an Error.
  std::string text(std::string_view key) const;
  std::vector<std::string> texts(std::string_view key) const;
  std::vector<int> integers(std::string_view key) const;
  std::vector<double> numbers(std::string_view key) const;  // finite
  int integer(std::string_view key) const;

  // What an absent key stands for.
  std::string text_or(std::string_view key, std::string_view otherwise) const;
  std::vector<std::string> texts_or_none(std::string_view key) const;
  int integer_or(std::string_view key, int otherwise) const;

  // `path` as seen from the sweep file's folder.
  std::string resolve(const std::string& path) const;

  // An Error for the first key (by name) that is not in `known`, with the nearest one.
  void refuse_unknown(const std::vector<std::string>& known) const;

 private:
  const Option& option(std::string_view key) const;
  const Scalar& single(std::string_view key) const;
  std::string text_of(std::string_view key, const Scalar& scalar) const;
  template <class Number>
  Number number_of(std::string_view key, const Scalar& scalar) const;
};

}  // namespace evictbench
