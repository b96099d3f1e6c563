// Official records, stored answers and a dictionary of Chinese words. What is accepted has scores from 0 to 100, ids that differ,
// and words that make up the text they were cut from.
#include <set>

#include "datasets/longbench_data.h"
#include "datasets/longbench_predictions.h"
#include "datasets/segmenter.h"
#include "tests/fuzz/support/files.h"
#include "tests/fuzz/support/target.h"

namespace evictbench {

void fuzz_one(std::string_view input) {
  static const MemoryFolder folder;
  static const std::string tables =
      folder.write("jieba_hmm.json",
                   R"({"start":{"B":-1,"E":-9,"M":-9,"S":-2},"trans":{"B":{"E":-1,"M":-2},"E":{"B":-1,"S":-1},
                          "M":{"E":-1,"M":-1},"S":{"B":-1,"S":-1}},"emit":{"B":{"a":-1},"E":{},"M":{},"S":{}}})");
  const std::string file = folder.write("lines.jsonl", input);
  for (const char* name : {"hotpotqa", "trec", "lcc"}) {
    const LongBenchTask& task = *longbench_task(name);
    passes([&] {
      std::set<std::string> ids;
      for (const LongBenchRecord& record : read_longbench(file, task, false).records)
        must(ids.insert(record.id).second, "longbench: an id twice");
    });
    passes([&] {
      const PredictionScores scores = score_predictions(file, task, LongBench::kByLength, nullptr);
      must(scores.score >= 0 && scores.score <= 100, "longbench: a score outside");
    });
  }
  folder.write("jieba_dict.txt", input);
  passes([&] {
    const auto segmenter = Segmenter::from_folder(folder.path());
    std::string again;
    for (const std::string_view word : segmenter->cut(input)) again += word;
    must(again == input, "longbench: words are lost");
  });
}

}  // namespace evictbench
