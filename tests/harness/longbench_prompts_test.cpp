// What a model sees of LongBench under every named protocol: each switch, worked by hand over a tokenizer whose tokens are bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "datasets/longbench_protocols.h"
#include "datasets/registry.h"
#include "harness/prompts.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/longbench_files.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

using nlohmann::json;

// Examples of one task under a protocol, with a context, an input and options of choice.
struct Asked {
  std::string task = "hotpotqa", protocol = "longbench", context = "CONTEXT", input = "INPUT",
              truncate = "faithful", name = "longbench";
  int max_tokens = 0;

  Example example() const {
    const TempFolder folder;
    folder.write(
        task + (name == "longbench-e" ? "_e.jsonl" : ".jsonl"),
        longbench_line("a",
                       {{"context", context}, {"input", input}, {"dataset", task}, {"all_classes", {"x"}}}));
    std::map<std::string, std::vector<std::string>> keys{
        {"name", {name}}, {"path", {folder.path()}}, {"protocol", {protocol}}};
    if (max_tokens > 0) keys["max_tokens"] = {std::to_string(max_tokens)};
    if (truncate != "faithful") keys["truncate"] = {truncate};
    const auto datasets = make_datasets(longbench_options(keys));
    return datasets.at(0)->examples({}).at(0);
  }

  // The prompt with all specials spelled, and a bar where the question begins.
  std::string shown(const std::string& chat, const Tokenizer& tokenizer = ByteTokenizer()) const {
    const Prompt prompt = encode_example(tokenizer, load_chat_template("", chat), example());
    return tokenizer.decode(prompt.context, true) + "|" + tokenizer.decode(prompt.question, true);
  }
};

const std::string kHotpotHead =
    "Answer the question based on the given passages. Only give me the answer and do not output any other "
    "words.\n\nThe "
    "following are given passages.\nCONTEXT\n\nAnswer the question based on the given passages. Only give me "
    "the answer "
    "and do not output any other words.\n\n";
const std::string kHotpotTail = "Question: INPUT\nAnswer:";
const std::string kCodeHead = "Please complete the code given below. \nCONTEXT";
const std::string kCodeTail = "INPUTNext line of code:\n";
const std::string kLlama3Before = "<|start_header_id|>user<|end_header_id|>\n\n";
const std::string kLlama3After = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n";

TEST(LongBenchPrompt, OfLongBench) {
  EXPECT_EQ(Asked{}.shown("none"), "<s>" + kHotpotHead + "|" + kHotpotTail);
  EXPECT_EQ(Asked{}.shown("llama-2"),
            "<s>[INST]" + kHotpotHead + "|" + kHotpotTail + "[/INST]");  // no blanks
  // Models that LongBench does not name take their own template, whose BOS is the only one.
  EXPECT_EQ(Asked{}.shown("llama-3", ByteTokenizer("<|begin_of_text|>")),
            "<|begin_of_text|>" + kLlama3Before + kHotpotHead + "|" + kHotpotTail + kLlama3After);
  for (const char* chat : {"none", "llama-2", "llama-3"})  // code goes into no template
    EXPECT_EQ((Asked{.task = "lcc"}.shown(chat)), "<s>" + kCodeHead + "|Next line of code:\n");
  EXPECT_EQ((Asked{.task = "repobench-p"}.shown("llama-2")), "<s>" + kCodeHead + "|" + kCodeTail);
}

TEST(LongBenchPrompt, OfCompressKv) {
  const auto asked = [](const std::string& task = "hotpotqa") {
    return Asked{.task = task, .protocol = "compresskv"};
  };
  EXPECT_EQ(asked().shown("llama-2"), "<s>[INST]" + kHotpotHead + "|" + kHotpotTail + "[/INST]");
  for (const char* chat : {"llama-3", "llama-3.1"})  // a BOS spelled behind the tokenizer's
    EXPECT_EQ(asked().shown(chat, ByteTokenizer("<|begin_of_text|>")), "<|begin_of_text|><|begin_of_text|>" +
                                                                           kLlama3Before + kHotpotHead + "|" +
                                                                           kHotpotTail + kLlama3After);
  EXPECT_EQ(asked().shown("qwen2.5"),
            "<s><|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful "
            "assistant.<|im_end|>\n"
            "<|im_start|>user\n" +
                kHotpotHead + "|" + kHotpotTail + "<|im_end|>\n<|im_start|>assistant\n");
  for (const char* chat : {"mistral", "mistral-v3", "smollm2", "none"})
    EXPECT_EQ(asked().shown(chat), "<s>" + kHotpotHead + "|" + kHotpotTail);
  EXPECT_EQ(asked("repobench-p").shown("llama-3"), "<s>" + kCodeHead + "|" + kCodeTail);
}

