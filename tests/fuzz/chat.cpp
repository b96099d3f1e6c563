// tokenizer_config.json and, behind a NUL byte, chat_template.jinja: the template in them, and the settings of a tokenizer.
#include "models/chat.h"
#include "tests/fuzz/support/files.h"
#include "tests/fuzz/support/target.h"
#include "tests/support/sentencepiece_writer.h"

namespace evictbench {

void fuzz_one(std::string_view input) {
  static const MemoryFolder folder;
  static const std::string model = folder.write("tokenizer.model", SentencePieceFile().bytes());
  folder.write("tokenizer_config.json", take_until(input, '\0'));
  if (input.empty())
    folder.remove("chat_template.jinja");
  else
    folder.write("chat_template.jinja", input);
  const bool good = passes([&] { load_chat_template(folder.path(), "auto"); });
  if (good) load_tokenizer(folder.path())->encode("ab", {});
}

}  // namespace evictbench
