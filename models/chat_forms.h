#pragma once

#include <span>
#include <string>
#include <string_view>

namespace evictbench {

// How a template dresses the messages of one role.
struct ChatTurn {
  std::string_view head, tail;
  bool trims = false;  // white space at the ends of the content
};

// A chat template, as far as conversations of text go. Where a message stands decides a few things; everything else is
// the same for every message of a role.
struct ChatForm {
  enum class System {
    kTurn,       // as a turn of its own
    kIgnored,    //
    kRefused,    //
    kFirstUser,  // in the first user's turn, between its head and its content
    kLastUser,   // in the last message, if that is a user's
  };

  std::string_view name;
  std::string_view start;           // of the whole text
  std::string_view default_system;  // the text where the first message is not the system's
  ChatTurn system, user, assistant;
  System first_system = System::kTurn, later_system = System::kTurn;
  ChatTurn later = {};  // kTurn of a system message that is not the first, if not like the first
  bool skips_empty_system = false;
  bool trims_folded = false;     // the user's trim takes in the system's text
  bool alternates = false;       // user, assistant, user, ... is a must
  std::string_view generation;   // the start of the answer
  std::string_view finish = {};  // where no answer is asked for
  bool thinks = false;  // answers hold <think> ... </think>, told only while they are being worked out
};

std::span<const ChatForm> chat_forms();  // sorted by name

}  // namespace evictbench