TEST(LongBenchPrompt, OfSnapKv) {
  const auto asked = [](const std::string& task = "hotpotqa") {
    return Asked{.task = task, .protocol = "snapkv"};
  };
  EXPECT_EQ(asked().shown("llama-2"), "<s>[INST]" + kHotpotHead + "|" + kHotpotTail + "[/INST]");
  for (const char* chat : {"mistral-v0.2", "llama-3", "none"})
    EXPECT_EQ(asked().shown(chat), "<s>" + kHotpotHead + "|" + kHotpotTail);
  EXPECT_EQ(asked("repobench-p").shown("llama-2"), "<s>" + kCodeHead + "|" + kCodeTail);
}

TEST(LongBenchPrompt, OfKvCacheFactory) {
  const auto asked = [](const std::string& task = "hotpotqa") {
    return Asked{.task = task, .protocol = "kvcache-factory"};
  };
  EXPECT_EQ(asked().shown("llama-2"), "<s>[INST] " + kHotpotHead + "|" + kHotpotTail + " [/INST]");
  EXPECT_EQ(asked("repobench-p").shown("llama-2"), "<s>[INST] " + kCodeHead + "|" + kCodeTail + " [/INST]");
  for (const char* chat : {"llama-3", "mistral", "none"})
    EXPECT_EQ(asked().shown(chat), "<s>" + kHotpotHead + "|" + kHotpotTail);
  // The template counts in the limit, and what is cut is the middle of all.
  Asked cut = asked("repobench-p");
  cut.context = std::string(200, 'x');
  cut.max_tokens = 40;
  // 20 tokens each: BOS, "[INST] " and the first 12 letters; "Next line of code:\n [/INST]" has 27, so its last 20.
  EXPECT_EQ(cut.shown("llama-2"), "<s>[INST] Please compl|ne of code:\n [/INST]");
}

TEST(LongBenchPrompt, OfKvPress) {
  const auto asked = [](const std::string& task = "hotpotqa") {
    return Asked{.task = task, .protocol = "kvpress"};
  };
  EXPECT_EQ(asked().shown("llama-3"), "<|begin_of_text|>" + kLlama3Before + kHotpotHead +
                                          "|Question: INPUT\n" + kLlama3After + "Answer:");
  EXPECT_EQ(asked().shown("none"), "<s>" + kHotpotHead + "|Question: INPUT\n\nAnswer:");
  EXPECT_EQ(asked("lcc").shown("llama-3"),  // every task in the template
            "<|begin_of_text|>" + kLlama3Before + kCodeHead + "|" + kLlama3After + "Next line of code:\n");
  Asked trec = asked("trec");
  trec.input = "Question: Who ?\nType:";
  EXPECT_EQ(
      trec.shown("none"),
      "<s>Please determine the type of the question below. Here are some examples of questions.\n\nCONTEXT\n|"
      "Question: Who ?\n\nType:");
  // The context loses its end, template included; the question comes on top.
  Asked cut = asked("lcc");
  cut.max_tokens = 50;
  EXPECT_EQ(cut.shown("llama-3"), "<|begin_of_text|>" + (kLlama3Before + kCodeHead).substr(0, 49) + "|" +
                                      kLlama3After + "Next line of code:\n");
}

