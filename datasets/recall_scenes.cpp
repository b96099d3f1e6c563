#include "datasets/recall_scenes.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace evictbench {
namespace {

constexpr std::string_view kHeads[] = {"mar", "tal",  "bor", "kel", "vin", "dor", "sal", "fen",
                                       "gar", "hol",  "jor", "lun", "mir", "nor", "pel", "quil",
                                       "ros", "stel", "tor", "ver", "wil", "yar", "zan", "bel",
                                       "cor", "dun",  "fal", "gil", "hav", "jas", "kor", "lin"};
constexpr std::string_view kTails[] = {"vik",   "sen",   "mund", "dale",  "holm", "stad",  "wick", "ford",
                                       "ham",   "mere",  "gard", "ness",  "borg", "lund",  "rup",  "tofta",
                                       "fell",  "sund",  "thal", "mark",  "bach", "stein", "hill", "mouth",
                                       "field", "combe", "shaw", "leigh", "gate", "grad",  "pol",  "ova"};
constexpr std::string_view kWords[] = {
    "otter",   "falcon",  "badger",  "heron",    "lynx",    "raven",   "beaver",  "marten",  "osprey",
    "viper",   "bison",   "gecko",   "stork",    "weasel",  "hornet",  "walrus",  "ferret",  "magpie",
    "puffin",  "mantis",  "amber",   "silver",   "crimson", "violet",  "scarlet", "emerald", "ivory",
    "cobalt",  "bronze",  "jade",    "pearl",    "ruby",    "azure",   "olive",   "coral",   "indigo",
    "maroon",  "teal",    "golden",  "sapphire", "cedar",   "maple",   "willow",  "aspen",   "birch",
    "juniper", "laurel",  "rowan",   "hazel",    "cypress", "thistle", "clover",  "fern",    "heather",
    "bramble", "nettle",  "poppy",   "tulip",    "iris",    "lotus",   "saffron", "ginger",  "pepper",
    "mustard", "vanilla", "nutmeg",  "fennel",   "sorrel",  "basil",   "cumin",   "granite", "marble",
    "quartz",  "flint",   "slate",   "chalk",    "basalt",  "opal",    "topaz",   "garnet",  "velvet",
    "cotton",  "linen",   "satin",   "denim",    "flannel", "tweed",   "leather", "felt",    "lace",
    "comet",   "meteor",  "planet",  "orbit",    "nebula",  "eclipse", "zenith",  "galaxy",  "quasar",
    "aurora",  "glacier", "canyon",  "desert",   "lagoon",  "tundra",  "prairie", "island",  "volcano",
    "geyser",  "cavern",  "trumpet", "cello",    "banjo",   "flute",   "organ",   "drum",    "oboe",
    "harp",    "zither",  "bugle",   "anvil",    "chisel",  "pulley",  "sickle",  "goblet",  "spindle",
    "helmet",  "pillar",  "dagger",  "shield",   "walnut",  "almond",  "cashew",  "raisin",  "apricot",
    "cherry",  "papaya",  "lemon",   "melon",    "quince",  "salmon",  "turtle",  "lobster", "oyster",
    "dolphin", "seal",    "squid",   "urchin",   "shrimp",  "herring", "tiger",   "panther", "jaguar",
    "cougar",  "gazelle", "zebra",   "giraffe",  "hippo",   "monkey",  "lemur"};
constexpr std::string_view kSecrets[] = {"password", "motto", "signal", "watchword"};
constexpr std::string_view kOrdinals[] = {"first", "second", "third"};

// Draws what a scene is made of: each name, number and value of the right half, none of them twice.
class Casting {
 public:
  Casting(Draws& draws, RecallSplit split) : draws_(draws), held_out_(split == RecallSplit::kHeldOut) {}

  std::string small_name() {
    return fresh([&] {
      const std::string_view head = draws_.one_of(kHeads), tail = draws_.one_of(kTails);
      return is_held_out(head, tail) == held_out_ ? fmt::format("{}{}", head, tail) : "";
    });
  }
  std::string name() {
    std::string out = small_name();
    out[0] = static_cast<char>(out[0] - 'a' + 'A');
    return out;
  }
  std::string number() {  // four digits
    return fresh([&] {
      const std::string digits = fmt::format("{}", 1000 + draws_.below(9000));
      return is_held_out(digits.substr(0, 2), digits.substr(2)) == held_out_ ? digits : "";
    });
  }
  std::string words(int count) {  // two or more
    return fresh([&] {
      const std::string_view first = word(), second = word();
      std::string out = fmt::format("{} {}", first, second);
      for (int i = 2; i < count; ++i) out += fmt::format(" {}", word());
      return is_held_out(first, second) == held_out_ ? out : "";
    });
  }
  std::string value() { return words(4); }
  std::string sample(std::string_view noun) {
    return fresh([&] { return fmt::format("one {} {}", word(), noun); });
  }

 private:
  std::string_view word() { return draws_.one_of(kWords); }

  template <class Draw>
  std::string fresh(const Draw& draw) {
    for (;;)
      if (std::string out = draw(); !out.empty() && used_.insert(out).second) return out;
  }

