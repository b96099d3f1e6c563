#!/usr/bin/env python3
"""Renders conversations with the published templates in chat_templates/ by transformers, and compares with what
rendered.json says, which chat_test expects of ours.

  chat_oracle.py [--write] [--show FILE INDEX] [--ids MODEL BINARY]

NAME.jinja and NAME_variant.jinja are texts as published; each must render as the built-in template NAME does.
rendered.json holds the conversations, and for every file and conversation the FNV-1a hash of the rendered text with and
without the start of an answer, null where the template refuses, "-" where it does not heed that setting.
--ids compares token ids and text of MODEL's own template with `BINARY inspect tokens MODEL --messages`.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import jinja2
from transformers.utils.chat_template_utils import render_jinja_template

FOLDER = pathlib.Path(__file__).parent / "chat_templates"
ODD = ["", " ", "\n", "  two  spaces \n\n", "\t\ttabs\t", "\u00a0no break\u3000", "caf\u00e9 \u4f60\u597d \U0001f680", "e\u0301", "\u200b\ufeff",
       "\x1cseparators\x1f", "line\r\nfeeds\n", "<|im_end|>", "[INST] {{ x }} {% y %}", "</s>", "'quotes' \"and\" \\n", "<think>\nhm\n</think>\n\nyes",
       "a</think>b</think>\n c", "\n\n<think>\n\n</think>", "<tool_response>x</tool_response>", "{\"a\": 1}"]


def conversations():
    """Lists of [role, content]."""
    made = [[["user", "Hello there"]],
            [["system", "Be brief."], ["user", "Hello there"]],
            [["user", "Hi"], ["assistant", "Hello! How can I help?"], ["user", "Count to 3."]],
            [["system", "You are a poet."], ["user", "Hi"], ["assistant", "Oh."], ["user", "More."], ["assistant", "Ah."],
             ["user", "Stop."]],
            [["user", "Hi"], ["assistant", "Hello"]],
            [["system", "Only this."]],
            [["assistant", "I start."], ["user", "No."]],
            [["user", "One"], ["user", "Two"]],
            [["user", "One"], ["assistant", "1"], ["assistant", "2"], ["user", "Three"]],
            [["user", "a"], ["system", "Late."], ["user", "b"]],
            [["user", "a"], ["assistant", "b"], ["system", "Late."], ["user", "c"]],
            [["system", "One."], ["system", "Two."], ["user", "c"]],
            [["system", ""], ["user", ""], ["assistant", ""], ["user", ""]]]
    made += [[["user", text], ["assistant", text], ["user", "next " + text]] for text in ODD[1:18:2]]
    made += [[["system", text], ["user", text + "x"], ["assistant", "y" + text]] for text in ODD[0:18:2]]
    made += [[["user", "q"], ["assistant", "<think>one</think>A"], ["user", "<tool_response>r</tool_response>"],
              ["assistant", "<think>\n\ntwo\n\n</think>\n\nB"], ["assistant", "plain"]]]
    rng = random.Random(7)
    for _ in range(18):
        turns = [["system", rng.choice(ODD)]] if rng.random() < 0.3 else []
        for turn in range(rng.randrange(1, 9)):
            turns.append([["user", "assistant"][turn % 2], rng.choice(ODD) + rng.choice(["", "word ", "\n"]) + rng.choice(ODD)])
        made.append(turns)
    return made


def specials(name):
    if name.startswith("llama-3"):
        return {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}
    if name.startswith("gemma"):
        return {"bos_token": "<bos>", "eos_token": "<eos>"}
    if name.startswith("phi"):
        return {"bos_token": "<s>", "eos_token": "<|endoftext|>"}
    return {"bos_token": "<s>", "eos_token": "</s>"}


def render(file, conversation, generation):
    """The text; None where the template refuses; "-" where it does not heed add_generation_prompt."""
    name = pathlib.Path(file).stem.split("_")[0]
    settings = specials(name)
    if file.endswith("of-3.2.jinja"):  # it would write today's date
        settings["date_string"] = "26 Jul 2024"
    if name == "qwen3-no-think":
        file, settings["enable_thinking"] = "qwen3.jinja", False
    if file == "llama-3.jinja" and not generation:
        return "-"
    try:
        texts, _ = render_jinja_template(
            conversations=[[{"role": role, "content": content} for role, content in conversation]],
            chat_template=(FOLDER / file).read_bytes().decode(), add_generation_prompt=generation, **settings)
    except jinja2.exceptions.TemplateError:
        return None
    return texts[0]


def fnv(text):
    if text is None or text == "-":
        return text
    value = 0xcbf29ce484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001b3 % 2**64
    return f"{value:016x}"


def compare_ids(model, binary):
    """Our ids of MODEL's own conversations against those of transformers."""
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(model)
    different, count = [], 0
    for i, conversation in enumerate(conversations()):
        messages = [{"role": role, "content": content} for role, content in conversation]
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(messages, file)
            file.flush()
            run = subprocess.run([binary, "inspect", "tokens", model, "--chat", "auto", "--messages", file.name, "--json"],
                                 capture_output=True, check=True)
        ours = json.loads(run.stdout)
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        ids = tokenizer.apply_chat_template(messages, tokenize=True, add_generation_prompt=True, return_dict=False)
        count += len(ids)
        if ours["text"] != text or ours["ids"] != list(ids):
            different.append(i)
    print(f"{i + 1} conversations, {count} ids,", f"differing: {different}" if different else "all equal")
    return not different


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--show", nargs=2)
    parser.add_argument("--ids", nargs=2)
    args = parser.parse_args()
    if args.ids:
        sys.exit(0 if compare_ids(*args.ids) else 1)
    talks = conversations()
    if args.show:
        for generation in (True, False):
            print(repr(render(args.show[0], talks[int(args.show[1])], generation)))
        return
    files = [path.name for path in sorted(FOLDER.glob("*.jinja"))] + ["qwen3-no-think.jinja"]
    made = {"conversations": talks,
            "first": {file: render(file, talks[0], True) for file in files},
            "hashes": {file: [[fnv(render(file, talk, True)), fnv(render(file, talk, False))] for talk in talks]
                       for file in files}}
    target = FOLDER / "rendered.json"
    if args.write:
        lines = ",\n".join(json.dumps(talk) for talk in talks)
        first = ",\n".join(f"{json.dumps(file)}: {json.dumps(text)}" for file, text in made["first"].items())
        hashes = ",\n".join(f"{json.dumps(file)}: {json.dumps(rows)}" for file, rows in made["hashes"].items())
        target.write_text(f'{{"conversations": [\n{lines}],\n"first": {{\n{first}}},\n"hashes": {{\n{hashes}}}}}\n')
    differ = [file for file in files if json.loads(target.read_text())["hashes"].get(file) != made["hashes"][file]]
    accepted = min(sum(row[0] is not None for row in rows) for rows in made["hashes"].values())
    print(f"{len(files)} templates, {len(talks)} conversations, at least {accepted} of them taken,",
          "differing: " + ", ".join(differ) if differ else "all as expected")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
