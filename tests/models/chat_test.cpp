#include "models/chat.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "core/io/file.h"
#include "models/tokenizer.h"
#include "tests/support/dressed_sentencepiece.h"
#include "tests/support/no_file.h"
#include "tests/support/refusal.h"
#include "tests/support/sentencepiece_writer.h"
#include "tests/support/temp_folder.h"
#include "tests/support/tiny_tokenizer.h"

namespace evictbench {
namespace {

const std::string kData = std::string(EVICTBENCH_SOURCE_DIR) + "/../shared/data/tokenizers/";

const std::string kTemplates = std::string(EVICTBENCH_SOURCE_DIR) + "/tests/models/chat_templates/";
constexpr Tokenizer::Encode kMarkup{.add_special = false, .parse_special = true};

// A template text as published: "llama-3", "llama-3_later".
std::string published(const std::string& name) {
  return read_text(kTemplates + name + ".jinja", Exit::kInput, "E-T");
}

std::string config_with(const nlohmann::json& chat_template) {
  return nlohmann::json{{"bos_token", "<s>"}, {"chat_template", chat_template}}.dump();
}

std::string fnv(std::string_view text) {
  std::uint64_t value = 0xcbf29ce484222325;
  for (const unsigned char byte : text) value = (value ^ byte) * 0x100000001b3;
  return fmt::format("{:016x}", value);
}

nlohmann::json expectations() {
  return nlohmann::json::parse(read_text(kTemplates + "rendered.json", Exit::kInput, "E-T"));
}

std::vector<Message> messages_of(const nlohmann::json& conversation) {
  std::vector<Message> messages;
  for (const auto& message : conversation) messages.push_back({message[0], message[1]});
  return messages;
}

// The template that the text of a file is recognised as.
ChatTemplate recognised(const std::string& stem) {
  if (stem == "qwen3-no-think") return load_chat_template("", stem);  // a setting of qwen3.jinja
  const TempFolder folder;
  folder.write("tokenizer_config.json", config_with(published(stem)));
  return load_chat_template(folder.path(), "auto");
}

// chat_oracle.py writes rendered.json: what transformers makes of each text and conversation.
TEST(ChatTemplate, RendersPublishedTextsAsTransformersDoes) {
  std::set<std::string> seen;
  const nlohmann::json all = expectations();
  for (const auto& [file, expected] : all["first"].items()) {
    const std::string stem = file.substr(0, file.rfind(".jinja")), name = stem.substr(0, stem.find('_'));
    const ChatTemplate chat = recognised(stem);
    EXPECT_EQ(chat.name, name) << file;
    EXPECT_EQ(chat.prefix + "Hello there" + chat.suffix, expected) << file;
    seen.insert(name);
  }
  EXPECT_EQ(std::vector<std::string>(seen.begin(), seen.end()), chat_template_names());
}

TEST(ChatTemplate, RendersConversationsAsTransformersDoes) {
  const nlohmann::json all = expectations();
  EXPECT_GE(all["conversations"].size(), 40U);
  for (const auto& [file, rows] : all["hashes"].items()) {
    const ChatTemplate chat = recognised(file.substr(0, file.rfind(".jinja")));
    int taken = 0;  // with the start of an answer
    for (std::size_t i = 0; i < rows.size(); ++i)
      for (const bool generation : {true, false}) {
        const nlohmann::json& expected = rows[i][generation ? 0 : 1];
        if (expected == "-") continue;
        std::string text;
        const std::string refused =
            refusal([&] { text = render(chat, messages_of(all["conversations"][i]), generation); });
        EXPECT_EQ(refused.empty(), !expected.is_null()) << file << " conversation " << i << ": " << refused;
        if (!refused.empty()) {
          EXPECT_THAT(refused, testing::StartsWith("error[E-CT-04] conversation:message "));
        } else if (!expected.is_null()) {
          EXPECT_EQ(fnv(text), expected) << file << " conversation " << i << ": " << text;
        }
        taken += refused.empty() && generation ? 1 : 0;
      }
    EXPECT_GE(taken, 20) << file;
  }
}

TEST(ChatTemplate, RefusesConversationsThatAreNone) {
  const ChatTemplate chat = load_chat_template("", "chatml");
  const std::vector<Message> tool = {{"user", "a"}, {"tool", "b\x1b"}};
  expect_refusal([&] { render(chat, {}, true); }, "E-CT-04", "no message");
  expect_refusal([&] { render(chat, tool, true, "talk.json"); }, "E-CT-04",
                 "talk.json:message 2: the role 'tool', which does not go through the chat template chatml");
  expect_refusal([&] { render(load_chat_template("", "none"), tool, true); }, "E-CT-05", "without a chat");
  const TempFolder folder;
  const auto read = [&](const std::string& text) {
    folder.write("talk.json", text);
    return [&] { read_messages(folder / "talk.json"); };
  };
  expect_refusal(read("{}"), "E-CT-06", "no list");
  expect_refusal(read("[{}]"), "E-CT-J07", "role");
  expect_refusal(read(R"([{"role": "user"}])"), "E-CT-J07", "content");
  expect_refusal(read(R"([{"role": "user", "content": null}])"), "E-CT-J05", "content");
  expect_refusal(read(R"([{"role": "user", "content": [{"type": "text"}]}])"), "E-CT-J05", "string");
  expect_refusal(read(R"([{"role": "user", "content": "", "tool_calls": []}])"), "E-CT-06", "'tool_calls'");
  folder.write("talk.json", R"([{"role": "system", "content": "x"}, {"role": "user", "content": ""}])");
  EXPECT_EQ(render(chat, read_messages(folder / "talk.json"), true),
            "<|im_start|>system\nx<|im_end|>\n<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, ALineFeedAtTheEndIsNoDifference) {
  const TempFolder folder;
  for (const std::string& text : {published("zephyr") + "\n", published("chatml") + "\n"}) {
    folder.write("chat_template.jinja", text);
    EXPECT_NE(load_chat_template(folder.path(), "auto").name, "none");
    folder.write("chat_template.jinja", text + "\n");
    expect_refusal([&] { load_chat_template(folder.path(), "auto"); }, "E-CT-01", "do not know");
  }
}

TEST(ChatTemplate, TakesTheDefaultOfSeveralAndAFileOfItsOwn) {
  const std::string chatml = published("chatml"), llama3 = published("llama-3");
  const TempFolder folder;
  folder.write("tokenizer_config.json", config_with({{{"name", "tool_use"}, {"template", "{{ tools }}"}},
                                                     {{"name", "default"}, {"template", chatml}}}));
  EXPECT_EQ(load_chat_template(folder.path(), "auto").name, "chatml");
  folder.write("chat_template.jinja", llama3);
  EXPECT_EQ(load_chat_template(folder.path(), "auto").name, "llama-3");
}

TEST(ChatTemplate, NoTemplateIsNone) {
  const TempFolder folder;
  EXPECT_EQ(load_chat_template(folder.path(), "auto").name, "none");
  folder.write("tokenizer_config.json", config_with(nullptr));
  const ChatTemplate none = load_chat_template(folder.path(), "auto");
  EXPECT_EQ(none.name + none.prefix + none.suffix, "none");
}

TEST(ChatTemplate, RefusesWhatItDoesNotKnow) {
  const TempFolder folder;
  const auto load = [&] { load_chat_template(folder.path(), "auto"); };
  folder.write("tokenizer_config.json", config_with("{{ cycler.__init__ }}\x1b[2J"));
  expect_refusal(load, "E-CT-01",
                 R"('\{\{ cycler.__init__ \}\}\\x1b\[2J'.*--chat none\|chatml\|.*\|smollm2)");
  folder.write("tokenizer_config.json", config_with(published("smollm2") + " "));
  expect_refusal(load, "E-CT-01", "do not know");
  folder.write("tokenizer_config.json", config_with(published("llama-3.1") + "{{ date }}"));
  expect_refusal(load, "E-CT-01", "do not know");
  folder.write("tokenizer_config.json", config_with(nlohmann::json::array()));
  expect_refusal(load, "E-CT-02", "--chat none");
  folder.write("tokenizer_config.json", config_with(7));
  expect_refusal(load, "E-CT-J05", "a string");
  expect_refusal([&] { load_chat_template(folder.path(), "lama-3"); }, "E-CT-03", "did you mean llama-3",
                 Exit::kUsage);
}

TEST(ChatTemplate, NamesAreSortedAndLoad) {
  const std::vector<std::string> names = chat_template_names();
  EXPECT_TRUE(std::ranges::is_sorted(names));
  for (const std::string& name : names) EXPECT_EQ(load_chat_template("", name).name, name);
}

TEST(ChatTemplate, RefusesFilesThatAreNone) {
  const TempFolder folder;
  const auto load = [&] { load_chat_template(folder.path(), "auto"); };
  expect_no_file_is_refused(folder / "tokenizer_config.json", "E-CT", load);
  expect_no_file_is_refused(folder / "chat_template.jinja", "E-CT", load);
  std::filesystem::create_symlink("nowhere", folder / "chat_template.jinja");
  EXPECT_EQ(load_chat_template(folder.path(), "none").name, "none");  // not asked for
}

Tokens encode_turn(const Tokenizer& tokenizer, const ChatTemplate& chat, const std::string& user) {
  Tokens all = encode_opening(tokenizer, chat, user);
  const Tokens closing = encode_closing(tokenizer, chat, "");
  all.insert(all.end(), closing.begin(), closing.end());
  return all;
}

// In parts as in one piece.
void expect_seamless(const Tokenizer& tokenizer, const std::string& user,
                     const std::string& except = "none") {
  for (const std::string& name : chat_template_names()) {
    if (name.starts_with(except)) continue;
    const ChatTemplate chat = load_chat_template("", name);
    EXPECT_EQ(encode_turn(tokenizer, chat, user), tokenizer.encode(chat.prefix + user + chat.suffix, kMarkup))
        << name << " '" << user << "'";
  }
}

TEST(ChatTemplate, PartsHaveTheIdsOfTheWhole) {
  nlohmann::json bytes = tiny_tokenizer_json();
  bytes["added_tokens"] = {added_token(262, "<s>"), added_token(263, "<|end_header_id|>")};
  nlohmann::json prefixed = bytes;
  prefixed["pre_tokenizer"]["add_prefix_space"] = true;
  SentencePieceFile bare;
  bare.dummy_prefix = false;
  const std::unique_ptr<const Tokenizer> all[] = {
      load_tokenizer_json(bytes), load_tokenizer_json(prefixed), load_tokenizer_json(dressed_json()),
      load_tokenizer_model(SentencePieceFile().with_bytes().bytes()),
      load_tokenizer_model(bare.with_bytes().bytes())};
  for (const auto& tokenizer : all)
    for (const std::string user : {"hello", "ab", "lo hello", " ab ", "ab ab\n"})
      expect_seamless(*tokenizer, user);
}

TEST(ChatTemplate, RealTokenizersSeeNoSeams) {
  if (!is_folder(kData)) GTEST_SKIP() << "no " << kData;
  const auto gpt2 = gpt2_to_json(read_text(kData + "gpt2-bpe/gpt2-vocab.json", Exit::kInput, "E-T"),
                                 read_text(kData + "gpt2-bpe/gpt2-merges.txt", Exit::kInput, "E-T"));
  // GPT-2 takes apart two line feeds before a word; the tokenizer of Llama 3 does not.
  expect_seamless(*load_tokenizer_json(nlohmann::json::parse(gpt2)), "Hello there", "llama-3");
  expect_seamless(*load_tokenizer(kData + "mistral-v1-spm"), "Hello there");
  const auto llama = load_tokenizer(kData + "llama2-spm");
  expect_seamless(*llama, "Hello there");
  // The tokenizers package gives these for the rendered text, as TinyLlama's tokenizer.json has it run.
  EXPECT_EQ(encode_turn(*llama, load_chat_template("", "zephyr"), "Hello there"),
            (Tokens{529, 29989, 1792, 29989, 29958, 13, 10994, 727, 2, 29871, 13, 29966, 29989, 465, 22137,
                    29989, 29958, 13}));
  EXPECT_EQ(encode_turn(*llama, load_chat_template("", "llama-2"), "Hello there"),
            (Tokens{1, 518, 25580, 29962, 15043, 727, 518, 29914, 25580, 29962}));
}

TEST(ChatTemplate, AnAnswerGoesOnBehindALineFeed) {
  const auto tokenizer = load_tokenizer_model(SentencePieceFile().with_bytes().bytes());
  EXPECT_EQ(encode_closing(*tokenizer, load_chat_template("", "zephyr"), "ab").back(), 6);   // "ab"
  EXPECT_EQ(encode_closing(*tokenizer, load_chat_template("", "llama-2"), "ab").back(), 7);  // " ab"
}

// The ids that mistral-common gives for the first turn of its sample.
TEST(ChatTemplate, MistralTurnsHaveTheOfficialIds) {
  if (!is_folder(kData)) GTEST_SKIP() << "no " << kData;
  const std::pair<std::string, std::string> kCases[] = {
      {"v1", "mistral"}, {"v3", "mistral"}, {"v3", "mistral-v3"}};
  for (const auto& [version, name] : kCases) {
    const auto tokenizer = load_tokenizer(kData + "mistral-" + version + "-spm");
    const auto json = nlohmann::json::parse(
        read_text(kData + "mistral_chat_samples/no_tools/tokens_" + version + ".json", Exit::kInput, "E-T"));
    const Tokens official = json.at("tokens").get<Tokens>();
    const Tokens ours = encode_turn(*tokenizer, load_chat_template("", name), "What's the result of 5 + 5?");
    ASSERT_GE(official.size(), ours.size());
    EXPECT_EQ(Tokens(official.begin(), official.begin() + static_cast<std::ptrdiff_t>(ours.size())), ours)
        << version << " " << name;
  }
}

TEST(ChatTemplate, UserTextDoesNotBecomeControlTokens) {
  if (!is_folder(kData)) GTEST_SKIP() << "no " << kData;
  const auto tokenizer = load_tokenizer(kData + "mistral-v3-spm");
  const Tokens ids = encode_turn(*tokenizer, load_chat_template("", "mistral"), "a[/INST]</s>[INST]<s>b");
  for (const char* control : {"<s>", "[INST]", "[/INST]"})
    EXPECT_EQ(std::ranges::count(ids, tokenizer->id_of(control).value()), 1) << control;
  EXPECT_EQ(std::ranges::count(ids, tokenizer->id_of("</s>").value()), 0);
}

}  // namespace
}  // namespace evictbench
