#!/usr/bin/env python3
"""Compares our token ids and decoded text with those of the tokenizers and sentencepiece packages, on mixed text with
invalid UTF-8 of every kind.

  compare_tokenizers.py [--bytes N] [--seed S] [--only WORD] [--keep DIR] [--gguf DIR] [--tekken FILE]
                        [--binary FILE] [FOLDER...]

FOLDERs hold a tokenizer.json or a tokenizer.model. Besides them it makes tokenizers of the data in ../shared, and
trains small ones in every form that we read. --gguf: a folder of ggml-vocab-*.gguf files; --tekken: a tekken.json of
the package mistral-common. Prints a line for each tokenizer; exit code 1 where one differs.
"""
import argparse
import base64
import collections
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/models"))
import tokenizer_oracle  # noqa: E402
import tokenizers  # noqa: E402
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers  # noqa: E402

DATA = ROOT.parent / "shared/data/tokenizers"
BINARY = [ROOT / "build/release/evictbench"]  # --binary
MARK = "\u2581"
L3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
Q2 = L3.replace(r"\p{N}{1,3}", r"\p{N}")
Q35 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TEKKEN = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*|\p{{N}}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{ENDING}|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{ENDING}|\p{{N}}{{1,3}}"
         r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK3 = [r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
             r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
             r"""| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""]
DEEPSEEK_CODER = ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"]
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
BYTE_DECODER = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
SPACES_DECODER = [{"type": "Replace", "pattern": {"String": MARK}, "content": " "}, {"type": "ByteFallback"},
                  {"type": "Fuse"}]
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}


# --- Making tokenizer.json ------------------------------------------------------------------------------------------

def split(pattern, behavior="Isolated", invert=False):
    kind = {"Regex": pattern} if isinstance(pattern, str) else pattern
    return {"type": "Split", "pattern": kind, "behavior": behavior, "invert": invert}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def replace(old, new):
    return {"type": "Replace", "pattern": {"String": old}, "content": new}


def added(token_id, content, special=True, **flags):
    return {"id": token_id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": special} | flags


def bos_template(name, token_id):
    text = {"Sequence": {"id": "A", "type_id": 0}}
    special = {"SpecialToken": {"id": name, "type_id": 0}}
    return {"type": "TemplateProcessing", "single": [special, text], "pair": [special, text],
            "special_tokens": {name: {"id": name, "ids": [token_id], "tokens": [name]}}}


def tokenizer_json(model, **parts):
    empty = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
             "pre_tokenizer": None, "post_processor": None, "decoder": None}
    return empty | parts | {"model": model}


def bpe(vocab, merges, **settings):
    return {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": vocab, "merges": merges} | settings


def spelling(data, alphabet={}):
    if not alphabet:
        codes = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
        others = (b for b in range(256) if b not in codes)
        alphabet.update({b: chr(b) for b in codes} | {b: chr(0x100 + i) for i, b in enumerate(others)})
    return "".join(alphabet[b] for b in data)


def from_ranks(ranks, pre, first=0, **parts):
    """Byte-level BPE of {bytes: rank}; every way to make a token of two lower ones is a merge."""
    merges = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        ways = [(token[:i], token[i:]) for i in range(1, len(token)) if token[:i] in ranks and token[i:] in ranks]
        merges += sorted(ways, key=lambda way: (ranks[way[0]], ranks[way[1]]))
    vocab = {spelling(token): rank + first for token, rank in ranks.items()}
    ignore = parts.pop("ignore_merges", False)
    return tokenizer_json(bpe(vocab, [[spelling(a), spelling(b)] for a, b in merges], ignore_merges=ignore),
                          pre_tokenizer=pre, decoder=BYTE_DECODER, **parts)


def tiktoken(path):
    return {base64.b64decode(line.split()[0]): int(line.split()[1]) for line in path.read_text().splitlines()}


def score_merges(pieces):
    """The merges of a SentencePiece vocabulary [(text, score)], best score first, then by the parts' ids."""
    ids = {text: i for i, (text, _) in enumerate(pieces)}
    merges = []
    for text, score in pieces:
        ways = [(text[:i], text[i:]) for i in range(1, len(text)) if text[:i] in ids and text[i:] in ids]
        merges += [(a, b, score) for a, b in sorted(ways, key=lambda way: (ids[way[0]], ids[way[1]]))]
    return [[a, b] for a, b, _ in sorted(merges, key=lambda merge: merge[2], reverse=True)]


def dressed(pieces, extra=(), metaspace=None):
    """A SentencePiece model in tokenizer.json, as Llama 2 has it, or with the Metaspace of later conversions."""
    vocab = {text: i for i, (text, _) in enumerate(pieces)}
    legacy = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": MARK}, replace(" ", MARK)]}
    return tokenizer_json(bpe(vocab, score_merges(pieces), unk_token="<unk>", fuse_unk=True, byte_fallback=True),
                          added_tokens=[added(0, "<unk>"), added(1, "<s>"), added(2, "</s>"), *extra],
                          normalizer=None if metaspace else legacy, pre_tokenizer=metaspace,
                          post_processor=bos_template("<s>", 1),
                          decoder={"type": "Sequence", "decoders": [*SPACES_DECODER, STRIP]})


def pieces_of(model_file):
    import sentencepiece
    model = sentencepiece.SentencePieceProcessor(model_file=str(model_file))
    return [(model.id_to_piece(i), model.get_score(i)) for i in range(model.get_piece_size())]


# --- Training small ones --------------------------------------------------------------------------------------------

def train(parts, size, seed=1, text_bytes=300_000, trainer=None, **model):
    """Trains the model behind the steps of `parts` on mixed text; its tokenizer.json."""
    blank = models.Unigram() if trainer else models.BPE()
    tokenizer = tokenizers.Tokenizer(blank)
    form = tokenizer_json(json.loads(tokenizer.to_str())["model"], normalizer=parts.get("normalizer"),
                          pre_tokenizer=parts.get("pre_tokenizer"))
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(form))
    byte_level = "ByteLevel" in json.dumps(parts.get("pre_tokenizer"))
    alphabet = pre_tokenizers.ByteLevel.alphabet() if byte_level else []
    trainer = trainer or trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    text = tokenizer_oracle.text(seed, text_bytes)
    for special in tokenizer_oracle.SPECIALS:
        text = text.replace(special, "")
    usual = {c for c, _ in collections.Counter(text).most_common(600)}
    tokenizer.train_from_iterator("".join(c for c in text if c in usual).splitlines(True), trainer)
    trained = json.loads(tokenizer.to_str())["model"]
    for key, value in model.items():
        trained[key] = value
    return tokenizer_json(trained, **parts)


