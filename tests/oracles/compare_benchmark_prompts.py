"""BABILong and RULER prompts: the ids of `evictbench examples --ids` against texts of their own files in transformers.

    python tests/oracles/compare_benchmark_prompts.py --tokenizer NAME=FOLDER:CHAT... [--babilong DIR] [--ruler DIR]
        [--lengths 1024,2048,4096,8192] [--evictbench build/release/evictbench]

FOLDER holds a tokenizer; CHAT is the template to use, as in `model.chat`, rendered from tests/models/chat_templates. A folder with
tokenizer.model is read by the sentencepiece package. BABILong's rows are read by pyarrow, in <length>/<task>/data-*.arrow; of its
prompts only the instruction and the examples before the text are taken from evictbench, and must be the same in all of a task.
RULER's files are <length>/<task>.jsonl. Prompts of generated RULER must have their length less the answer's tokens.
"""
import argparse
import collections
import json
import pathlib
import sys
import tempfile

from compare_prompts import examples, load, model_folder

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "models"))
import chat_oracle  # noqa: E402

ANSWER = {"vt": 30, "cwe": 120, "fwe": 50, "qa_1": 32, "qa_2": 32}  # tokens; of needles 128


def encoded(tokenizer, chat, user, prefix=""):
    """A user's turn and the beginning of the answer, in one piece."""
    if chat == "none":
        return tokenizer(user + prefix).input_ids
    text = chat_oracle.render(chat + ".jinja", [["user", user]], True)
    return tokenizer(text + prefix, add_special_tokens=False).input_ids


def babilong_rows(folder):
    """-> rows by (length, task)."""
    import pyarrow
    rows = collections.defaultdict(list)
    for path in sorted(pathlib.Path(folder).glob("*/*/data-*.arrow")):
        with pyarrow.memory_map(str(path)) as file:
            rows[path.parts[-3], path.parts[-2]] += pyarrow.ipc.open_stream(file).read_all().to_pylist()
    return rows


class Babilong:
    def __init__(self, folder):
        self.rows, self.heads = babilong_rows(folder), {}
        self.task = {"name": "babilong", "path": str(pathlib.Path(folder).resolve())}

    def ids(self, tokenizer, chat, example):
        _, length, task = example["task"].split("/")
        row = self.rows[length, task][int(example["example"])]
        head = example["context"].rpartition("<context>\n")[0]
        assert self.heads.setdefault(task, head) == head, (task, "another instruction")
        text = f"{head}<context>\n{row['input'].strip()}\n</context>\n\nQuestion: {row['question']}"
        return encoded(tokenizer, chat, text.strip())


class RulerFiles:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()
        self.task = {"name": "ruler", "path": str(self.folder)}

    def ids(self, tokenizer, chat, example):
        _, length, task = example["task"].split("/")
        lines = (self.folder / length / f"{task}.jsonl").read_text(encoding="utf-8").split("\n")
        record = json.loads(lines[int(example["example"])])
        prefix = record.get("answer_prefix", "")
        text = record["input"].removesuffix(prefix)
        wrapped = text.startswith(("<|", "[INST]", "<s>"))
        return encoded(tokenizer, "none" if wrapped else chat, text, prefix)


class Ruler:
    def __init__(self, lengths):
        self.task = {"name": "ruler", "id": "generated", "lengths": lengths, "count": 2}

    def ids(self, tokenizer, chat, example):
        _, length, task = example["task"].split("/")
        due = encoded(tokenizer, chat, example["context"] + example["question"], example["answer_prefix"])
        assert len(due) + ANSWER.get(task, 128) == int(length), (example["task"], len(due))
        return due


def compare(name, source, chat, binary, benchmark):
    """-> prompts, and how many of them differ."""
    tokenizer = load(source)
    with tempfile.TemporaryDirectory() as folder:
        model_folder(source, folder)
        all_examples = examples(binary, folder, chat, benchmark.task)
    bad = 0
    for example in all_examples:
        due = benchmark.ids(tokenizer, chat, example)
        got = example["context_ids"] + example["question_ids"]
        if got != due:
            bad += 1
            at = next((i for i, (a, b) in enumerate(zip(got, due)) if a != b), min(len(got), len(due)))
            if bad <= 3:
                print(f"  {example['task']} {example['example']}: {len(got)} ids, due {len(due)}, first at {at}: "
                      f"{got[at - 2:at + 4]} due {due[at - 2:at + 4]}")
    print(f"{name} {chat} {type(benchmark).__name__}: {len(all_examples)} prompts, {bad} differ", flush=True)
    return len(all_examples), bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", action="append", required=True)
    parser.add_argument("--babilong")
    parser.add_argument("--ruler")
    parser.add_argument("--lengths", default="1024,2048,4096,8192")
    parser.add_argument("--evictbench", default="build/release/evictbench")
    args = parser.parse_args()
    benchmarks = [Ruler([int(length) for length in args.lengths.split(",")])]
    benchmarks += [Babilong(args.babilong)] if args.babilong else []
    benchmarks += [RulerFiles(args.ruler)] if args.ruler else []
    total = wrong = 0
    for entry in args.tokenizer:
        name, rest = entry.split("=", 1)
        source, chat = rest.rsplit(":", 1)
        for benchmark in benchmarks:
            count, bad = compare(name, source, chat, args.evictbench, benchmark)
            total, wrong = total + count, wrong + bad
    print(f"{total} prompts, {wrong} differ")
    return wrong != 0


if __name__ == "__main__":
    sys.exit(main())
