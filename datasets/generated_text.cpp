#include "datasets/generated_text.h"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "core/error.h"
#include "datasets/draws.h"
#include "datasets/text_metrics.h"

namespace evictbench {
namespace {

using Words = std::span<const std::string_view>;

constexpr std::string_view kNames[] = {
    "Adela",    "Agnes",   "Alder",  "Ansel",  "Astrid",   "Barnaby", "Beatrix",  "Bertil",  "Bruno",
    "Cecily",   "Clement", "Corin",  "Dagmar", "Delphine", "Edith",   "Edmund",   "Elias",   "Elspeth",
    "Esther",   "Fergus",  "Flora",  "Gideon", "Greta",    "Gustav",  "Hedda",    "Henrik",  "Hester",
    "Hugo",     "Ingrid",  "Isolde", "Ivo",    "Jasper",   "Judith",  "Kaspar",   "Lavinia", "Leopold",
    "Linnea",   "Lorcan",  "Lucian", "Mabel",  "Magnus",   "Marit",   "Matilda",  "Mina",    "Nora",
    "Odette",   "Olin",    "Oswin",  "Otto",   "Petra",    "Phoebe",  "Quentin",  "Ragna",   "Roderick",
    "Rosalind", "Rufus",   "Sabine", "Selma",  "Signe",    "Silas",   "Sybil",    "Tabitha", "Theo",
    "Tobias",   "Ulrik",   "Ursula", "Vera",   "Victor",   "Wilma",   "Winifred", "Yorick",  "Zelda"};
constexpr std::string_view kPeople[] = {
    "baker",        "beekeeper", "bookbinder", "bricklayer",    "carpenter", "cartographer",   "clerk",
    "clockmaker",   "cobbler",   "conductor",  "cook",          "doctor",    "driver",         "farmer",
    "ferryman",     "fisherman", "gardener",   "glazier",       "guide",     "harbour master", "innkeeper",
    "joiner",       "judge",     "landlady",   "librarian",     "locksmith", "mason",          "mayor",
    "merchant",     "midwife",   "miller",     "miner",         "musician",  "painter",        "pharmacist",
    "photographer", "pilot",     "plumber",    "poet",          "porter",    "postman",        "potter",
    "printer",      "roofer",    "sailor",     "schoolteacher", "shepherd",  "signalman",      "stonecutter",
    "surveyor",     "tailor",    "tinker",     "verger",        "watchman",  "weaver",         "widow"};
constexpr std::string_view kPlaces[] = {
    "attic",        "bakery",    "barn",       "boathouse",   "bridge",        "cellar",      "chapel",
    "cloister",     "courtyard", "crossroads", "dairy",       "dockyard",      "fairground",  "ferry landing",
    "forge",        "garden",    "granary",    "greenhouse",  "guildhall",     "harbour",     "hillside",
    "kitchen",      "lane",      "library",    "lighthouse",  "market square", "meadow",      "mill",
    "millpond",     "museum",    "orchard",    "parlour",     "pier",          "post office", "quarry",
    "reading room", "ridge",     "riverbank",  "schoolhouse", "station",       "stable",      "tannery",
    "theatre",      "town hall", "valley",     "vineyard",    "warehouse",     "watchtower",  "weir",
    "workshop"};
constexpr std::string_view kThings[] = {
    "almanac",   "anchor",   "apron",    "barometer", "barrel",   "basket",     "bell",    "bench",
    "blanket",   "boat",     "bottle",   "bucket",    "cabinet",  "candle",     "canvas",  "cart",
    "chair",     "chest",    "coat",     "compass",   "cradle",   "cupboard",   "curtain", "diary",
    "drawing",   "engine",   "fence",    "fiddle",    "gate",     "hammer",     "harness", "hat",
    "jar",       "kettle",   "key ring", "ladder",    "lantern",  "ledger",     "letter",  "loom",
    "map",       "mirror",   "notebook", "oar",       "parcel",   "photograph", "piano",   "pillow",
    "plough",    "portrait", "pump",     "quilt",     "rope",     "saddle",     "sail",    "scarf",
    "shovel",    "shutter",  "sledge",   "spade",     "stove",    "suitcase",   "table",   "teapot",
    "telescope", "tent",     "ticket",   "trunk",     "umbrella", "violin",     "wagon",   "wheelbarrow"};
constexpr std::string_view kPlurals[] = {
    "apples",   "beams",    "bees",       "benches",  "boots",      "bricks",     "buttons", "chimneys",
    "clocks",   "coins",    "crates",     "curtains", "doors",      "ducks",      "eggs",    "farmers",
    "feathers", "fields",   "flowerpots", "geese",    "gloves",     "hinges",     "horses",  "kites",
    "lamps",    "leaves",   "letters",    "nails",    "nets",       "newspapers", "onions",  "pears",
    "pebbles",  "pigeons",  "planks",     "plates",   "puddles",    "ribbons",    "roofs",   "sacks",
    "seagulls", "seeds",    "shelves",    "shoes",    "songs",      "sparrows",   "stairs",  "stones",
    "stories",  "swallows", "tiles",      "tools",    "travellers", "walls",      "windows", "wheels"};
constexpr std::string_view kQualities[] = {
    "ancient",  "awkward",  "battered",  "bent",      "blue",     "borrowed", "bright", "broken",   "careful",
    "cheap",    "clumsy",   "copper",    "crooked",   "dark",     "dented",   "dusty",  "elegant",  "empty",
    "faded",    "familiar", "forgotten", "fragile",   "gloomy",   "green",    "grey",   "handsome", "heavy",
    "hollow",   "little",   "lonely",    "long",      "lovely",   "mended",   "modest", "muddy",    "narrow",
    "new",      "noisy",    "odd",       "old",       "orderly",  "painted",  "pale",   "patient",  "plain",
    "polished", "proud",    "quiet",     "rough",     "rusty",    "sensible", "shabby", "silent",   "simple",
    "slender",  "small",    "solid",     "splendid",  "stubborn", "sturdy",   "tall",   "tidy",     "timid",
    "tired",    "unlucky",  "warm",      "weathered", "wide",     "wooden",   "yellow"};
constexpr std::string_view kDeeds[] = {
    "admired",  "borrowed", "bought",     "built",    "carried",  "chose",    "cleaned",  "collected",
    "copied",   "covered",  "described",  "dragged",  "dropped",  "examined", "fetched",  "finished",
    "found",    "hid",      "inherited",  "kept",     "lent",     "lifted",   "loaded",   "lost",
    "measured", "mended",   "moved",      "noticed",  "opened",   "ordered",  "packed",   "painted",
    "polished", "praised",  "remembered", "repaired", "restored", "returned", "sketched", "sold",
    "studied",  "traded",   "tried",      "unpacked", "washed",   "weighed",  "wrapped"};
constexpr std::string_view kActs[] = {"waited",
                                      "slept badly",
                                      "whistled",
                                      "sat down to rest",
                                      "walked on",
                                      "listened",
                                      "argued for a while",
                                      "hummed a tune",
                                      "changed the subject",
                                      "kept silent",
                                      "laughed aloud",
                                      "looked away",
                                      "made tea",
                                      "read until dusk",
                                      "shrugged",
                                      "smiled",
                                      "stayed for supper",
                                      "stood still",
                                      "took the long way",
                                      "told a joke",
                                      "turned back",
                                      "wandered off",
                                      "went to bed early",
                                      "wrote everything down",
                                      "worked until dark",
                                      "asked for advice",
                                      "counted to ten",
                                      "dozed by the fire",
                                      "hurried home",
                                      "lit the stove"};
constexpr std::string_view kManners[] = {
    "calmly",  "carefully", "cheerfully", "eagerly",    "firmly",    "gently",       "gladly",  "gravely",
    "hastily", "kindly",    "lazily",     "neatly",     "patiently", "politely",     "proudly", "quietly",
    "slowly",  "softly",    "solemnly",   "stubbornly", "suddenly",  "thoughtfully", "warily",  "willingly"};
constexpr std::string_view kTimes[] = {"In the early morning",
                                       "After supper",
                                       "Before sunrise",
                                       "Towards evening",
                                       "At midday",
                                       "Late in the autumn",
                                       "One wet afternoon",
                                       "On market days",
                                       "During the thaw",
                                       "Some weeks later",
                                       "That same evening",
                                       "In the years that followed",
                                       "Once the snow had gone",
                                       "On the last day of the fair",
                                       "When the bells fell silent",
                                       "After a long pause",
                                       "Just before closing time",
                                       "In the slow month of August",
                                       "On the way home",
                                       "While the rain lasted",
                                       "By the end of the week",
                                       "At the turn of the season",
                                       "Long after midnight",
                                       "As soon as the road was dry"};
constexpr std::string_view kIdeas[] = {"a quarrel over a fence",       "an old promise",
                                       "the price of grain",           "a change in the weather",
                                       "the coming election",          "a matter of patience",
                                       "the history of the town",      "a question of taste",
                                       "the art of waiting",           "the trouble with maps",
                                       "a lesson in manners",          "the habit of saving string",
                                       "the merits of strong coffee",  "the repair of the road",
                                       "a rumour from the coast",      "the new timetable",
                                       "the virtue of thick walls",    "a debt between neighbours",
                                       "the smell of fresh paint",     "a theory about the tides",
                                       "the education of children",    "the proper way to stack wood",
                                       "the sound of distant thunder", "a shortage of lamp oil",
                                       "the fashion for wide hats",    "the flight of cranes"};
constexpr std::string_view kSkies[] = {"A thin fog lay over",     "Steady rain fell on",
                                       "A warm wind blew across", "Pale sunlight reached",
                                       "Dry leaves drifted over", "The first frost touched",
                                       "Low clouds hung above",   "A faint smell of smoke came from",
                                       "Soft music drifted from", "Evening settled on",
                                       "Snow had covered",        "Long shadows crossed"};

// A slot takes a word of its list; those in capitals keep theirs for the whole paragraph.
struct Slot {
  std::string_view name;
  Words words;
};
constexpr Slot kSlots[] = {
    {"name", kNames},     {"person", kPeople},     {"place", kPlaces}, {"thing", kThings},
    {"plural", kPlurals}, {"quality", kQualities}, {"did", kDeeds},    {"acted", kActs},
    {"manner", kManners}, {"time", kTimes},        {"idea", kIdeas},   {"sky", kSkies},
    {"NAME", kNames},     {"PERSON", kPeople},     {"PLACE", kPlaces}, {"THING", kThings}};

constexpr std::string_view kSentences[] = {
    "{NAME} {did} the {quality} {thing} and {acted}.",
    "{NAME} and {name} {did} the {thing} near the {PLACE}.",
    "{time}, {NAME} {did} the {thing} that the {person} had left in the {place}.",
    "{time} the {PERSON} {acted}, and nobody in the {PLACE} minded.",
    "The {PERSON} {manner} {did} the {THING}.",
    "The {PERSON} said that the {plural} were {quality}, but {NAME} did not agree.",
    "There was a {quality} {thing} beside the {plural}, and the {person} {did} it {manner}.",
    "Nobody in the {PLACE} could say who first {did} the {quality} {thing}.",
    "\"It is only a {quality} {thing},\" said {NAME}, and {acted}.",
    "\"Have you seen the {THING}?\" asked the {person}.",
    "\"The {plural} will keep until spring,\" {name} said {manner}.",
    "\"What a {quality} {place}!\" cried the {person} from the doorway.",
    "{sky} the {PLACE}, and the {plural} looked {quality}.",
    "{sky} the {place} while {NAME} {acted}.",
    "Most of the talk in the {PLACE} was about {idea}.",
    "It began with {idea}, as such things often do.",
    "The {person} spoke {manner} about {idea}, and {NAME} {acted}.",
    "For {name}, {idea} mattered more than any {thing}.",
    "Between the {place} and the {PLACE} stood a row of {quality} {plural}.",
    "The {quality} {plural} belonged to the {person}, who {did} them every summer.",
    "{NAME} had always wanted a {thing}, though not such a {quality} one.",
    "Because the {person} {acted}, the {THING} is still in the {PLACE} today.",
    "Everyone agreed that the {thing} was {quality}; the {person} alone {acted}.",
    "{time}, two {quality} {plural} were found behind the {THING}.",
    "The road from the {PLACE} to the {place} was {quality} and full of {plural}.",
    "Some said the {THING} came from a {quality} {place}, others blamed {idea}.",
    "{name} {acted}, because the {plural} had to be ready by morning.",
    "Children from the {place} {did} the {plural} and gave them to {NAME}.",
    "What {NAME} liked best was the {quality} {thing} on the wall of the {PLACE}.",
    "The {PERSON} knew every {thing} in the {PLACE}, down to the {quality} {plural}.",
    "Later, {name} would remember the {plural}, the {quality} {place}, and {idea}.",
    "No one {did} the {plural}, so they stayed in the {PLACE} all winter.",
    "Why the {PERSON} {did} the {quality} {thing} was never explained.",
    "Was it {idea} that made {NAME} so {quality}?",
    "So the {person} {did} the {thing}, {NAME} {did} the {plural}, and both of them {acted}.",
    "{time}, a letter about {idea} arrived at the {PLACE}.",
    "The {THING} was too {quality} for the {place}, so {name} {manner} {did} it.",
    "Once there had been a {quality} {place} here, with {plural} on every side.",
    "Even the {person} had to admit that {idea} was no reason to sell the {thing}.",
    "{NAME} put the {thing} under the {quality} {plural} and {acted}.",
    "In the end it was the {person} who {did} the {THING}, and {manner} too.",
    "They walked past the {place}, past the {plural}, and on to the {quality} {PLACE}."};

// A word for each slot; only those of the paragraph's own slots are used.
using Cast = std::array<std::string_view, std::size(kSlots)>;

Cast draw_cast(Draws& draws) {
  Cast cast;
  for (std::size_t i = 0; i < cast.size(); ++i) cast[i] = draws.one_of(kSlots[i].words);
  return cast;
}

bool needs_an(std::string_view before, std::string_view word) {
  const bool article =
      before.ends_with(" a ") || before == "a " || before.ends_with("\"A ") || before == "A ";
  return article && std::string_view("aeiou").find(word.front()) != std::string_view::npos;
}

std::string draw_sentence(Draws& draws, const Cast& cast) {
  std::string_view form = draws.one_of(kSentences);
  std::string out;
  while (!form.empty()) {
    const auto open = std::min(form.find('{'), form.size());
    out += form.substr(0, open);
    form.remove_prefix(open);
    if (form.empty()) break;
    const auto close = form.find('}');
    const auto slot = std::ranges::find(kSlots, form.substr(1, close - 1), &Slot::name);
    require(slot != std::end(kSlots), "a sentence form names an unknown slot");
    const bool kept = 'A' <= slot->name.front() && slot->name.front() <= 'Z';
    const std::string_view word =
        kept ? cast[static_cast<std::size_t>(slot - kSlots)] : draws.one_of(slot->words);
    if (needs_an(out, word)) out.insert(out.size() - 1, "n");
    out += word;
    form.remove_prefix(close + 1);
  }
  return out;
}

}  // namespace

GeneratedText::GeneratedText(std::uint64_t seed, const std::vector<std::string>& forbidden) : seed_(seed) {
  for (const std::string& phrase : forbidden)
    if (auto words = words_of(phrase); !words.empty()) forbidden_.push_back(std::move(words));
}

bool GeneratedText::allowed(const std::string& text) const {
  if (forbidden_.empty()) return true;
  const auto words = words_of(text);
  return std::ranges::none_of(forbidden_, [&](const auto& phrase) { return contains_words(words, phrase); });
}

std::string GeneratedText::paragraph(std::uint64_t index) const {
  constexpr int kMostTries = 1000;
  Draws draws(seed_, index);
  Cast cast = draw_cast(draws);
  std::string out;
  for (std::size_t left = 3 + draws.below(5); left > 0; --left) {
    const std::string before = out.empty() ? "" : out + " ";
    out = before + draw_sentence(draws, cast);
    for (int tries = 1; !allowed(out); ++tries) {
      if (tries == kMostTries)
        reject(Exit::kSweep,
               {"E-NH-20", "generated haystack", "", "every sentence holds a key or value of the task",
                "keys and values that are not among the commonest words",
                "choose rarer words, or name a folder of texts as haystack"});
      if (tries % 8 == 0) cast = draw_cast(draws);  // a forbidden word may be one of the paragraph's own
      out = before + draw_sentence(draws, cast);
    }
  }
  return out;
}

const std::string& GeneratedText::grown_to(std::size_t bytes) {
  while (text_.size() < bytes) {
    if (!text_.empty()) text_ += "\n\n";
    text_ += paragraph(paragraphs_++);
  }
  return text_;
}

}  // namespace evictbench
