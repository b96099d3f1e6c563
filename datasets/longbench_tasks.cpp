#include "datasets/longbench_tasks.h"

#include <algorithm>

namespace evictbench {
namespace {

constexpr std::string_view kPassages =
    "Answer the question based on the given passages. Only give me the answer and do not output any other "
    "words.\n\nThe following are given passages.\n{context}\n\nAnswer the question based on the given "
    "passages. Only give me the answer and do not output any other words.\n\n";

constexpr LongBenchTask kTasks[] = {
    {.name = "narrativeqa",
     .category = "single-document QA",
     .metric = "qa_f1",
     .max_new = 128,
     .records = 200,
     .reported = true,
     .context =
         "You are given a story, which can be either a novel or a movie script, and a question. Answer the "
         "question asconcisely as you can, using a single phrase if possible. Do not provide any "
         "explanation.\n\nStory: {context}\n\nNow, answer the question based on the story asconcisely as you "
         "can, using a single phrase if possible. Do not provide any explanation.\n\n",
     .question = "Question: {input}\n\n",
     .answer_prefix = "Answer:"},
    {.name = "qasper",
     .category = "single-document QA",
     .metric = "qa_f1",
     .max_new = 128,
     .records = 200,
     .e_records = 224,
     .reported = true,
     .context =
         "You are given a scientific article and a question. Answer the question as concisely as you can, "
         "using a single phrase or sentence if possible. If the question cannot be answered based on the "
         "information in the article, write \"unanswerable\". If the question is a yes/no question, answer "
         "\"yes\", \"no\", or \"unanswerable\". Do not provide any explanation.\n\nArticle: {context}\n\n "
         "Answer the question based on the above article as concisely as you can, using a single phrase or "
         "sentence if possible. If the question cannot be answered based on the information in the article, "
         "write \"unanswerable\". If the question is a yes/no question, answer \"yes\", \"no\", or "
         "\"unanswerable\". Do not provide any explanation.\n\n",
     .question = "Question: {input}\n\n",
     .answer_prefix = "Answer:"},
    {.name = "multifieldqa_en",
     .category = "single-document QA",
     .metric = "qa_f1",
     .max_new = 64,
     .records = 150,
     .e_records = 150,
     .reported = true,
     .context =
         "Read the following text and answer briefly.\n\n{context}\n\nNow, answer the following question "
         "based on the above text, only give me the answer and do not output any other words.\n\n",
     .question = "Question: {input}\n",
     .answer_prefix = "Answer:"},
    {.name = "multifieldqa_zh",
     .category = "single-document QA",
     .metric = "qa_f1_zh",
     .max_new = 64,
     .records = 200,
     .chinese = true,
     .context = "阅读以下文字并用中文简短回答：\n\n{context}"
                "\n\n现在请基于上面的文章回答下面的问题，只告诉我答案，不要输出任何其他字词。\n\n",
     .question = "问题：{input}\n",
     .answer_prefix = "回答："},
    {.name = "hotpotqa",
     .category = "multi-document QA",
     .metric = "qa_f1",
     .max_new = 32,
     .records = 200,
     .e_records = 300,
     .reported = true,
     .context = kPassages,
     .question = "Question: {input}\n",
     .answer_prefix = "Answer:"},
    {.name = "2wikimqa",
     .category = "multi-document QA",
     .metric = "qa_f1",
     .max_new = 32,
     .records = 200,
     .e_records = 300,
     .reported = true,
     .context = kPassages,
     .question = "Question: {input}\n",
     .answer_prefix = "Answer:"},
    {.name = "musique",
     .category = "multi-document QA",
     .metric = "qa_f1",
     .max_new = 32,
     .records = 200,
     .reported = true,
     .context = kPassages,
     .question = "Question: {input}\n",
     .answer_prefix = "Answer:"},
    {.name = "dureader",
     .category = "multi-document QA",
     .metric = "rouge_l_zh",
     .max_new = 128,
     .records = 200,
     .chinese = true,
     .context = "请基于给定的文章回答下述问题。\n\n文章：{context}\n\n请基于上述文章回答下面的问题。\n\n",
     .question = "问题：{input}\n",
     .answer_prefix = "回答："},
    {.name = "gov_report",
     .category = "summarisation",
     .metric = "rouge_l",
     .max_new = 512,
     .records = 200,
     .e_records = 300,
     .reported = true,
     .context = "You are given a report by a government agency. Write a one-page summary of the "
                "report.\n\nReport:\n{context}\n\n",
     .question = "Now, write a one-page summary of the report.\n\n",
     .answer_prefix = "Summary:"},
    {.name = "qmsum",
     .category = "summarisation",
     .metric = "rouge_l",
     .max_new = 512,
     .records = 200,
     .reported = true,
     .context = "You are given a meeting transcript and a query containing a question or instruction. Answer "
                "the query in one or more sentences.\n\nTranscript:\n{context}\n\nNow, answer the query "
                "based on the above meeting transcript in one or more sentences.\n\n",
     .question = "Query: {input}\n",
     .answer_prefix = "Answer:"},
    {.name = "multi_news",
     .category = "summarisation",
     .metric = "rouge_l",
     .max_new = 512,
     .records = 200,
     .e_records = 294,
     .reported = true,
     .context = "You are given several news passages. Write a one-page summary of all news. "
                "\n\nNews:\n{context}\n\n",
     .question = "Now, write a one-page summary of all the news.\n\n",
     .answer_prefix = "Summary:"},
    {.name = "vcsum",
     .category = "summarisation",
     .metric = "rouge_l_zh",
     .max_new = 512,
     .records = 200,
     .chinese = true,
     .context = "下面有一段会议记录，请你阅读后，写一段总结，总结会议的内容。\n会议记录：\n{context}\n\n",
     .question = "",
     .answer_prefix = "会议总结："},
    {.name = "trec",
     .category = "few-shot",
     .metric = "classification",
     .max_new = 64,
     .records = 200,
     .e_records = 300,
     .plain = true,
     .first_line = true,
     .reported = true,
     .context = "Please determine the type of the question below. Here are some examples of "
                "questions.\n\n{context}\n",
     .question = "{input}",
     .answer_prefix = "",
     .cue = "Type:"},
    {.name = "triviaqa",
     .category = "few-shot",
     .metric = "qa_f1",
     .max_new = 32,
     .records = 200,
     .e_records = 300,
     .plain = true,
     .first_line = true,
     .reported = true,
     .context = "Answer the question based on the given passage. Only give me the answer and do not output "
                "any other words. The following are some examples.\n\n{context}\n\n",
     .question = "{input}",
     .answer_prefix = "",
     .cue = "Answer:"},
    {.name = "samsum",
     .category = "few-shot",
     .metric = "rouge_l",
     .max_new = 128,
     .records = 200,
     .e_records = 300,
     .plain = true,
     .first_line = true,
     .line_ends = true,
     .reported = true,
     .context = "Summarize the dialogue into a few short sentences. The following are some "
                "examples.\n\n{context}\n\n",
     .question = "{input}",
     .answer_prefix = "",
     .cue = "Summary:"},
    {.name = "lsht",
     .category = "few-shot",
     .metric = "classification",
     .max_new = 64,
     .records = 200,
     .chinese = true,
     .plain = true,
     .first_line = true,
     .context = "请判断给定新闻的类别，下面是一些例子。\n\n{context}\n",
     .question = "{input}",
     .answer_prefix = ""},
    {.name = "passage_count",
     .category = "synthetic",
     .metric = "count",
     .max_new = 32,
     .records = 200,
     .e_records = 300,
     .reported = true,
     .context =
         "There are some paragraphs below sourced from Wikipedia. Some of them may be duplicates. Please "
         "carefully read these paragraphs and determine how many unique paragraphs there are after removing "
         "duplicates. In other words, how many non-repeating paragraphs are there in total?\n\n{context}\n\n",
     .question = "Please enter the final count of unique paragraphs after removing duplicates. The output "
                 "format should only contain the number, such as 1, 2, 3, and so on.\n\n",
     .answer_prefix = "The final answer is: "},
    {.name = "passage_retrieval_en",
     .category = "synthetic",
     .metric = "retrieval",
     .max_new = 32,
     .records = 200,
     .e_records = 300,
     .reported = true,
     .context = "Here are 30 paragraphs from Wikipedia, along with an abstract. Please determine which "
                "paragraph the abstract is from.\n\n{context}\n\nThe following is an abstract.\n\n",
     .question = "{input}\n\nPlease enter the number of the paragraph that the abstract is from. The answer "
                 "format must be like \"Paragraph 1\", \"Paragraph 2\", etc.\n\n",
     .answer_prefix = "The answer is: "},
    {.name = "passage_retrieval_zh",
     .category = "synthetic",
     .metric = "retrieval_zh",
     .max_new = 32,
     .records = 200,
     .chinese = true,
     .context = "以下是若干段落文字，以及其中一个段落的摘要。请确定给定的摘要出自哪一段。\n\n{context}"
                "\n\n下面是一个摘要\n\n",
     .question = "{input}\n\n请输入摘要所属段落的编号。答案格式必须是\"段落1\"，\"段落2\"等格式\n\n",
     .answer_prefix = "答案是："},
    {.name = "lcc",
     .category = "code",
     .metric = "code_sim",
     .max_new = 64,
     .records = 500,
     .e_records = 300,
     .plain = true,
     .reported = true,
     .context = "Please complete the code given below. \n{context}",
     .question = "",
     .answer_prefix = "Next line of code:\n"},
    {.name = "repobench-p",
     .category = "code",
     .metric = "code_sim",
     .max_new = 64,
     .records = 500,
     .e_records = 300,
     .plain = true,
     .reported = true,
     .context = "Please complete the code given below. \n{context}",
     .question = "{input}",
     .answer_prefix = "Next line of code:\n"},
};

}  // namespace

std::span<const LongBenchTask> longbench_tasks() { return kTasks; }

const LongBenchTask* longbench_task(std::string_view name) {
  const auto found = std::ranges::find(kTasks, name, &LongBenchTask::name);
  return found == std::end(kTasks) ? nullptr : found;
}

std::string fill_in(std::string_view piece, std::string_view context, std::string_view input) {
  constexpr std::string_view kContext = "{context}", kInput = "{input}";
  std::string out;
  out.reserve(piece.size() + context.size() + input.size());
  while (!piece.empty()) {
    const bool is_context = piece.starts_with(kContext), is_input = piece.starts_with(kInput);
    if (is_context)
      out += context;
    else if (is_input)
      out += input;
    else
      out += piece.front();
    piece.remove_prefix(is_context ? kContext.size() : is_input ? kInput.size() : 1);
  }
  return out;
}

bool needs_segmenter(const LongBenchTask& task) { return metric_named(task.metric).chinese; }

Judge judge_of(const LongBenchTask& task) {
  return {std::string(task.metric), task.first_line ? Judge::Part::kFirstLine : Judge::Part::kAll};
}

std::size_t length_bucket(int length) { return length < 4000 ? 0 : length < 8000 ? 1 : 2; }

}  // namespace evictbench
