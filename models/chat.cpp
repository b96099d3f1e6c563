#include "models/chat.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "core/io/file.h"
#include "core/io/json.h"

namespace evictbench {
namespace {

// Prefix, text of the user and suffix are encoded one by one. A SentencePiece tokenizer puts a space in front of each,
// so the templates of SentencePiece models spell none there: "<s>[INST]" "Hello" "[/INST]" becomes the ids of
// "<s>[INST] Hello [/INST]", and where [INST] is a control token, those of "<s>[INST] Hello[/INST]".
const std::array<ChatTemplate, 5>& templates() {
  static const std::array<ChatTemplate, 5> all = {{
      {"chatml", "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"},
      {"llama-2", "<s>[INST]", "[/INST]"},
      {"llama-3", "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n",
       "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"},
      {"mistral", "<s>[INST]", "[/INST]"},
      {"smollm2",
       "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
       "<|im_start|>user\n",
       "<|im_end|>\n<|im_start|>assistant\n"},
  }};
  return all;
}

// XXH3 of template texts we know letter by letter (the test has them): a template is a program, and we run none.
struct Known {
  std::uint64_t hash;
  std::string_view name;
};
constexpr std::array<Known, 6> kKnown = {{
    {0x99ab995e9629dacd, "smollm2"},
    {0xa04f41d813a07b13, "chatml"},
    {0x4c6e807ee5fe9f4a, "chatml"},
    {0xb97891b7adc1beb8, "llama-3"},
    {0x9799ad6e2dea0594, "llama-3"},
    {0xa5d004210ebce758, "mistral"},
}};

struct Found {
  std::string text, file;
};

// The chat template of a model folder; a file of its own wins over tokenizer_config.json.
std::optional<Found> find_template(const std::string& folder) {
  const std::string jinja = folder + "/chat_template.jinja", config = folder + "/tokenizer_config.json";
  if (is_file(jinja)) return Found{read_text(jinja, Exit::kInput, "E-CT", 1 << 24), jinja};
  if (!is_file(config)) return std::nullopt;
  const auto value = Json::from_file(config, {.code_prefix = "E-CT"}).find("chat_template");
  if (!value) return std::nullopt;
  if (!value->is_array()) return Found{value->string(), config};
  for (std::size_t i = 0; i < value->size(); ++i)
    if ((*value)[i].at("name").string() == "default")
      return Found{(*value)[i].at("template").string(), config};
  value->reject("02", "several chat templates, none named default", "one, or one named default",
                fmt::format("choose with --chat none|{}", fmt::join(chat_template_names(), "|")));
}

const ChatTemplate* by_name(std::string_view name) {
  const auto found = std::ranges::find(templates(), name, &ChatTemplate::name);
  return found == templates().end() ? nullptr : &*found;
}

}  // namespace

std::vector<std::string> chat_template_names() {
  std::vector<std::string> names;
  for (const ChatTemplate& each : templates()) names.push_back(each.name);
  return names;
}

ChatTemplate load_chat_template(const std::string& folder, const std::string& choice) {
  const ChatTemplate none{"none", "", ""};
  const std::vector<std::string> names = chat_template_names();
  const std::string choices = fmt::format("none|{}", fmt::join(names, "|"));
  if (choice == "none") return none;
  if (const ChatTemplate* named = by_name(choice)) return *named;
  if (choice != "auto") {
    const std::string near = nearest(choice, names);
    reject(Exit::kUsage,
           {"E-CT-03", "--chat", "", fmt::format("no chat template '{}'", printable(choice)),
            "auto|" + choices, near.empty() ? "choose one of these" : fmt::format("did you mean {}?", near)});
  }
  const auto found = find_template(folder);
  if (!found) return none;
  const std::uint64_t hash = XXH3_64bits(found->text.data(), found->text.size());
  if (const auto known = std::ranges::find(kKnown, hash, &Known::hash); known != kKnown.end())
    return *by_name(known->name);
  reject(Exit::kInput,
         {"E-CT-01", found->file, "",
          fmt::format("a chat template we do not know (XXH3 {:016x}): '{}'", hash, printable(found->text)),
          "a known one: templates are programs and are not run", "choose with --chat " + choices});
}

}  // namespace evictbench