def with_bytes(made, unknown="<unk>", count=256):
    """Puts <unk> and byte tokens into the vocabulary."""
    vocab = made["model"]["vocab"]
    for name in [unknown, *(f"<0x{b:02X}>" for b in range(count))]:
        vocab.setdefault(name, len(vocab))
    made["model"] |= {"unk_token": unknown, "byte_fallback": True}
    return made


def with_added(made, *tokens):
    vocab = made["model"]["vocab"]
    known = vocab if isinstance(vocab, dict) else {text: i for i, (text, _) in enumerate(vocab)}
    free = max(known.values()) + 1
    for content, special, flags in tokens:
        token_id = known.get(content)
        if token_id is None:
            token_id, free = free, free + 1
        made["added_tokens"].append(added(token_id, content, special, **flags))
    return made


CHAT_TOKENS = [("<|im_start|>", True, {}), ("<|im_end|>", True, {"rstrip": True}), ("<s>", True, {}),
               ("</s>", True, {"lstrip": True}), ("[INST]", False, {}), ("it", False, {"single_word": True}),
               ("<|", False, {}), ("  ", False, {}), ("\n\n", False, {}), ("I'M", False, {"normalized": True})]
WHOLE_BYTES = {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
               "decoder": BYTE_DECODER}


def byte_level(*steps, **more):
    return {"pre_tokenizer": sequence(*steps, BYTE_LEVEL), "decoder": BYTE_DECODER} | more