TEST(LongBenchPrompt, AnswersEndAsEachProtocolSays) {
  struct Row {
    const char *protocol, *task;
    bool line_ends, first_may_end;
    int max_new;
  };
  for (const Row& row : {Row{"longbench", "samsum", true, false, 128},
                         {"longbench", "hotpotqa", false, true, 32},
                         {"compresskv", "samsum", true, false, 128},
                         {"compresskv", "hotpotqa", false, true, 32},
                         {"snapkv", "samsum", true, false, 128},
                         {"snapkv", "hotpotqa", false, false, 32},
                         {"kvcache-factory", "samsum", false, false, 128},
                         {"kvcache-factory", "hotpotqa", false, false, 32},
                         {"kvpress", "samsum", false, true, 148},
                         {"kvpress", "hotpotqa", false, true, 52}}) {
    for (const char* name : {"longbench", "longbench-e"}) {
      const Example example = Asked{.task = row.task, .protocol = row.protocol, .name = name}.example();
      EXPECT_EQ(example.line_ends, row.line_ends) << name << " " << row.protocol << " " << row.task;
      EXPECT_EQ(example.first_may_end, row.first_may_end) << name << " " << row.protocol << " " << row.task;
      EXPECT_EQ(example.max_new, row.max_new) << name << " " << row.protocol << " " << row.task;
    }
  }
  EXPECT_EQ(longbench_protocols().size(), 5U) << "a protocol without tests";
}

// "Please complete the code given below. \n" is 39 bytes, "Next line of code:\n" 19.
TEST(LongBenchCut, KeepsTwoHalves) {
  Asked asked{.task = "lcc",
              .context = "0123456789abcdefghijklmnopqrstuvwxyz"};  // 36: a prompt of 94 and its BOS
  asked.max_tokens = 95;
  const std::string whole = asked.shown("none");
  EXPECT_EQ(
      whole,
      "<s>Please complete the code given below. \n0123456789abcdefghijklmnopqrstuvwxyz|Next line of code:\n");
  for (const int most : {94, 95 - 2}) {  // 94 and 93 keep 47 + 47 and 46 + 46, of which the BOS is one
    asked.max_tokens = most;
    const std::size_t half = static_cast<std::size_t>(most / 2);
    const std::string text = whole.substr(3, whole.find('|') - 3) + "Next line of code:\n";
    const std::string head = text.substr(0, half - 1) + text.substr(text.size() - half);
    EXPECT_EQ(asked.shown("none"), "<s>" + head.substr(0, head.size() - 19) + "|Next line of code:\n");
    asked.truncate = "ids";
    EXPECT_EQ(asked.shown("none"), "<s>" + head.substr(0, head.size() - 19) + "|Next line of code:\n");
    asked.truncate = "faithful";
  }
}

TEST(LongBenchCut, CutsBeforeTheTemplateAndMayCutTheQuestion) {
  Asked asked{.context = std::string(300, 'x'), .max_tokens = 46};
  // 23 each and no more than the question: BOS and 22 letters, then the whole question.
  EXPECT_EQ(asked.shown("llama-2"), "<s>[INST]Answer the question ba|Question: INPUT\nAnswer:[/INST]");
  asked.max_tokens =
      20;  // ten each: the question is not whole, and the seam parts what is kept from what asks
  EXPECT_EQ(asked.shown("llama-2"), "<s>[INST]Answer th|UT\nAnswer:[/INST]");
  asked.truncate = "ids";
  EXPECT_EQ(asked.shown("llama-2"),
            "<s>[INST]Answer the|UT\nAnswer:[/INST]");  // wrapped, it holds no BOS of its own
}

TEST(LongBenchCut, ABrokenCharacterAtTheSeam) {
  Asked asked{.task = "lcc", .context = std::string("0123456789") + "\u4e2d" + std::string(60, 'x')};
  asked.max_tokens = 2 * (1 + 39 + 10 + 1);  // the first half ends within the character
  const std::string shown = asked.shown("none");
  EXPECT_NE(shown.find("0123456789\uFFFDxxx"), shown.npos) << shown;
  asked.truncate = "ids";  // the byte stays as it was
  const Prompt prompt = encode_example(ByteTokenizer(), load_chat_template("", "none"), asked.example());
  EXPECT_EQ(prompt.context.size() + prompt.question.size(), 102U);
  EXPECT_EQ(prompt.context.at(50), 0xe4);
}

TEST(LongBenchPrompt, SpecialsInTextsAreSpecials) {
  const Asked asked{.task = "lcc", .context = "a</s>b"};
  const Prompt prompt = encode_example(ByteTokenizer(), load_chat_template("", "none"), asked.example());
  EXPECT_EQ(std::ranges::count(prompt.context, 259), 1);
}

}  // namespace
}  // namespace evictbench
