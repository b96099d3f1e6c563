#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "core/io/json.h"
#include "core/utf8.h"
#include "models/chat.h"
#include "models/chat_forms.h"
#include "models/unicode.h"

namespace evictbench {
namespace {

using System = ChatForm::System;

// Of Python's str.strip, which the templates use: the separators U+001C to U+001F are white space too.
bool is_python_space(char32_t code) { return is_white_space(code) || (code >= 0x1c && code <= 0x1f); }

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_python_space(decode_utf8(text).code))
    text.remove_prefix(decode_utf8(text).bytes);
  while (!text.empty() && is_python_space(decode_utf8(text.substr(before_last(text))).code))
    text = text.substr(0, before_last(text));
  return text;
}

std::string_view trim_feeds(std::string_view text, bool left, bool right) {
  while (left && text.starts_with('\n')) text.remove_prefix(1);
  while (right && text.ends_with('\n')) text.remove_suffix(1);
  return text;
}

class Renderer {
 public:
  Renderer(const ChatForm& form, std::span<const Message> messages, const std::string& where)
      : form_(form), messages_(messages), where_(where) {
    for (std::size_t i = 0; i < messages_.size(); ++i) {
      const auto& [role, content] = messages_[i];
      if (role != "system" && role != "user" && role != "assistant")
        refuse(i, fmt::format("the role '{}'", printable(role)), "system, user or assistant");
      if (role == "user" &&
          !(content.starts_with("<tool_response>") && content.ends_with("</tool_response>")))
        last_question_ = i;
    }
    if (messages_.empty()) refuse(0, "no message", "at least one");
  }

  std::string run(bool add_generation_prompt) {
    out_ = form_.start;
    std::size_t first = 0;
    if (messages_.front().role != "system")
      out_ += form_.default_system;
    else if (first_system())
      first = 1;
    for (std::size_t i = first; i < messages_.size(); ++i) {
      const Message& message = messages_[i];
      if (form_.alternates && (message.role == "user") != ((i - first) % 2 == 0))
        refuse(i, fmt::format("a message of the {}", message.role),
               "user and assistant in turn, the user first");
      if (message.role == "system")
        later_system(i);
      else if (message.role == "user")
        user(i, i == first);
      else
        assistant(i);
    }
    return out_ += add_generation_prompt ? form_.generation : form_.finish;
  }

 private:
  [[noreturn]] void refuse(std::size_t message, const std::string& found, const std::string& expected) const {
    reject(Exit::kInput, {"E-CT-04", where_, fmt::format("message {}", message + 1),
                          fmt::format("{}, which does not go through the chat template {}", found, form_.name), expected,
                          "change the conversation or choose another template"});
  }

  void turn(const ChatTurn& how, std::string_view content) {
    out_.append(how.head).append(how.trims ? trim(content) : content).append(how.tail);
  }

  // The system's message at the front; false: it goes the way of the others.
  bool first_system() {
    const std::string& content = messages_.front().content;
    switch (form_.first_system) {
      case System::kTurn:
        if (!content.empty() || !form_.skips_empty_system) turn(form_.system, content);
        return true;
      case System::kFirstUser:
      case System::kLastUser:
        folded_.append(form_.system.head).append(content).append(form_.system.tail);
        return true;
      case System::kIgnored:
        return true;
      case System::kRefused:
        break;
    }
    refuse(0, "a message of the system", "none");
  }

  void later_system(std::size_t i) {
    if (form_.later_system == System::kRefused)
      refuse(i, "a message of the system",
             form_.first_system == System::kRefused ? "none" : "it as the first");
    if (form_.later_system != System::kTurn) return;
    const std::string& content = messages_[i].content;
    if (!content.empty() || !form_.skips_empty_system)
      turn(form_.later.head.empty() ? form_.system : form_.later, content);
  }

  void user(std::size_t i, bool first) {
    const std::string& content = messages_[i].content;
    const bool takes_system = form_.first_system == System::kFirstUser ? first : i + 1 == messages_.size();
    if (folded_.empty() || !takes_system) return turn(form_.user, content);
    std::string whole = folded_;
    whole += form_.user.trims && !form_.trims_folded ? trim(content) : content;
    out_.append(form_.user.head)
        .append(form_.trims_folded ? trim(whole) : std::string_view(whole))
        .append(form_.user.tail);
  }

  void assistant(std::size_t i) {
    if (form_.thinks)
      thinking_assistant(i);
    else
      turn(form_.assistant, messages_[i].content);
  }

  // Only answers behind the last question tell what was thought.
  void thinking_assistant(std::size_t i) {
    constexpr std::string_view kOpen = "<think>", kClose = "</think>";
    std::string_view content = messages_[i].content, thought;
    if (const std::size_t close = content.find(kClose); close != content.npos) {
      thought = trim_feeds(content.substr(0, close), false, true);
      if (const std::size_t open = thought.rfind(kOpen); open != thought.npos)
        thought.remove_prefix(open + kOpen.size());
      thought = trim_feeds(thought, true, false);
      content = trim_feeds(content.substr(content.rfind(kClose) + kClose.size()), true, false);
    }
    out_ += form_.assistant.head;
    if (i > last_question_ && (i + 1 == messages_.size() || !thought.empty())) {
      out_.append("<think>\n").append(trim_feeds(thought, true, true)).append("\n</think>\n\n");
      content = trim_feeds(content, true, false);
    }
    out_.append(content).append(form_.assistant.tail);
  }

  const ChatForm& form_;
  std::span<const Message> messages_;
  const std::string& where_;
  std::size_t last_question_ = messages_.size();  // of the user; none: no answer is behind it
  std::string folded_, out_;
};

}  // namespace

std::string render(const ChatTemplate& chat, std::span<const Message> messages, bool add_generation_prompt,
                   const std::string& where) {
  const auto form = std::ranges::find(chat_forms(), chat.name, &ChatForm::name);
  if (form == chat_forms().end())
    reject(Exit::kInput, {"E-CT-05", where, "", "a conversation without a chat template", "a template",
                          "choose one with --chat"});
  return Renderer(*form, messages, where).run(add_generation_prompt);
}

std::vector<Message> read_messages(const std::string& path) {
  const Json list = Json::from_file(path, {.code_prefix = "E-CT"});
  if (!list.is_array())
    list.reject("06", "no list of messages", R"([{"role": "user", "content": "..."}])", "write such a list");
  std::vector<Message> messages;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Json message = list[i];
    for (const auto& [key, value] : message.items())
      if (key != "role" && key != "content")
        value.reject("06", fmt::format("the key '{}' of a message", printable(key)), "role and content",
                     "take it out: only conversations of text are rendered");
    messages.push_back({message.at("role").string(), message.at("content").string()});
  }
  return messages;
}

}  // namespace evictbench