  Draws& draws_;
  bool held_out_;
  std::set<std::string> used_;
};

// "The password of Marvik is amber otter flint comet."
RecallScene secrets(Draws& draws, RecallSplit split, int items) {
  Casting cast(draws, split);
  const std::string_view secret = draws.one_of(kSecrets);
  RecallScene scene;
  for (int i = 0; i < items; ++i) {
    const std::string key = cast.name(), value = cast.value();
    const std::string prefix = fmt::format("The {} of {} is", secret, key);
    scene.facts.push_back(fmt::format("{} {}.", prefix, value));
    scene.questions.push_back({fmt::format("What is the {} of {}?", secret, key), prefix, value, value});
  }
  return scene;
}

// Three values for each key, told apart by ordinals, all of them asked for.
RecallScene several_values(Draws& draws, RecallSplit split, int items) {
  Casting cast(draws, split);
  RecallScene scene;
  for (int i = 0; i < items; ++i) {
    const std::string key = cast.name();
    std::string answer;
    for (const std::string_view ordinal : kOrdinals) {
      const std::string fact = fmt::format("{} {} chose {}", key, ordinal, cast.value());
      scene.facts.push_back(fact + ".");
      answer += (answer.empty() ? "" : ". ") + fact;
    }
    const std::string prefix = fmt::format("{} first chose", key);
    scene.questions.push_back(
        {fmt::format("What did {} choose?", key), prefix, answer.substr(prefix.size() + 1), ""});
  }
  return scene;
}

// Three keys in one question.
RecallScene several_keys(Draws& draws, RecallSplit split, int items) {
  Casting cast(draws, split);
  const std::string_view secret = draws.one_of(kSecrets);
  RecallScene scene;
  std::vector<std::string> keys, values;
  for (int i = 0; i < items; ++i) {
    keys.push_back(cast.name());
    values.push_back(cast.value());
    scene.facts.push_back(fmt::format("The {} of {} is {}.", secret, keys.back(), values.back()));
  }
  const auto n = keys.size();
  for (std::size_t a = 0; a < n; ++a) {
    const std::size_t b = (a + 1) % n, c = (a + 2) % n;
    scene.questions.push_back(
        {fmt::format("What is the {} of {}, that of {} and that of {}?", secret, keys[a], keys[b], keys[c]),
         fmt::format("The {} of {} is", secret, keys[a]),
         fmt::format("{}, that of {} is {} and that of {} is {}", values[a], keys[b], values[b], keys[c],
                     values[c]),
         ""});
  }
  return scene;
}

// Who has what, and where they are.
RecallScene two_hops(Draws& draws, RecallSplit split, int items) {
  Casting cast(draws, split);
  RecallScene scene;
  for (int i = 0; i < items; ++i) {
    const std::string thing = cast.words(2), person = cast.name(), place = cast.words(3);
    const std::string with = fmt::format("The {} is with", thing);
    scene.facts.push_back(fmt::format("{} {}.", with, person));
    scene.facts.push_back(fmt::format("{} waits at {}.", person, place));
    scene.questions.push_back({fmt::format("Where is the {}?", thing), with,
                               fmt::format("{}, and {} waits at {}", person, person, place),
                               scene.facts.back()});
  }
  return scene;
}

// Each item is a class: three samples with one noun and one label. Asked for is a new sample with that noun.
RecallScene labels(Draws& draws, RecallSplit split, int items) {
  constexpr int kShots = 3;
  Casting cast(draws, split);
  RecallScene scene;
  for (int i = 0; i < items; ++i) {
    const std::string noun = cast.small_name(), label = cast.value();
    for (int shot = 0; shot < kShots; ++shot)
      scene.facts.push_back(fmt::format("Know that {} joins {}.", cast.sample(noun), label));
    const std::string asked = cast.sample(noun);
    scene.questions.push_back(
        {fmt::format("What does {} join?", asked), fmt::format("Know that {} joins", asked), label, ""});
  }
  return scene;
}

// Lines to complete, or entries to look up.
RecallScene code(Draws& draws, RecallSplit split, int items) {
  Casting cast(draws, split);
  const bool lines = draws.below(2) == 0;
  RecallScene scene;
  for (int i = 0; i < items; ++i) {
    const std::string key = cast.small_name(), value = cast.number();
    const std::string prefix = lines ? fmt::format("let {}=", key) : fmt::format("dict {}:", key);
    scene.facts.push_back(fmt::format("{}{};", prefix, value));
    scene.questions.push_back({fmt::format("print {}", key), prefix, value, value});
  }
  return scene;
}

// let marvik=4821; let talsen=marvik; what is talsen?
RecallScene variables(Draws& draws, RecallSplit split, int items) {
  Casting cast(draws, split);
  RecallScene scene;
  for (int i = 0; i < items; ++i) {
    const std::string source = cast.small_name(), copy = cast.small_name(), value = cast.number();
    scene.facts.push_back(fmt::format("let {}={};", copy, source));
    scene.facts.push_back(fmt::format("let {}={};", source, value));
    scene.questions.push_back({fmt::format("print {}", copy), fmt::format("let {}=", copy),
                               fmt::format("{}={}", source, value), scene.facts.back()});
  }
  return scene;
}

const RecallKind kKinds[] = {
    {"needle", "one secret", 1, secrets},
    {"multi_key", "one of many secrets of the same form", 8, secrets},
    {"multi_value", "a key with three secrets, all asked for", 2, several_values},
    {"multi_query", "a secret; three of them are asked for at once", 6, several_keys},
    {"two_hop", "a thing, who has it, and where they are", 4, two_hops},
    {"labels", "a class, known from three samples", 4, labels},
    {"code", "a line of code to complete, or an entry to look up", 8, code},
    {"variables", "a variable set to another", 4, variables}};

}  // namespace

std::span<const RecallKind> recall_kinds() { return kKinds; }

std::span<const std::string_view> recall_words() { return kWords; }

bool is_held_out(std::string_view first, std::string_view second) {
  return mixed(mixed(mixed(0, first), " "), second) % 5 == 0;
}

}  // namespace evictbench
