#pragma once

#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace evictbench {

// A calibration file that an option names.
struct ScoreFile {
  std::string option, path;
  std::string hash;  // "xxh3:0123456789abcdef" of what it holds

  bool operator==(const ScoreFile&) const = default;
};

// The options of one policy: texts, read by strict typed getters. A getter also notes what was asked for, so that a
// misspelt key is an error, the resolved options name the policy, and `list policies` can describe them.
class Options {
 public:
  // Where the options were written, for messages.
  struct Source {
    std::string file;                              // "" if they come from no file
    std::map<std::string, std::string> positions;  // key -> "12:5"; "" -> the policy itself
  };
  struct Asked {
    std::string value, fallback;       // in shortest form
    std::string allowed;               // "1..64", "max|mean"
    std::string unit;                  // "tokens", or "": a plain number, a word, a file
    std::vector<std::string> choices;  // of a choice
    std::string missing;               // what it should be, where it is needed and not there
    std::string path = {};             // of a file that was read
  };

  explicit Options(std::string policy, std::map<std::string, std::string> values = {}, Source source = {});
  static Options parse(std::string_view spec);  // "name" or "name{key=value,...}"

  // What a policy that asks for "seed" gets where none is written.
  Options& with_seed(std::int64_t seed) {
    seed_ = seed;
    return *this;
  }

  // Each reads a key once, in the policy's constructor. `least` and `most` are allowed too.
  template <std::integral T>
  T integer(const std::string& key, T fallback, std::type_identity_t<T> least, std::type_identity_t<T> most,
            const std::string& unit) const {
    return static_cast<T>(whole(key, fallback, least, most, unit, false));
  }
  std::int64_t seed() const { return whole("seed", seed_, 0, INT64_MAX, "", false); }
  int odd(const std::string& key, int fallback, int least, int most, const std::string& unit) const {
    return static_cast<int>(whole(key, fallback, least, most, unit, true));
  }
  double number(const std::string& key, double fallback, double least, double most) const;
  std::string choice(const std::string& key, const std::string& fallback,
                     const std::vector<std::string>& names) const;
  // A file, its path counted from the folder of the file that names it. What it holds, not where it lies, enters the
  // policy's identity. None if it is absent or "none"; where it is needed, reject_missing() refuses that.
  struct File {
    std::string path, text;
  };
  std::optional<File> file(const std::string& key, const std::string& what, bool needed) const;

  const std::string& policy() const { return policy_; }
  const std::map<std::string, Asked>& asked() const { return asked_; }
  void reject_unknown() const;                 // once the policy is made: a key that it did not ask for
  void reject_missing() const;                 // and a file without which it cannot work
  std::vector<ScoreFile> score_files() const;  // those that were named and read
  std::string canonical() const;  // "snapkv{kernel=7,pool=max,window=32}": the policy's identity in records

  // Throws about `key`, or about the policy itself if that is "".
  [[noreturn]] void fail(const std::string& key, const std::string& code, const std::string& found,
                         const std::string& expected, const std::string& mend) const;

 private:
  std::int64_t whole(const std::string& key, std::int64_t fallback, std::int64_t least, std::int64_t most,
                     const std::string& unit, bool odd_only) const;
  const std::string* given(const std::string& key) const;  // null if it is not

  std::string policy_;
  std::int64_t seed_ = 42;
  std::map<std::string, std::string> values_;
  Source source_;
  mutable std::map<std::string, Asked> asked_;
};

}  // namespace evictbench
