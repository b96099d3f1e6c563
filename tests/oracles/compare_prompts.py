"""LongBench prompts: the ids of `evictbench examples --ids` against the published programs' own steps in transformers.

    python tests/oracles/compare_prompts.py --data DIR --tokenizer NAME=FOLDER:CHAT... [--evictbench build/release/evictbench]

DIR holds official LongBench files. FOLDER holds a tokenizer; CHAT is the template to use, as in `model.chat`. Each record is cut at
several limits, odd ones too, under every protocol. A folder with tokenizer.model is read by the sentencepiece package.
"""
import argparse
import json
import math
import os
import subprocess
import sys
import tempfile

from transformers import AutoTokenizer

PLAIN = ["trec", "triviaqa", "samsum", "lsht", "lcc", "repobench-p"]
LLAMA3 = ("<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n",
          "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n")
OWN = {  # a user's turn, as the checkpoint's template renders it
    "llama-3": LLAMA3,
    "smollm2": ("<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
                "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"),
    "llama-2": ("<s>[INST] ", " [/INST]"),
    "none": None,
}
CUES = {"trec": "Type:", "triviaqa": "Answer:", "samsum": "Summary:"}


class SentencePiece:
    """tokenizer.model by the sentencepiece package, as transformers' slow LlamaTokenizer has it: what THUDM's program loads."""

    bos_token = "<s>"

    def __init__(self, file):
        import sentencepiece
        self.model = sentencepiece.SentencePieceProcessor(model_file=file)

    def encode(self, text, add_special_tokens=True):
        spelled = text.startswith("<s>")
        return [1] * (add_special_tokens + spelled) + self.model.encode(text[3:] if spelled else text)

    def __call__(self, text, add_special_tokens=True):
        return argparse.Namespace(input_ids=self.encode(text, add_special_tokens))

    def decode(self, ids, skip_special_tokens=False):
        return self.model.decode([i for i in ids if i > 2])


def load(folder):
    model = os.path.join(folder, "tokenizer.model")
    return SentencePiece(model) if os.path.exists(model) else AutoTokenizer.from_pretrained(folder)


def wrap(protocol, chat):
    """-> (before, after), or None; and whether the tokenizer's specials come on top."""
    if chat == "llama-2":
        blank = " " if protocol == "kvcache-factory" else ""
        return ("[INST]" + blank, blank + "[/INST]"), True
    if protocol == "compresskv" and chat.startswith("llama-3"):
        return LLAMA3, True
    if protocol == "longbench" and OWN.get(chat):
        return OWN[chat], False
    return None, True


def published(tokenizer, protocol, chat, task, text, limit):
    around, specials = wrap(protocol, chat)
    first = protocol == "kvcache-factory"
    if task in PLAIN and not first:
        around, specials = None, True
    if around and first:
        text = around[0] + text + around[1]
    ids = tokenizer(text).input_ids
    if limit and len(ids) > limit:
        half = int(limit / 2)
        text = (tokenizer.decode(ids[:half], skip_special_tokens=True)
                + tokenizer.decode(ids[-half:], skip_special_tokens=True))
    if around and not first:
        text = around[0] + text + around[1]
    return tokenizer(text, add_special_tokens=specials).input_ids


def kvpress(tokenizer, chat, example, limit):
    own = OWN.get(chat)
    before, after = own if own else (tokenizer.bos_token or "", "\n")
    context = tokenizer.encode(before + example["context"], add_special_tokens=False)
    return (context[:limit] if limit else context) + tokenizer.encode(
        example["question"] + after + example["answer_prefix"], add_special_tokens=False)


def model_folder(tokenizer_folder, to):
    """The tokenizer, and a model of zeros that is large enough for it."""
    hidden, vocabulary = 8, 1 << 18
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden, "intermediate_size": 8,
              "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1, "vocab_size": vocabulary,
              "max_position_embeddings": 1 << 20, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True,
              "hidden_act": "silu", "eos_token_id": 2}
    json.dump(config, open(os.path.join(to, "config.json"), "w"))
    shapes = {"model.embed_tokens.weight": [vocabulary, hidden], "model.norm.weight": [hidden]}
    layer = "model.layers.0."
    for name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj",
                 "mlp.down_proj"):
        shapes[layer + name + ".weight"] = [hidden, hidden]
    for name in ("input_layernorm", "post_attention_layernorm"):
        shapes[layer + name + ".weight"] = [hidden]
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with open(os.path.join(to, "model.safetensors"), "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text + bytes(at))
    for name in os.listdir(tokenizer_folder):
        if name.startswith("tokenizer") or name in ("vocab.json", "merges.txt", "special_tokens_map.json"):
            os.symlink(os.path.join(tokenizer_folder, name), os.path.join(to, name))


def examples(binary, folder, chat, task):
    sweep = {"version": 1, "model": {"path": folder, "chat": chat}, "protocol": {"question": "inside"},
             "policies": [{"name": "full"}], "tasks": [task], "output": {"dir": "none"}}
    path = os.path.join(folder, "sweep.yaml")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(sweep, file)
    out = subprocess.run([binary, "examples", path, "--ids"], capture_output=True, text=True)
    if out.returncode:
        sys.exit(out.stderr)
    return [json.loads(line) for line in out.stdout.split("\n") if line]


def longbench(data, jieba, protocol, limit):
    task = {"name": "longbench", "path": data, "protocol": protocol, "jieba": jieba}
    return task | {"max_tokens": limit} if limit else task


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--jieba", default="/usr/lib/python3/dist-packages/jieba")
    parser.add_argument("--evictbench", default="build/release/evictbench")
    parser.add_argument("--limits", default="0,64,301,1000,2047,3500")
    parser.add_argument("--tokenizer", action="append", required=True)
    args = parser.parse_args()
    wrong = total = 0
    for entry in args.tokenizer:
        name, rest = entry.split("=", 1)
        source, chat = rest.rsplit(":", 1)
        tokenizer = load(source)
        with tempfile.TemporaryDirectory() as folder:
            model_folder(source, folder)
            for protocol in ("longbench", "compresskv", "snapkv", "kvcache-factory", "kvpress"):
                bad = count = seams = 0
                for limit in map(int, args.limits.split(",")):
                    for example in examples(args.evictbench, folder, chat, longbench(args.data, args.jieba, protocol, limit)):
                        task = example["task"].split("/")[1]
                        text = example["context"] + example["question"] + example["answer_prefix"]
                        due = (kvpress(tokenizer, chat, example, limit) if protocol == "kvpress"
                               else published(tokenizer, protocol, chat, task, text, limit))
                        got = example["context_ids"] + example["question_ids"]
                        seams += "\ufffd" in tokenizer.decode(due)
                        count += 1
                        if got != due:
                            bad += 1
                            if bad <= 2:
                                at = next((i for i, (a, b) in enumerate(zip(got, due)) if a != b), min(len(got), len(due)))
                                print(f"  {name} {protocol} {limit} {example['example']}: {len(got)} ids, due {len(due)}, "
                                      f"first at {at}: {got[at - 2:at + 4]} due {due[at - 2:at + 4]}")
                print(f"{name} {chat} {protocol}: {count} prompts, {bad} differ, {seams} with a broken character")
                wrong += bad
                total += count
    print(f"{total} prompts, {wrong} differ")
    return wrong != 0


if __name__ == "__main__":
    sys.exit(main())
