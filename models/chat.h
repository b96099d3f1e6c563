#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace evictbench {

// A prompt in the form a chat model was trained on. What a user says is `prefix` + text + `suffix`; the text that
// follows `suffix` is the assistant's. Encoded with parse_special.
struct ChatTemplate {
  std::string name;            // "chatml", "llama-3", ...
  std::string prefix, suffix;  // of a single user turn, generation prompt included in `suffix`
};

// Names of the built-in templates, sorted.
std::vector<std::string> chat_template_names();

// choice: "none", a built-in name, or "auto": what the folder's tokenizer_config.json holds, recognised by
// content; a template that is not known is an Error (exit 4) that says how to choose; no template at all is none.
ChatTemplate load_chat_template(const std::string& folder, const std::string& choice);

}  // namespace evictbench
