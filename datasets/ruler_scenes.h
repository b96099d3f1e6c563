#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/draws.h"
#include "datasets/generated_text.h"
#include "datasets/ruler_tasks.h"

namespace evictbench {

// The essays that needles hide in, blanks and line ends as one space each: a text of the user's, repeated as needed, or a
// generated one.
class RulerEssays {
 public:
  explicit RulerEssays(std::string text);  // not blank
  explicit RulerEssays(std::uint64_t seed) : generated_({seed, {}}) {}
  std::string_view prefix(std::size_t bytes);  // valid until the next call

 private:
  std::string text_;
  std::size_t period_ = 0;
  std::optional<GeneratedText> generated_;
};

// Documents and questions about them, in RULER's reading of SQuAD 2.0's and HotpotQA's files.
struct RulerDocuments {
  struct Question {
    std::string question;
    std::vector<std::string> answers;
    std::vector<std::size_t> gold, near;  // documents that answer, and others of the same article
  };
  std::vector<std::string> documents;  // sorted, each once
  std::vector<Question> questions;     // in the file's order
};
RulerDocuments read_squad(const std::string& path);     // Errors: exit 4, E-RL-..
RulerDocuments read_hotpotqa(const std::string& path);  // the same

// One prompt in the making: all is drawn but how much filler there is. Its tokens grow with `size`, though not always by one;
// variants of a size differ by a few tokens.
class RulerScene {
 public:
  virtual ~RulerScene() = default;
  virtual RulerText text(std::size_t size, int variant) const = 0;
  virtual int variants() const { return 1; }
  virtual std::size_t most(int tokens) const {
    return static_cast<std::size_t>(tokens) * 32;
  }  // no larger size fits
};

struct RulerSources {
  std::shared_ptr<RulerEssays> essays;
  std::shared_ptr<const RulerDocuments> documents;  // of qa tasks
  std::function<int(std::string_view)> count;       // tokens of a text
  int length = 0;                                   // tokens of prompt and answer
};

// Example `index` of a task. The same draws give the same scene.
std::unique_ptr<const RulerScene> ruler_scene(const RulerTask& task, const RulerSources& sources,
                                              std::size_t index, Draws draws);

// Those of one kind each; ruler_scene chooses.
std::unique_ptr<const RulerScene> ruler_needles_scene(const RulerTask& task, const RulerSources& sources,
                                                      Draws draws);
std::unique_ptr<const RulerScene> ruler_variables_scene(const RulerSources& sources, Draws draws);
std::unique_ptr<const RulerScene> ruler_common_words_scene(const RulerSources& sources, Draws draws);
std::unique_ptr<const RulerScene> ruler_frequent_words_scene(const RulerSources& sources, Draws draws);
std::unique_ptr<const RulerScene> ruler_documents_scene(const RulerSources& sources, std::size_t index,
                                                        Draws draws);

// `text` cut to at most so many bytes, between characters.
std::string_view cut_to(std::string_view text, std::size_t bytes);

}  // namespace evictbench
