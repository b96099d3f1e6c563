#include "datasets/babilong_tasks.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "datasets/unicode.h"

namespace evictbench {
namespace {

using Labels = std::string_view[];
constexpr Labels kPlaces{"bathroom", "bedroom", "garden", "hallway", "kitchen", "office"};
constexpr Labels kPeopleAndThings{"Bill", "Fred", "Jeff", "Mary", "apple", "football", "milk"};
constexpr Labels kYesNo{"no", "yes"};
constexpr Labels kCounts{"none", "one", "three", "two"};
constexpr Labels kThings{"apple", "football", "milk", "nothing"};
constexpr Labels kYesNoMaybe{"maybe", "no", "yes"};
constexpr Labels kRooms{"bedroom", "cinema", "kitchen", "office", "park", "school"};
constexpr Labels kAnimals{"cat", "mouse", "sheep", "wolf"};
constexpr Labels kColors{"gray", "green", "white", "yellow"};
constexpr Labels kSteps{"e,e", "e,n", "e,s", "n,e", "n,n", "n,w", "s,e", "s,s", "s,w", "w,n", "w,s", "w,w"};
constexpr Labels kMotives{"bedroom", "bored", "garden", "hungry", "kitchen", "thirsty", "tired"};

constexpr std::string_view kLatest =
    "I will give you context with the facts about people and their locations hidden in some random text and "
    "a "
    "question. You need to answer the question based only on the information from the facts. If a person was "
    "in "
    "different locations, use the latest location the person was in to answer the question.";
constexpr std::string_view kCarried =
    "I will give you context with the facts about people and objects they carry, hidden in some random text "
    "and a "
    "question. You need to answer the question based only on the information from the facts.";
constexpr std::string_view kOneLocation =
    "Your answer should contain only one word - location. Do not write anything else after that. Do not "
    "explain "
    "your answer.";
constexpr std::string_view kYesOrNo =
    "Your answer should contain only one word - $yes$ or $no$. Do not write anything else. Do not explain "
    "your "
    "answer.";

constexpr BabilongTask kTasks[] = {
    {"qa1", "single-supporting-fact",
     "I will give you context with the facts about positions of different persons hidden in some random text "
     "and a "
     "question. You need to answer the question based only on the information from the facts. If a person "
     "was in "
     "different locations, use the latest location to answer the question.",
     R"(<example>
Charlie went to the hallway. Judith come back to the kitchen. Charlie travelled to balcony. Where is Charlie?
Answer: The most recent location of Charlie is balcony.
</example>

<example>
Alan moved to the garage. Charlie went to the beach. Alan went to the shop. Rouse travelled to balcony. Where is Alan?
Answer: The most recent location of Alan is shop.
</example>)",
     "Always return your answer in the following format: The most recent location of ’person’ is ’location’. "
     "Do not "
     "write anything else after that.",
     kPlaces},
    {"qa2", "two-supporting-facts",
     "I give you context with the facts about locations and actions of different persons hidden in some "
     "random text "
     "and a question.You need to answer the question based only on the information from the facts.\nIf a "
     "person got "
     "an item in the first location and travelled to the second location the item is also in the second "
     "location. If "
     "a person dropped an item in the first location and moved to the second location the item remains in "
     "the first "
     "location.",
     R"(<example>
Charlie went to the kitchen. Charlie got a bottle. Charlie moved to the balcony. Where is the bottle?
Answer: The bottle is in the balcony.
</example>
<example>
Alan moved to the garage. Alan got a screw driver. Alan moved to the kitchen. Where is the screw driver?
Answer: The screw driver is in the kitchen.
</example>)",
     "Always return your answer in the following format: The ’item’ is in ’location’. Do not write anything "
     "else "
     "after that.",
     kPlaces},
    {"qa3", "three-supporting-facts",
     "I give you context with the facts about locations and actions of different persons hidden in some "
     "random text "
     "and a question. You need to answer the question based only on the information from the facts.\nIf a "
     "person got "
     "an item in the first location and travelled to the second location the item is also in the second "
     "location. If "
     "a person dropped an item in the first location and moved to the second location the item remains in "
     "the first "
     "location.",
     R"(<example>
John journeyed to the bedroom. Mary grabbed the apple. Mary went back to the bathroom. Daniel journeyed to the bedroom. Daniel moved to the garden. Mary travelled to the kitchen. Where was the apple before the kitchen?
Answer: Before the kitchen the apple was in the bathroom.
</example>
<example>
John went back to the bedroom. John went back to the garden. John went back to the kitchen. Sandra took the football. Sandra travelled to the garden. Sandra journeyed to the bedroom. Where was the football before the bedroom?
Answer: Before the bedroom the football was in the garden.
</example>)",
     "Always return your answer in the following format: Before the $location_1$ the $item$ was in the "
     "$location_2$. "
     "Do not write anything else after that.",
     kPlaces},
    {"qa4", "two-arg-relations",
     "I will give you context with the facts about different people, their location and actions, hidden in "
     "some "
     "random text and a question. You need to answer the question based only on the information from the "
     "facts.",
     R"(<example>
The hallway is south of the kitchen. The bedroom is north of the kitchen. What is the kitchen south of?
Answer: bedroom
</example>
<example>
The garden is west of the bedroom. The bedroom is west of the kitchen. What is west of the bedroom?
Answer: garden
</example>)",
     "Your answer should contain only one word - location. Do not write anything else after that.", kPlaces},
    {"qa5", "three-arg-relations",
     "I will give you context with the facts about locations and their relations hidden in some random text "
     "and a "
     "question. You need to answer the question based only on the information from the facts.",
     R"(<example>
Mary picked up the apple there. Mary gave the apple to Fred. Mary moved to the bedroom. Bill took the milk there. Who did Mary give the apple to?
Answer: Fred
</example>
<example>
Jeff took the football there. Jeff passed the football to Fred. Jeff got the milk there. Bill travelled to the bedroom. Who gave the football?
Answer: Jeff
</example>
<example>
Fred picked up the apple there. Fred handed the apple to Bill. Bill journeyed to the bedroom. Jeff went back to the garden. What did Fred give to Bill?
Answer: apple
</example>)",
     "Your answer should contain only one word. Do not write anything else after that. Do not explain your "
     "answer.",
     kPeopleAndThings},
    {"qa6", "yes-no-questions", kLatest,
     R"(<example>
John travelled to the hallway. John travelled to the garden. Is John in the garden?
Answer: yes
</example>
<example>
Mary went to the office. Daniel journeyed to the hallway. Mary went to the bedroom. Sandra went to the garden. Is Mary in the office?
Answer: no
</example>
)",
     "Your answer should contain only one word - $yes$ or $no$. Do not write anything else after that. Do "
     "not explain "
     "your answer.",
     kYesNo},
    {"qa7", "counting", kCarried,
     R"(<example>
Daniel went to the bedroom. Daniel got the apple there. How many objects is Daniel carrying?
Answer: one
</example>
<example>
Mary grabbed the apple there. Mary gave the apple to John. How many objects is Mary carrying?
Answer: none
</example>
<example>
Sandra travelled to the hallway. Sandra picked up the milk there. Sandra took the apple there. Mary travelled to the garden. How many objects is Sandra carrying?
Answer: two
</example>
)",
     "Your answer should contain only one word - $none$ or $number_of_objects$. Do not write anything else "
     "after that. "
     "Do not explain your answer.",
     kCounts},
    {"qa8", "lists-sets", kCarried,
     R"(<example>
Sandra travelled to the garden. Mary grabbed the milk there. What is Mary carrying?
Answer: milk
</example>
<example>
Mary travelled to the kitchen. Sandra travelled to the office. John travelled to the office. Sandra discarded the milk there. What is Sandra carrying?
Answer: nothing
</example>
<example>
Daniel grabbed the apple there. Mary went to the office. Daniel moved to the garden. Daniel grabbed the milk there. Mary went to the kitchen. What is Daniel carrying?
Answer: apple,milk
</example>
)",
     "Your answer should contain only one or two words: $nothing$ or $object$ or $object_1$, $object_2$. Do "
     "not write "
     "anything else. Do not explain your answer.",
     kThings},
    {"qa9", "simple-negation", kLatest,
     R"(<example>
John is not in the bathroom. Sandra is not in the bedroom. Is John in the bathroom?
Answer: no
</example>
<example>
Mary journeyed to the kitchen. John is in the bedroom. Sandra is not in the garden. Is Mary in the kitchen?
Answer: yes
</example>
)",
     kYesOrNo, kYesNo},
    {"qa10", "indefinite-knowledge", kLatest,
     R"(<example>
Bill is in the kitchen. Julie is either in the school or the cinema. Is Bill in the bedroom?
Answer: no
</example>
<example>
Fred is in the bedroom. Mary is either in the school or the cinema. Is Mary in the school?
Answer: maybe
</example>
<example>
Fred is either in the kitchen or the park. Bill moved to the cinema. Is Bill in the cinema?
Answer: yes
</example>
<context>
)",
     "Your answer should contain only one word - $yes$ or $no$ or $maybe$. Do not write anything else. Do "
     "not explain "
     "your answer.",
     kYesNoMaybe},
    {"qa11", "basic-coreference", kLatest,
     R"(<example>
Daniel journeyed to the hallway. After that he journeyed to the garden. Where is Daniel?
Answer: garden
</example>
<example>
Mary moved to the office. Afterwards she journeyed to the kitchen. Daniel went to the hallway. Then he journeyed to the garden. Where is Mary?
Answer: kitchen
</example>
<example>
Sandra moved to the kitchen. After that she went back to the hallway. Sandra moved to the bedroom. Then she went to the hallway. Mary moved to the bedroom. Afterwards she travelled to the bathroom. Where is Sandra?
Answer: hallway
</example>
<context>
)",
     kOneLocation, kPlaces},
    {"qa12", "conjunction", kLatest,
     R"(<example>
Mary and Daniel travelled to the bathroom. John and Daniel travelled to the office. Where is Daniel?
Answer: office
</example>
<example>
Sandra and Mary went back to the office. Daniel and Sandra went to the bedroom. Sandra and Mary travelled to the hallway. John and Mary went to the kitchen. Where is Mary?
Answer: kitchen
</example>
<example>
Daniel and Sandra went back to the hallway. Daniel and John moved to the office. Daniel and John moved to the garden. Daniel and Mary went back to the bathroom. Daniel and John went back to the kitchen. Daniel and Sandra went to the bathroom. Where is John?
Answer: kitchen
</example>
<context>
)",
     kOneLocation, kPlaces},
    {"qa13", "compound-coreference", kLatest,
     R"(<example>
Mary and Daniel travelled to the bathroom. Then they journeyed to the hallway. Where is Daniel?
Answer: hallway
</example>
<example>
Daniel and Sandra travelled to the kitchen. After that they journeyed to the hallway. Mary and Daniel travelled to the bedroom. After that they travelled to the hallway. Where is Sandra?
Answer: hallway
</example>
<example>
John and Mary moved to the bathroom. Then they travelled to the office. John and Mary went to the kitchen. Afterwards they went to the bedroom. John and Sandra moved to the bathroom. Following that they went back to the kitchen. Where is Mary?
Answer: bedroom
</example>
<context>
)",
     kOneLocation, kPlaces},
    {"qa14", "time-reasoning", kLatest,
     R"(<example>
Bill went back to the cinema yesterday. Julie went to the school this morning. Fred went to the park yesterday. Yesterday Julie went to the office. Where was Julie before the school?
Answer: office
</example>
<example>
This morning Fred went to the kitchen. Fred journeyed to the bedroom yesterday. Mary travelled to the bedroom this morning. Yesterday Mary went to the cinema. Where was Mary before the bedroom?
Answer: cinema
</example>
<example>
Yesterday Julie went back to the park. Julie went to the bedroom this morning. Bill journeyed to the cinema yesterday. This morning Bill went back to the park. This evening Julie went to the school. This afternoon Julie went back to the park. Where was Julie before the bedroom?
Answer: park
</example>
<context>
)",
     kOneLocation, kRooms},
    {"qa15", "basic-deduction",
     "I will give you context with the facts about animals, their names and relations. The facts and a "
     "question are "
     "hidden in some random text. You need to answer the question based only on the information from the "
     "facts.",
     R"(<example>
Mice are afraid of wolves. Gertrude is a mouse. Cats are afraid of sheep. Winona is a mouse. Sheep are afraid of wolves. Emily is a mouse. Jessica is a wolf. What is gertrude afraid of?
Answer: wolf
</example>
<example>
Mice are afraid of wolves. Gertrude is a mouse. Cats are afraid of sheep. Winona is a mouse. Sheep are afraid of wolves. Emily is a mouse. Jessica is a wolf. What is jessica afraid of?
Answer: cat
</example>
<example>
Mice are afraid of cats. Wolves are afraid of sheep. Emily is a wolf. Cats are afraid of sheep. Gertrude is a wolf. Sheep are afraid of cats. Winona is a wolf. What is emily afraid of?
Answer: sheep
</example>
<context>
)",
     "Your answer should contain only one word - an animal species. Do not write anything else after that. "
     "Do not "
     "explain your answer.",
     kAnimals},
    {"qa16", "basic-induction",
     "I will give you context with the facts about animals, their names and colors. The facts and a question "
     "are "
     "hidden in some random text. You need to answer the question based only on the information from the "
     "facts.",
     R"(<example>
Lily is a frog. Bernhard is a frog. Bernhard is green. Brian is a lion. Brian is white. Julius is a swan. Julius is green. Lily is green. Greg is a swan. What color is Greg?
Answer: green
</example>
<example>
Julius is a lion. Lily is a rhino. Bernhard is a swan. Lily is white. Bernhard is green. Greg is a rhino. Greg is gray. Julius is white. Brian is a lion. What color is Brian?
Answer: white
</example>
<example>
Brian is a rhino. Julius is a lion. Bernhard is a lion. Greg is a swan. Brian is gray. Greg is white. Lily is a rhino. Bernhard is yellow. Lily is gray. What color is Julius?
Answer: yellow
</example>
<context>
)",
     "Your answer should contain only one word - a color. Do not write anything else after that. Do not "
     "explain your "
     "answer.",
     kColors},
    {"qa17", "positional-reasoning",
     "I will give you context with the facts about different figures, their location and colors, hidden in "
     "some "
     "random text and a question. You need to answer the question based only on the information from the "
     "facts.",
     R"(<example>
The triangle is above the pink rectangle. The blue square is to the left of the triangle. Is the pink rectangle to the right of the blue square?
Answer: yes
</example>
<example>
The red sphere is to the left of the yellow square. The red sphere is below the pink rectangle. Is the pink rectangle to the left of the yellow square?
Answer: yes
</example><example>
The red sphere is above the pink rectangle. The red sphere is to the right of the red square. Is the pink rectangle above the red square?
Answer: no
</example>)",
     kYesOrNo, kYesNo},
    {"qa18", "size-reasoning",
     "I will give you context with the facts about different objects and their sizes, hidden in some random "
     "text and "
     "a question. You need to answer the question based only on the information from the facts.",
     R"(<example>
The box of chocolates fits inside the chest. The box is bigger than the chest. The box is bigger than the suitcase. The suitcase fits inside the box. The container is bigger than the box of chocolates. Does the box fit in the box of chocolates?
Answer: no
</example>
<example>
The suitcase is bigger than the container. The container fits inside the box. The chest is bigger than the chocolate.The suitcase fits inside the box. The chest fits inside the box. Does the chocolate fit in the box?
Answer: yes
</example><example>
The chocolate fits inside the box of chocolates. The suitcase fits inside the box. The chocolate fits inside the box. The box is bigger than the box of chocolates. The suitcase is bigger than the box of chocolates. Is the chocolate bigger than the box?
Answer: no
</example>)",
     kYesOrNo, kYesNo},
    {"qa19", "path-finding",
     "I will give you context with the facts about different places and their locations, hidden in some "
     "random text "
     "and a question. You need to answer the question based only on the information from the facts.",
     R"(<example>
The office is east of the hallway. The kitchen is north of the office. The garden is west of the bedroom. The office is west of the garden. The bathroom is north of the garden. How do you go from the kitchen to the garden?
Answer: s,e
</example>
<example>
The bedroom is west of the hallway. The office is east of the garden. The garden is north of the kitchen. The kitchen is north of the bathroom. The hallway is west of the garden. How do you go from the kitchen to the hallway?
Answer: n,w
</example>
<example>
The bedroom is south of the hallway. The bathroom is east of the office. The kitchen is west of the garden. The garden is south of the office. The office is south of the bedroom. How do you go from the garden to the bedroom?
Answer: n,n
</example>
)",
     "Your answer should contain only two letters, separated by a comma - ordinal directions. You can choose "
     "the "
     "letters from $n$, $s$, $e$ and $w$. Do not write anything else after that.",
     kSteps},
    {"qa20", "agents-motivations",
     "I will give you context with the facts about people, their locations and condition hidden in some "
     "random text "
     "and a question. You need to answer the question based only on the information from the facts. If a "
     "person was "
     "in different locations, use the latest location the person was in to answer the question.",
     R"(<example>
Sumit is tired. Where will sumit go?
Answer: bedroom
</example>
<example>
Yann is hungry. Yann journeyed to the kitchen. Why did yann go to the kitchen?
Answer: hungry
</example>
<example>
Antoine is thirsty. Yann is tired. Yann went back to the bedroom. Yann picked up the pajamas there.Jason is thirsty. Antoine went back to the kitchen. Why did antoine go to the kitchen?
Answer: thirsty
</example>
<context>
)",
     "Your answer should contain only one word - a person condition or a place. Do not write anything else "
     "after that. "
     "Do not explain your answer.",
     kMotives},
};

constexpr std::string_view kAsks = "\n</context>\n\nQuestion: ";

}  // namespace

std::span<const BabilongTask> babilong_tasks() { return kTasks; }

const BabilongTask* babilong_task(std::string_view name) {
  const auto* const found = std::ranges::find(kTasks, name, &BabilongTask::name);
  return found == std::end(kTasks) ? nullptr : found;
}

std::string babilong_context(const BabilongTask& task, std::string_view input) {
  return fmt::format("{}\n\n{}\n\n{}\n\n<context>\n{}", task.instruction, task.examples, task.post_prompt,
                     stripped(input));
}

std::string babilong_question(std::string_view question) {
  const std::string whole = std::string(kAsks) + std::string(question);
  std::string_view text = stripped(whole);  // the line feed that begins it is within the prompt
  return "\n" + std::string(text);
}

}  // namespace evictbench