def gemma_like():
    made = train({"normalizer": replace(" ", MARK), "pre_tokenizer": split({"String": " "}, "MergedWithPrevious"),
                  "decoder": {"type": "Sequence", "decoders": SPACES_DECODER}}, 3000, fuse_unk=True)
    return with_added(with_bytes(made), ("<start_of_turn>", True, {}), ("<end_of_turn>", True, {}), ("\n\n", False, {}),
                      (MARK * 2, False, {}), (MARK * 3, False, {}), ("<table>", False, {}))


def phi3_like():
    legacy = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": MARK}, replace(" ", MARK)]}
    made = train({"normalizer": legacy, "decoder": {"type": "Sequence", "decoders": [*SPACES_DECODER, STRIP]}}, 3000,
                 fuse_unk=True)
    right = {"rstrip": True}
    return with_added(with_bytes(made), ("<s>", True, right), ("</s>", False, right), ("<|endoftext|>", True, {}),
                      ("<|im_start|>", True, right), ("<|im_end|>", True, right))


def unigram(seed=1, scheme="always", pieces=3000, byte_fallback=False):
    meta = {"type": "Metaspace", "replacement": MARK, "prepend_scheme": scheme, "split": seed % 2 == 1}
    trainer = trainers.UnigramTrainer(vocab_size=pieces, unk_token="<unk>", special_tokens=["<unk>", "<s>", "</s>"],
                                      show_progress=False)
    made = train({"pre_tokenizer": meta, "decoder": meta}, pieces, seed=seed, trainer=trainer)
    made["added_tokens"] = [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")]
    if byte_fallback:
        made["model"]["vocab"] += [[f"<0x{b:02X}>", -20.0] for b in range(256)]
        made["model"]["byte_fallback"] = True
        made["decoder"] = {"type": "Sequence", "decoders": [*SPACES_DECODER, STRIP]}
    return made


def by_chance(seed):
    """A form nobody publishes, of parts that we read."""
    rng = random.Random(seed)
    stripped = rng.random() < 0.5  # the package panics over tokens that share white space
    forms = [None, {"type": "NFC"}, {"type": "NFD"}, {"type": "NFKC"}, {"type": "NFKD"}, {"type": "Lowercase"},
             {"type": "Strip", "strip_left": rng.random() < 0.5, "strip_right": rng.random() < 0.5}]
    steps = [form for form in rng.sample(forms, 2) if form]
    patterns = [split(rng.choice([L3, Q2, Q35, TEKKEN, O200K]), rng.choice(["Isolated", "MergedWithPrevious",
                                                                        "MergedWithNext", "Contiguous"])),
                split(rng.choice(DEEPSEEK3 + DEEPSEEK_CODER), rng.choice(["Isolated", "MergedWithPrevious",
                                                                          "MergedWithNext", "Contiguous"])),
                {"type": "Digits", "individual_digits": rng.random() < 0.5}, split({"String": "e"}, "MergedWithNext")]
    chosen = rng.sample(patterns, rng.randrange(1, 4))
    tokens = [(name, special, flags | {"normalized": rng.random() < 0.3})
              for name, special, flags in rng.sample(CHAT_TOKENS, 6)
              if name.strip() != "" or not stripped]
    if not stripped:
        tokens = [(name, special, flags | {"lstrip": False, "rstrip": False}) for name, special, flags in tokens]
    size = rng.randrange(400, 1500)
    if rng.random() < 0.5:
        made = train(byte_level(*chosen, normalizer={"type": "Sequence", "normalizers": steps}), size, seed=seed,
                     ignore_merges=rng.random() < 0.5)
        return with_added(made, *tokens)
    scheme = rng.choice(["always", "first", "never"])
    meta = {"type": "Metaspace", "replacement": MARK, "prepend_scheme": scheme, "split": rng.random() < 0.5}
    made = train({"normalizer": {"type": "Sequence", "normalizers": steps}, "pre_tokenizer": sequence(meta, *chosen),
                  "decoder": meta}, size, seed=seed, fuse_unk=rng.random() < 0.5, ignore_merges=rng.random() < 0.5)
    if rng.random() < 0.7:
        made = with_bytes(made, count=rng.choice([256, 256, 200]))
        made["decoder"] = {"type": "Sequence", "decoders": SPACES_DECODER}
    return with_added(made, *tokens)


def trained():
    yield "gpt2 pattern", lambda: train(WHOLE_BYTES, 3000)
    yield "gpt2, prefix space", lambda: train(
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
         "decoder": BYTE_DECODER}, 3000)
    for name, patterns in {"llama3": [L3], "qwen2": [Q2], "qwen3.5": [Q35], "tekken": [TEKKEN], "o200k": [O200K],
                           "deepseek-v3": DEEPSEEK3, "deepseek-coder": DEEPSEEK_CODER}.items():
        yield f"{name} pattern", lambda patterns=patterns: with_added(
            train(byte_level(*map(split, patterns), normalizer={"type": "NFC"}), 3000), *CHAT_TOKENS)
    yield "o200k, Removed inverted", lambda: train(byte_level(split(O200K, "Removed", True)), 3000)
    yield "digits, gpt2", lambda: train(
        {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": True}, WHOLE_BYTES["pre_tokenizer"]),
         "decoder": BYTE_DECODER}, 3000)
    yield "gemma form", gemma_like
    yield "phi3 form", phi3_like
    yield "unigram", unigram
    yield "unigram, bytes", lambda: unigram(2, "first", byte_fallback=True)
    yield "unigram, never", lambda: unigram(3, "never", 1000)
    for seed in range(24):
        yield f"by chance {seed}", lambda seed=seed: by_chance(seed)


