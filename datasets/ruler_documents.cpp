// RULER's questions about documents of the user's: SQuAD 2.0 and HotpotQA.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/io/json.h"
#include "datasets/ruler_scenes.h"
#include "datasets/ruler_words.h"

namespace evictbench {
namespace {

// A question, the documents that answer it, and `size` bytes of others: of the same article first; the last is cut.
class Documents final : public RulerScene {
 public:
  Documents(const RulerSources& sources, std::size_t index, Draws draws)
      : all_(sources.documents), question_(all_->questions[index % all_->questions.size()]), draws_(draws) {
    std::vector<std::size_t> near = question_.near, far;
    std::set<std::size_t> taken(question_.gold.begin(), question_.gold.end());
    taken.insert(near.begin(), near.end());
    for (std::size_t i = 0; i < all_->documents.size(); ++i)
      if (!taken.contains(i)) far.push_back(i);
    shuffle(near, draws_);
    shuffle(far, draws_);
    others_ = std::move(near);
    others_.insert(others_.end(), far.begin(), far.end());
  }

  RulerText text(std::size_t size, int) const override {
    std::vector<std::string_view> chosen;
    for (const std::size_t i : question_.gold) chosen.push_back(all_->documents[i]);
    for (std::size_t i = 0; i < others_.size() && size > 0; ++i) {
      chosen.push_back(cut_to(all_->documents[others_[i]], size));
      size -= std::min(size, std::max<std::size_t>(all_->documents[others_[i]].size(), 1));
    }
    Draws draws = draws_;
    shuffle(chosen, draws);
    std::string list;
    for (std::size_t i = 0; i < chosen.size(); ++i)
      list += fmt::format("{}Document {}:\n{}", i == 0 ? "" : "\n\n", i + 1, chosen[i]);
    RulerText out = ruler_documents_text(list, question_.question);
    out.answers = question_.answers;
    return out;
  }

 private:
  std::shared_ptr<const RulerDocuments> all_;
  const RulerDocuments::Question& question_;
  Draws draws_;
  std::vector<std::size_t> others_;
};

// Puts every document once, in order, and gives it its number.
class Shelf {
 public:
  void add(const std::string& text) { numbers_.try_emplace(text, 0); }
  std::vector<std::string> sorted() {
    std::vector<std::string> out;
    for (auto& [text, number] : numbers_) {
      number = out.size();
      out.push_back(text);
    }
    return out;
  }
  std::size_t number(const std::string& text) const { return numbers_.at(text); }

 private:
  std::map<std::string, std::size_t> numbers_;
};

void require_questions(const RulerDocuments& read, const std::string& path) {
  if (read.questions.empty())
    reject(Exit::kInput, {"E-RL-11", path, "", "no question that the documents answer", "one or more",
                          "check that this is the right file"});
}

Json list_at(const Json& object, const char* key) {
  Json list = object.at(key);
  if (!list.is_array()) list.reject("J05", "no list", "a list", "fetch the file again");
  return list;
}

std::string hotpotqa_document(const Json& entry) {
  if (!entry.is_array() || entry.size() != 2 || !entry[1].is_array())
    entry.reject("12", "no document", "a title and a list of sentences", "fetch the file again");
  std::string out = entry[0].string() + "\n";
  for (std::size_t i = 0; i < entry[1].size(); ++i) out += entry[1][i].string();
  return out;
}

}  // namespace

std::unique_ptr<const RulerScene> ruler_documents_scene(const RulerSources& sources, std::size_t index,
                                                        Draws draws) {
  return std::make_unique<const Documents>(sources, index, draws);
}

RulerDocuments read_squad(const std::string& path) {
  const Json articles = list_at(Json::from_file(path, {.code_prefix = "E-RL"}), "data");
  Shelf shelf;
  for (std::size_t a = 0; a < articles.size(); ++a)
    for (std::size_t p = 0; p < list_at(articles[a], "paragraphs").size(); ++p)
      shelf.add(articles[a].at("paragraphs")[p].at("context").string());
  RulerDocuments out{shelf.sorted(), {}};
  for (std::size_t a = 0; a < articles.size(); ++a) {
    const Json paragraphs = articles[a].at("paragraphs");
    for (std::size_t p = 0; p < paragraphs.size(); ++p) {
      const Json asked = list_at(paragraphs[p], "qas");
      const std::size_t gold = shelf.number(paragraphs[p].at("context").string());
      std::vector<std::size_t> near;
      for (std::size_t other = 0; other < paragraphs.size(); ++other)
        if (const auto n = shelf.number(paragraphs[other].at("context").string()); n != gold)
          near.push_back(n);
      for (std::size_t q = 0; q < asked.size(); ++q) {
        if (asked[q].has("is_impossible") && asked[q].at("is_impossible").boolean()) continue;
        std::vector<std::string> answers;
        const Json list = list_at(asked[q], "answers");
        for (std::size_t i = 0; i < list.size(); ++i) answers.push_back(list[i].at("text").string());
        if (answers.empty()) list.reject("13", "no answer", "one or more", "fetch the file again");
        out.questions.push_back({asked[q].at("question").string(), answers, {gold}, near});
      }
    }
  }
  require_questions(out, path);
  return out;
}

RulerDocuments read_hotpotqa(const std::string& path) {
  const Json records = Json::from_file(path, {.code_prefix = "E-RL"});
  if (!records.is_array()) records.reject("12", "no list", "a list of questions", "fetch the file again");
  Shelf shelf;
  for (std::size_t r = 0; r < records.size(); ++r)
    for (std::size_t d = 0; d < list_at(records[r], "context").size(); ++d)
      shelf.add(hotpotqa_document(records[r].at("context")[d]));
  RulerDocuments out{shelf.sorted(), {}};
  for (std::size_t r = 0; r < records.size(); ++r) {
    RulerDocuments::Question& question = out.questions.emplace_back();
    question.question = records[r].at("question").string();
    question.answers = {records[r].at("answer").string()};
    for (std::size_t d = 0; d < records[r].at("context").size(); ++d)
      question.gold.push_back(shelf.number(hotpotqa_document(records[r].at("context")[d])));
  }
  require_questions(out, path);
  return out;
}

}  // namespace evictbench
