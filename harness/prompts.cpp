#include "harness/prompts.h"

#include <algorithm>

#include "harness/commands.h"

namespace evictbench {
namespace {

constexpr Tokenizer::Encode kWhole{.add_special = true, .parse_special = true};
constexpr Tokenizer::Encode kPart{.add_special = false, .parse_special = true};

// What may be evicted, and what asks.
struct Texts {
  std::string head, tail;
};

// What goes around a prompt. `specials`: whether the tokenizer's are added; a template spells its own.
struct Around {
  std::string before, after;
  bool specials = true;
};

Around around(const PromptRules& rules, const ChatTemplate& chat) {
  if (!rules.chat || chat.name == "none") return {};
  for (const PromptRules::Wrap& wrap : rules.wraps)
    if (chat.name.starts_with(wrap.chat)) return {std::string(wrap.before), std::string(wrap.after)};
  if (!rules.own_template) return {};
  return {chat.prefix, chat.suffix, false};
}

Tokens joined(Tokens first, const Tokens& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

// Where the ids of `head` and those of a text that begins with it part.
std::size_t parting(const Tokens& whole, const Tokens& head) {
  return static_cast<std::size_t>(std::ranges::mismatch(whole, head).in1 - whole.begin());
}

Prompt split(const Tokens& ids, std::size_t at) {
  const auto middle = ids.begin() + static_cast<std::ptrdiff_t>(at);
  return {Tokens(ids.begin(), middle), Tokens(middle, ids.end())};
}

// The published cut: two halves as text, which meet at a seam. The question stays apart if the second half holds it whole.
Texts cut_text(const Tokenizer& tokenizer, const Tokens& ids, std::size_t half, const std::string& tail) {
  const std::span all(ids);
  const std::string first = tokenizer.decode(all.first(half)), last = tokenizer.decode(all.last(half));
  if (!last.ends_with(tail)) return {first, last};
  return {first + last.substr(0, last.size() - tail.size()), tail};
}

class OnePiece {
 public:
  OnePiece(const Tokenizer& tokenizer, const PromptRules& rules, Around wrap)
      : tokenizer_(tokenizer), rules_(rules), wrap_(std::move(wrap)) {}

  Prompt operator()(Texts texts) const {
    if (rules_.wrap_before_cut) texts = wrapped(texts);
    const Tokens ids = tokenizer_.encode(texts.head + texts.tail, kWhole);
    const auto most = static_cast<std::size_t>(rules_.max_tokens);
    if (most > 0 && ids.size() > most) {
      if (rules_.cut == PromptRules::Cut::kMiddleIds) return by_ids(texts, most / 2);
      texts = cut_text(tokenizer_, ids, most / 2, texts.tail);
    }
    if (!rules_.wrap_before_cut) texts = wrapped(texts);
    const Tokenizer::Encode how{.add_special = wrap_.specials, .parse_special = true};
    const Tokens whole = tokenizer_.encode(texts.head + texts.tail, how);
    return split(whole, parting(whole, tokenizer_.encode(texts.head, how)));
  }

 private:
  Texts wrapped(const Texts& texts) const { return {wrap_.before + texts.head, texts.tail + wrap_.after}; }

  // The tokens between the two halves are left out, and nothing is encoded twice.
  Prompt by_ids(const Texts& texts, std::size_t half) const {
    const bool inside = !wrap_.before.empty() && !rules_.wrap_before_cut;
    const Tokenizer::Encode how{.add_special = !inside, .parse_special = true, .continues = inside};
    const Tokens all = tokenizer_.encode(texts.head + texts.tail, how);
    const std::size_t tail =
        all.size() - parting(all, tokenizer_.encode(texts.head, how));  // tokens that ask
    const std::span ids(all);
    half = std::min(half, all.size() / 2);
    Tokens kept = joined(Tokens(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(half)),
                         Tokens(ids.end() - static_cast<std::ptrdiff_t>(half), ids.end()));
    const std::size_t asking = std::min(tail, half);
    if (!inside) return split(kept, kept.size() - asking);
    Tokenizer::Encode outside{.add_special = wrap_.specials, .parse_special = true};
    const Tokens before = tokenizer_.encode(wrap_.before, outside);
    outside.add_special = false;
    outside.continues = true;
    const Tokens after = tokenizer_.encode(wrap_.after, outside);
    const std::size_t at = before.size() + kept.size() - asking;
    return split(joined(joined(before, kept), after), at);
  }

  const Tokenizer& tokenizer_;
  const PromptRules& rules_;
  Around wrap_;
};

// kvpress: the template is cut where the context ends, and what follows the question comes before the answer's beginning. A
// model without a template gets a line feed there.
Prompt in_parts(const Tokenizer& tokenizer, const PromptRules& rules, const Around& wrap,
                const Example& example) {
  const bool bare = wrap.before.empty() && wrap.after.empty();
  Prompt prompt;
  prompt.context = tokenizer.encode(wrap.before + example.context, bare ? kWhole : kPart);
  const auto most = static_cast<std::size_t>(rules.max_tokens);
  if (most > 0 && prompt.context.size() > most) prompt.context.resize(most);
  prompt.question =
      tokenizer.encode(example.question + (bare ? "\n" : wrap.after) + example.answer_prefix, kPart);
  return prompt;
}

}  // namespace

Prompt encode_example(const Tokenizer& tokenizer, const ChatTemplate& chat, const Example& example) {
  if (!example.rules)
    return encode_prompt(tokenizer, chat, example.context, example.question, example.answer_prefix);
  const PromptRules& rules = *example.rules;
  Around wrap = around(rules, chat);
  if (rules.in_parts) return in_parts(tokenizer, rules, wrap, example);
  if (rules.prefix_after) {
    wrap.after += example.answer_prefix;
    return OnePiece(tokenizer, rules, std::move(wrap))({example.context, example.question});
  }
  return OnePiece(tokenizer, rules, wrap)({example.context, example.question + example.answer_prefix});
}

}  // namespace evictbench
