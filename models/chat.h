#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/tokenizer.h"

namespace evictbench {

// A prompt in the form a chat model was trained on. What a user says is `prefix` + text + `suffix`, letter by letter
// as the published template renders a single user turn with generation prompt; the text that follows is the
// assistant's. White space around the user's text stays, though some templates cut it.
struct ChatTemplate {
  std::string name;  // "chatml", "llama-3", ...
  std::string prefix, suffix;
};

struct Message {
  std::string role;  // "system", "user" or "assistant"
  std::string content;
};

// A conversation as the published template renders it without tools, letter by letter; with the start of an answer if
// so asked. One that the template refuses, an empty one and an unknown role are Errors (exit 4) of `where`; so is any
// conversation without a template.
std::string render(const ChatTemplate& chat, std::span<const Message> messages, bool add_generation_prompt,
                   const std::string& where = "conversation");

// [{"role": "user", "content": "Hello"}, ...]; errors E-CT-.., exit 4.
std::vector<Message> read_messages(const std::string& path);

// Names of the built-in templates, sorted.
std::vector<std::string> chat_template_names();

// The two halves of a prompt: `prefix` and the start of the user's text; `suffix` and the start of the answer. Their ids
// are those of the whole text where a tokenizer's rules let them be. Only the template's text spells special tokens.
Tokens encode_opening(const Tokenizer& tokenizer, const ChatTemplate& chat, const std::string& text);
Tokens encode_closing(const Tokenizer& tokenizer, const ChatTemplate& chat, const std::string& answer);

// choice: "none", a built-in name, or "auto": what the folder's chat_template.jinja or tokenizer_config.json holds (or the GGUF file),
// recognised by content; a template that is not known is an Error (exit 4) that says how to choose; no template at all is none.
ChatTemplate load_chat_template(const std::string& folder, const std::string& choice);

}  // namespace evictbench
