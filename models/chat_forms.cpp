// The built-in chat templates. Each is worked out from the published text that tests/models/chat_templates holds, and
// gives its letters.
#include "models/chat_forms.h"

#include <array>

namespace evictbench {
namespace {

using System = ChatForm::System;

// The template of Llama 3.1 writes its own date if it is given none; that of 3.2 writes today's, and this one where it
// cannot know. We write it always: a prompt must not depend on the day.
#define LLAMA_3_HEAD(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"
constexpr std::string_view kLlama31System =
    LLAMA_3_HEAD("system") "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";
constexpr std::string_view kLlama31NoSystem =
    LLAMA_3_HEAD("system") "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>";

constexpr ChatTurn kImSystem{"<|im_start|>system\n", "<|im_end|>\n"},
    kImUser{"<|im_start|>user\n", "<|im_end|>\n"}, kImAssistant{"<|im_start|>assistant\n", "<|im_end|>\n"};
constexpr std::string_view kImAnswer = "<|im_start|>assistant\n";

constexpr ChatForm im_form(std::string_view name, std::string_view default_system,
                           std::string_view generation = kImAnswer, bool thinks = false) {
  return {.name = name,
          .start = {},
          .default_system = default_system,
          .system = kImSystem,
          .user = kImUser,
          .assistant = kImAssistant,
          .generation = generation,
          .thinks = thinks};
}

constexpr ChatForm mistral_form(std::string_view name, ChatTurn user, ChatTurn assistant, System system) {
  return {.name = name,
          .start = "<s>",
          .default_system = {},
          .system = {"", "\n\n"},
          .user = user,
          .assistant = assistant,
          .first_system = system,
          .later_system = System::kRefused,
          .alternates = true,
          .generation = {}};
}

constexpr ChatForm gemma_form(std::string_view name, System system) {
  return {.name = name,
          .start = "<bos>",
          .default_system = {},
          .system = {"", "\n\n"},
          .user = {"<start_of_turn>user\n", "<end_of_turn>\n", true},
          .assistant = {"<start_of_turn>model\n", "<end_of_turn>\n", true},
          .first_system = system,
          .later = {"<start_of_turn>system\n", "<end_of_turn>\n", true},
          .alternates = true,
          .generation = "<start_of_turn>model\n"};
}

constexpr ChatForm phi_form(std::string_view name, bool skips_empty_system) {
  return {.name = name,
          .start = {},
          .default_system = {},
          .system = {"<|system|>\n", "<|end|>\n"},
          .user = {"<|user|>\n", "<|end|>\n"},
          .assistant = {"<|assistant|>\n", "<|end|>\n"},
          .skips_empty_system = skips_empty_system,
          .generation = "<|assistant|>\n",
          .finish = "<|endoftext|>"};
}

// Its first templates open the answer with every user's turn.
constexpr ChatForm early_phi_form(std::string_view name, std::string_view start) {
  return {.name = name,
          .start = start,
          .default_system = {},
          .system = {},
          .user = {"<|user|>\n", "<|end|>\n<|assistant|>\n"},
          .assistant = {"", "<|end|>\n"},
          .first_system = System::kIgnored,
          .later_system = System::kIgnored,
          .generation = {}};
}

constexpr ChatForm llama_3_form(std::string_view name, std::string_view system_head,
                                std::string_view default_system) {
  return {.name = name,
          .start = "<|begin_of_text|>",
          .default_system = default_system,
          .system = {system_head, "<|eot_id|>", true},
          .user = {LLAMA_3_HEAD("user"), "<|eot_id|>", true},
          .assistant = {LLAMA_3_HEAD("assistant"), "<|eot_id|>", true},
          .later = {LLAMA_3_HEAD("system"), "<|eot_id|>", true},
          .generation = LLAMA_3_HEAD("assistant")};
}

constexpr std::array kForms = {
    im_form("chatml", ""),
    gemma_form("gemma", System::kRefused),
    gemma_form("gemma-3", System::kFirstUser),
    ChatForm{.name = "llama-2",
             .start = {},
             .default_system = {},
             .system = {"<<SYS>>\n", "\n<</SYS>>\n\n"},
             .user = {"<s>[INST] ", " [/INST]", true},
             .assistant = {" ", " </s>", true},
             .first_system = System::kFirstUser,
             .later_system = System::kIgnored,
             .trims_folded = true,
             .alternates = true,
             .generation = {}},
    llama_3_form("llama-3", LLAMA_3_HEAD("system"), {}),
    llama_3_form("llama-3.1", kLlama31System, kLlama31NoSystem),
    mistral_form("mistral", {"[INST] ", " [/INST]"}, {"", "</s>"}, System::kRefused),
    mistral_form("mistral-nemo", {"[INST]", "[/INST]"}, {"", "</s>"}, System::kLastUser),
    mistral_form("mistral-v0.1", {"[INST] ", " [/INST]"}, {"", "</s> "}, System::kRefused),
    mistral_form("mistral-v0.2", {" [INST] ", " [/INST]"}, {" ", "</s>"}, System::kFirstUser),
    mistral_form("mistral-v3", {"[INST] ", "[/INST]"}, {" ", "</s>", true}, System::kLastUser),
    mistral_form("mistral-v3-first", {"[INST] ", "[/INST]"}, {" ", "</s>", true}, System::kFirstUser),
    early_phi_form("phi-3", "<s>"),
    early_phi_form("phi-3-medium", ""),
    phi_form("phi-3.1", false),
    phi_form("phi-3.5", true),
    ChatForm{.name = "phi-4-mini",
             .start = {},
             .default_system = {},
             .system = {"<|system|>", "<|end|>"},
             .user = {"<|user|>", "<|end|>"},
             .assistant = {"<|assistant|>", "<|end|>"},
             .generation = "<|assistant|>",
             .finish = "<|endoftext|>"},
    im_form("qwen1.5", "<|im_start|>system\nYou are a helpful assistant<|im_end|>\n"),
    im_form("qwen2", "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"),
    im_form("qwen2.5",
            "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful "
            "assistant.<|im_end|>\n"),
    im_form("qwen3", "", kImAnswer, true),
    im_form("qwen3-no-think", "", "<|im_start|>assistant\n<think>\n\n</think>\n\n", true),
    im_form("smollm2",
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
            "Face<|im_end|>\n"),
    ChatForm{.name = "zephyr",
             .start = {},
             .default_system = {},
             .system = {"<|system|>\n", "</s>\n"},
             .user = {"<|user|>\n", "</s>\n"},
             .assistant = {"<|assistant|>\n", "</s>\n"},
             .generation = "<|assistant|>\n"},
};

}  // namespace

std::span<const ChatForm> chat_forms() { return kForms; }

}  // namespace evictbench