# --- Those at hand --------------------------------------------------------------------------------------------------

def gpt2_files():
    folder = DATA / "gpt2-bpe"
    vocab = json.loads((folder / "gpt2-vocab.json").read_text())
    lines = (folder / "gpt2-merges.txt").read_text().splitlines()
    return vocab, lines[:1] + [line for line in lines[1:] if line.replace(" ", "") in vocab]  # one token is missing


def gpt2_json():
    vocab, merges = gpt2_files()
    return tokenizer_json(bpe(vocab, merges[1:]),
                          added_tokens=[added(vocab["<|endoftext|>"], "<|endoftext|>")],
                          post_processor={"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False,
                                          "use_regex": True}, **WHOLE_BYTES)


def phi3_of_llama2():
    names = ["<|endoftext|>", "<|assistant|>", "<|placeholder1|>", "<|placeholder2|>", "<|placeholder3|>",
             "<|placeholder4|>", "<|system|>", "<|end|>", "<|placeholder5|>", "<|placeholder6|>", "<|user|>"]
    extra = [added(32000 + i, name, rstrip=i > 0) for i, name in enumerate(names)]
    return dressed(pieces_of(DATA / "llama2-spm/tokenizer.model"), extra)


def shared():
    if not DATA.exists():
        return
    yield "gpt2-bpe", gpt2_json
    yield "gpt2-bpe, vocab.json and merges.txt", None
    yield "llama3-bpe", lambda: from_ranks(
        tiktoken(DATA / "llama3-bpe/ranks.tiktoken"), sequence(split(L3), BYTE_LEVEL), ignore_merges=True,
        added_tokens=[added(128000 + i, name) for i, name in
                      enumerate(["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])],
        post_processor={"type": "Sequence", "processors": [
            {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
            bos_template("<|begin_of_text|>", 128000)]})
    yield "qwen2-bpe", lambda: from_ranks(
        tiktoken(DATA / "qwen2-bpe/ranks.tiktoken"), sequence(split(Q2), BYTE_LEVEL), normalizer={"type": "NFC"},
        added_tokens=[added(151643 + i, name) for i, name in
                      enumerate(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])])
    for name in ["llama2", "mistral-v1", "mistral-v3"]:
        model = DATA / f"{name}-spm/tokenizer.model"
        yield f"{name}-spm", model
        yield f"{name}-spm as tokenizer.json", lambda model=model: dressed(pieces_of(model))
        yield f"{name}-spm with Metaspace", lambda model=model: dressed(
            pieces_of(model), metaspace={"type": "Metaspace", "replacement": MARK, "prepend_scheme": "first",
                                         "split": False})
    yield "phi3 of llama2-spm", phi3_of_llama2


def of_gguf(path, pre, **parts):
    import gguf
    fields = gguf.GGUFReader(str(path)).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    specials = [added(i, text, kind == 3, rstrip=parts.get("rstrip", False))
                for i, (text, kind) in enumerate(zip(tokens, kinds)) if kind in (3, 4)]
    vocab = {text: i for i, text in enumerate(tokens)}
    if "tokenizer.ggml.merges" not in fields:
        scores = fields["tokenizer.ggml.scores"].contents()
        usual = [(text, score) for text, score, kind in zip(tokens, scores, kinds) if kind in (1, 2, 3, 6)]
        made = dressed(usual)
        made["added_tokens"] = specials
        made["model"]["vocab"] = vocab
        return made
    merges = [line.split(" ") for line in fields["tokenizer.ggml.merges"].contents()]
    if pre is None:
        return tokenizer_json(bpe(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True),
                              added_tokens=specials, normalizer=replace(" ", MARK),
                              pre_tokenizer=split({"String": " "}, "MergedWithPrevious"),
                              decoder={"type": "Sequence", "decoders": SPACES_DECODER})
    return tokenizer_json(bpe(vocab, merges), added_tokens=specials, pre_tokenizer=pre,
                          decoder=BYTE_DECODER, normalizer=parts.get("normalizer"))


def ggufs(folder):
    for name, pre, more in [
            ("phi-3", None, {"rstrip": True}), ("gemma-4", None, {}),
            ("qwen35", sequence(split(Q35), BYTE_LEVEL), {"normalizer": {"type": "NFC"}}),
            ("llama-bpe", sequence(split(L3), BYTE_LEVEL), {}),
            ("deepseek-coder", sequence(*map(split, DEEPSEEK_CODER), {"type": "Digits", "individual_digits": True},
                                        BYTE_LEVEL), {}),
            ("gpt-neox", WHOLE_BYTES["pre_tokenizer"], {"normalizer": {"type": "NFC"}}),
            ("starcoder", sequence({"type": "Digits", "individual_digits": True}, WHOLE_BYTES["pre_tokenizer"]), {})]:
        path = folder / f"ggml-vocab-{name}.gguf"
        if path.exists():
            yield f"{name} of a GGUF", lambda path=path, pre=pre, more=more: of_gguf(path, pre, **more)


def tekken(path):
    data = json.loads(path.read_text())
    special_count = data["config"]["default_num_special_tokens"]
    keep = data["config"]["default_vocab_size"] - special_count
    ranks = {base64.b64decode(token["token_bytes"]): token["rank"] for token in data["vocab"][:keep]}
    names = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"]
    names += [f"<SPECIAL_{i}>" for i in range(len(names), special_count)]
    made = from_ranks(ranks, sequence(split(data["config"]["pattern"]), BYTE_LEVEL), first=special_count,
                      added_tokens=[added(i, name) for i, name in enumerate(names)],
                      post_processor=bos_template("<s>", 1), ignore_merges=True)
    made["model"]["vocab"] = {name: i for i, name in enumerate(names)} | made["model"]["vocab"]
    return made


# --- Comparing ------------------------------------------------------------------------------------------------------

def ours(folder, text_file, *options):
    started = time.time()
    run = subprocess.run([*BINARY, "inspect", "tokens", folder, "--text-file", text_file, "--json", *options],
                         capture_output=True, check=False)
    if run.returncode:
        raise RuntimeError(run.stderr.decode(errors="replace").strip()[:300])
    return json.loads(run.stdout), time.time() - started


def differ(what, expected, got):
    if expected == got:
        return []
    at = next((i for i, (a, b) in enumerate(zip(expected, got)) if a != b), min(len(expected), len(got)))
    return [f"{what} at {at}: {expected[at:at + 6]!r} theirs, {got[at:at + 6]!r} ours"]


def compare_json(folder, text, text_file):
    theirs = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    usual = theirs.encode(text).ids
    parsed = theirs.encode(text, add_special_tokens=False).ids
    theirs.encode_special_tokens = True
    plain = theirs.encode(text, add_special_tokens=False).ids
    result, seconds = ours(folder, text_file, "--no-special")
    wrong = differ("plain ids", plain, result["ids"])
    wrong += differ("ids with specials parsed", parsed, ours(folder, text_file, "--no-special", "--parse-special")[0]["ids"])
    wrong += differ("ids with specials added", usual, ours(folder, text_file, "--parse-special")[0]["ids"])
    if result["decoded"] != text:  # theirs may lose what ours keeps
        expected, got = theirs.decode(plain, skip_special_tokens=False), result["decoded"]
        if any(name in str(json.loads(theirs.to_str())["decoder"]) for name in ("Strip", "Metaspace")):
            expected, got = expected.replace(" ", ""), got.replace(" ", "")  # they strip the first text alone
        wrong += differ("decoded text", expected, got)
    return wrong, len(plain), seconds


def compare_model(folder, text, text_file):
    import sentencepiece
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    plain = theirs.encode(text)
    result, seconds = ours(folder, text_file, "--no-special")
    wrong = differ("plain ids", plain, result["ids"])
    wrong += differ("decoded text", theirs.decode(plain), result["decoded"])
    return wrong, len(plain), seconds


def compare(name, folder, size, seed, work):
    data = tokenizer_oracle.broken(seed, size)
    is_model = not (folder / "tokenizer.json").exists() and (folder / "tokenizer.model").exists()
    if is_model:  # what a space turns into: no decoder can tell them apart
        data = data.replace(MARK.encode(), b"")
    (work / "text.bin").write_bytes(data)
    text = data.decode("utf-8", errors="replace")
    if is_model:
        text = text.replace(MARK, "")
    theirs = folder if is_model or (folder / "tokenizer.json").exists() else work / "gpt2-bpe"
    try:
        if theirs != folder:  # vocab.json and merges.txt
            one, other = ours(folder, work / "text.bin", "--no-special"), ours(theirs, work / "text.bin", "--no-special")
            wrong = differ("plain ids", other[0]["ids"], one[0]["ids"])
            count, seconds = len(one[0]["ids"]), one[1]
        else:
            wrong, count, seconds = (compare_model if is_model else compare_json)(folder, text, work / "text.bin")
    except RuntimeError as error:
        wrong, count, seconds = [str(error)], 0, 0
    verdict = "equal" if not wrong else "DIFFERS: " + "; ".join(wrong)
    print(f"{name:<40} {len(data):>9} bytes {count:>8} ids {seconds:6.2f} s  {verdict}", flush=True)
    return not wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="*", type=pathlib.Path)
    parser.add_argument("--bytes", type=int, default=2 << 20)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--gguf", type=pathlib.Path)
    parser.add_argument("--tekken", type=pathlib.Path)
    parser.add_argument("--binary", type=pathlib.Path)
    args = parser.parse_args()
    if args.binary:
        BINARY[:] = [args.binary]
    work = args.keep or pathlib.Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    makers = [*shared(), *(ggufs(args.gguf) if args.gguf else ())]
    if args.tekken:
        makers.append(("tekken of mistral-common", lambda: tekken(args.tekken)))
    good = True
    for name, make in [*makers, *trained()]:
        if args.only not in name:
            continue
        folder = work / name.replace(",", "").replace(" ", "-")
        folder.mkdir(exist_ok=True)
        if make is None:
            vocab, merges = gpt2_files()
            (folder / "vocab.json").write_text(json.dumps(vocab))
            (folder / "merges.txt").write_text("\n".join(merges) + "\n")
        elif callable(make):
            (folder / "tokenizer.json").write_text(json.dumps(make()))
        else:
            shutil.copy(make, folder / "tokenizer.model")
        good &= compare(name, folder, args.bytes if "by chance" not in name else args.bytes // 8, args.seed, work)
    for folder in args.folders:
        good &= compare(folder.name, folder, args.bytes, args.seed, work)
    if not args.keep:
        shutil.rmtree(work)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
