#include "models/chat.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <optional>

#include "core/io/file.h"
#include "core/io/json.h"
#include "models/chat_forms.h"
#include "models/folder.h"
#include "models/gguf.h"

namespace evictbench {
namespace {

// What a conversation of one user's turn has before the content and behind it.
ChatTemplate template_of(const ChatForm& form) {
  return {std::string(form.name), fmt::format("{}{}{}", form.start, form.default_system, form.user.head),
          fmt::format("{}{}", form.user.tail, form.generation)};
}

// XXH3 of template texts we know letter by letter (tests/models/chat_templates has them): a template is a program, and
// we run none.
struct Known {
  std::uint64_t hash;
  std::string_view name;
};
constexpr Known kKnown[] = {
    {0xa04f41d813a07b13, "chatml"},
    {0x4c6e807ee5fe9f4a, "chatml"},
    {0xd9c620dcaf86f38d, "gemma-3"},
    {0xd927416abefac232, "gemma-3"},
    {0x2c2e86beabccd2a4, "gemma"},
    {0x24f6d97f87d647f5, "llama-2"},
    {0xcb7c5112dfc4a3b0, "llama-2"},
    {0x6ca7779b7730196a, "llama-3.1"},
    {0xc3d57e38f5ff0756, "llama-3.1"},
    {0xb97891b7adc1beb8, "llama-3"},
    {0x9799ad6e2dea0594, "llama-3"},
    {0xcae647ce0048756b, "mistral-nemo"},
    {0xb7f52373b11c60d7, "mistral-v0.1"},
    {0xf89cfc57f651ff3d, "mistral-v0.2"},
    {0x8f56a617f1d50700, "mistral-v3-first"},
    {0xc6614466504d495b, "mistral-v3"},
    {0xa5d004210ebce758, "mistral"},
    {0x874eeb59684ce46e, "phi-3-medium"},
    {0x82fc89c04c54ba66, "phi-3.1"},
    {0x94a6330d43aa662a, "phi-3.1"},
    {0xcd8aff863abd4554, "phi-3.5"},
    {0x551cbfd01fcc4680, "phi-3"},
    {0x1c0680782a7c9316, "phi-4-mini"},
    {0x20f20c2b5139eaee, "qwen1.5"},
    {0x2469c9508f79506e, "qwen2.5"},
    {0xd5d943bd0bd9082f, "qwen2"},
    {0xc31e98db8c19d1d3, "qwen2"},
    {0x0283f874ff58d644, "qwen3"},
    {0x99ab995e9629dacd, "smollm2"},
    {0x1db34e9fc60441d8, "zephyr"},
    {0xd9fe74edcb57aa82, "zephyr"},
};

struct Found {
  std::string text, file;
};

// The chat template of a GGUF file or a model folder; there a file of its own wins over tokenizer_config.json.
std::optional<Found> find_template(const std::string& folder) {
  if (is_gguf(folder)) {
    const Gguf file(folder);
    const auto text = file.text("tokenizer.chat_template");
    return text ? std::optional(Found{std::string(*text), folder}) : std::nullopt;
  }
  const std::string jinja = folder + "/chat_template.jinja", config = folder + "/tokenizer_config.json";
  if (is_present(jinja)) return Found{read_text(jinja, Exit::kInput, "E-CT", 1 << 24), jinja};
  if (!is_present(config)) return std::nullopt;
  const auto value = Json::from_file(config, {.code_prefix = "E-CT"}).find("chat_template");
  if (!value) return std::nullopt;
  if (!value->is_array()) return Found{value->string(), config};
  for (std::size_t i = 0; i < value->size(); ++i)
    if ((*value)[i].at("name").string() == "default")
      return Found{(*value)[i].at("template").string(), config};
  value->reject("02", "several chat templates, none named default", "one, or one named default",
                fmt::format("choose with --chat none|{}", fmt::join(chat_template_names(), "|")));
}

std::optional<ChatTemplate> by_name(std::string_view name) {
  const auto found = std::ranges::find(chat_forms(), name, &ChatForm::name);
  return found == chat_forms().end() ? std::nullopt : std::optional(template_of(*found));
}

}  // namespace

std::vector<std::string> chat_template_names() {
  std::vector<std::string> names;
  for (const ChatForm& each : chat_forms()) names.emplace_back(each.name);
  return names;
}

Tokens encode_opening(const Tokenizer& tokenizer, const ChatTemplate& chat, const std::string& text) {
  std::string_view prefix = chat.prefix;
  const bool spaced = prefix.ends_with(' ');  // tokens begin with spaces: this one goes to the text
  if (spaced) prefix.remove_suffix(1);
  Tokens ids = tokenizer.encode(prefix, {.add_special = false, .parse_special = true});
  const Tokens more =
      tokenizer.encode(spaced ? " " + text : text, {.add_special = false, .continues = !prefix.empty()});
  ids.insert(ids.end(), more.begin(), more.end());
  return ids;
}

Tokens encode_closing(const Tokenizer& tokenizer, const ChatTemplate& chat, const std::string& answer) {
  Tokens ids =
      tokenizer.encode(chat.suffix, {.add_special = false, .parse_special = true, .continues = true});
  const Tokens more =
      tokenizer.encode(answer, {.add_special = false, .continues = chat.suffix.ends_with('\n')});
  ids.insert(ids.end(), more.begin(), more.end());
  return ids;
}

ChatTemplate load_chat_template(const std::string& folder, const std::string& choice) {
  const ChatTemplate none{"none", "", ""};
  const std::vector<std::string> names = chat_template_names();
  const std::string choices = fmt::format("none|{}", fmt::join(names, "|"));
  if (choice == "none") return none;
  if (const auto named = by_name(choice)) return *named;
  if (choice != "auto") {
    const std::string near = nearest(choice, names);
    reject(Exit::kUsage,
           {"E-CT-03", "--chat", "", fmt::format("no chat template '{}'", printable(choice)),
            "auto|" + choices, near.empty() ? "choose one of these" : fmt::format("did you mean {}?", near)});
  }
  const auto found = find_template(folder);
  if (!found) return none;
  std::string_view text = found->text;
  if (text.ends_with('\n')) text.remove_suffix(1);  // as Jinja does
  const std::uint64_t hash = XXH3_64bits(text.data(), text.size());
  if (const auto known = std::ranges::find(kKnown, hash, &Known::hash); known != std::end(kKnown))
    return *by_name(known->name);
  reject(Exit::kInput,
         {"E-CT-01", found->file, "",
          fmt::format("a chat template we do not know (XXH3 {:016x}): '{}'", hash, printable(found->text)),
          "a known one: templates are programs and are not run", "choose with --chat " + choices});
}

}  // namespace evictbench
