#!/usr/bin/env python3
"""Renders the published templates in chat_templates/ with transformers, and compares with rendered.json, which chat_test
expects of ours.

  chat_oracle.py [--write]

NAME.jinja and NAME_variant.jinja are texts as published; each must render as the built-in template NAME does.
"""
import argparse
import json
import pathlib
import sys

from transformers.utils.chat_template_utils import render_jinja_template

FOLDER = pathlib.Path(__file__).parent / "chat_templates"
MESSAGES = [{"role": "user", "content": "Hello there"}]


def specials(name):
    if name.startswith("llama-3"):
        return {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}
    return {"bos_token": "<s>", "eos_token": "</s>"}


def render(path):
    name = path.stem.split("_")[0]
    # Llama 3.2 would write today's date.
    date = {"date_string": "26 Jul 2024"} if path.stem.endswith("of-3.2") else {}
    texts, _ = render_jinja_template(conversations=[MESSAGES], chat_template=path.read_bytes().decode(),
                                     add_generation_prompt=True, **specials(name), **date)
    return texts[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    rendered = {path.name: render(path) for path in sorted(FOLDER.glob("*.jinja"))}
    target = FOLDER / "rendered.json"
    if parser.parse_args().write:
        target.write_text(json.dumps(rendered, indent=1) + "\n")
    differ = [name for name, text in rendered.items() if json.loads(target.read_text()).get(name) != text]
    print(f"{len(rendered)} templates,", "differing: " + ", ".join(differ) if differ else "all as expected")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
