#!/usr/bin/env python3
"""Writes what another library makes of a text full of difficulties, for tokenizer_test to compare with.

  tokenizer_oracle.py FOLDER OUT [--bytes N] [--seed S]

FOLDER holds tokenizer.json (encoded by the tokenizers package) or tokenizer.model (by sentencepiece).
OUT gets text.txt, ids.txt (specials as plain text, where the package can), ids_special.txt (specials parsed) and
decoded.txt (of ids.txt); sentencepiece parses no specials. No file holds specials that the tokenizer adds by itself.
"""
import argparse
import pathlib
import random
import unicodedata

WORDS = """the of and to in a is that for it was on are as with his they at be this from I have or by one had not but
what all were when we there can an your which their said if do will each about how up out them then she many some so
these would other into has more her two like him see time could no make than first been its who now people my made
over did down only way find use may water long little very after words called just where most know get through back
cache eviction attention keys values tokens window budget policy it's don't I'M WE'RE they'll he'd you've""".split()
CODE = ["for (int i = 0; i < n; ++i) {\n", "\treturn x->y[i] * 2.5e-3f;\n", "def f(a, *, b=None):\n    pass\n",
        "}\r\n", "#include <vector>\n", "if a!=b&&c>>=3:\n", "\n\n\n", "        ", "\t\t", " \n \n", "// ----\n",
        "<html></html>", "{\"a\": [1, 2, {\"b\": null}]}\n", "x = y ;  \n", "====", "'s't're've'll'd'm", "'S 'T'RE", "\u0027\u017f"]
EMOJI = ["😀", "🚀", "👩‍👩‍👧‍👦", "🇪🇪", "✅", "❤️", "👍🏽", "🦙", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\r", "\u00a0", "\u3000", "\u2003", "\u2028", "\u0085", "\u180e",
          "\u200b", "\ufeff", "\v", "\f", "\x1c", "\x1f"]
SPECIALS = ["<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "[INST]", "<|begin_of_text|>",
            "<0x0A>", "<repo_name>", "<|im_start", "|>"]


def assigned(rng):
    """A random character that exists."""
    while True:
        c = chr(rng.choice([rng.randrange(0x80, 0x3000), rng.randrange(0x3000, 0x10000), rng.randrange(0x10000, 0x20000)]))
        if unicodedata.category(c) not in ("Cn", "Cs", "Co"):
            return c


def piece(rng):
    kind = rng.randrange(16)
    if kind < 5:
        return " ".join(rng.choice(WORDS) for _ in range(rng.randrange(1, 12))) + rng.choice([" ", ". ", ", ", "\n", "!"])
    if kind == 5:
        return "".join(chr(rng.randrange(0x4e00, 0x9fa6)) for _ in range(rng.randrange(1, 30))) + rng.choice("，。 ")
    if kind < 8:
        return "".join(rng.choice(CODE) for _ in range(rng.randrange(1, 6)))
    if kind == 8:
        return "".join(rng.choice(EMOJI) for _ in range(rng.randrange(1, 5)))
    if kind == 9:
        return rng.choice("aeoнк字") + "".join(chr(rng.randrange(0x300, 0x370)) for _ in range(rng.randrange(1, 12)))
    if kind == 10:
        return "".join(rng.choice("0123456789٣७.,-") for _ in range(rng.randrange(1, 20))) + rng.choice(["", " ", "½", "Ⅷ"])
    if kind == 11:
        return "".join(chr(rng.randrange(0, 0x20)) for _ in range(rng.randrange(1, 4)))
    if kind == 12:
        return "".join(rng.choice(SPACES) for _ in range(rng.randrange(1, 6)))
    if kind == 13:
        return rng.choice(SPECIALS)
    if kind == 14:
        return "".join(assigned(rng) for _ in range(rng.randrange(1, 12)))
    return rng.choice("aA -=*.\n\t'字") * rng.randrange(1, 200)


def text(seed, size):
    rng, parts, count = random.Random(seed), [], 0
    while count < size:
        parts.append(piece(rng))
        count += len(parts[-1].encode())
    return "".join(parts)


INVALID = [b"\x80", b"\xbf\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc3", b"\xc3(", b"\xe0\x80\xaf", b"\xe0\x9f\xbf", b"\xe2\x82",
           b"\xe4\xbd\xe4\xbd\xa0", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\xbd\xed\xb8\x80", b"\xef\xbf", b"\xf0\x80\x80\x80",
           b"\xf0\x8f\xbf\xbf", b"\xf0\x9f", b"\xf0\x9f\x98", b"\xf0\x9f\x98(", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80",
           b"\xfe", b"\xff\xff", b"\xe2\x28\xa1", b"\xf0\x28\x8c\xbc"]


def broken(seed, size):
    """Bytes that are `text` with invalid sequences of every kind between its pieces."""
    rng, out = random.Random(seed), bytearray()
    while len(out) < size:
        out += piece(rng).encode()
        if rng.random() < 0.2:
            out += rng.choice(INVALID)
        if rng.random() < 0.05:
            out += bytes(rng.randrange(0x80, 0x100) for _ in range(rng.randrange(1, 6)))
    return bytes(out)


def write(path, ids):
    path.write_text("\n".join(map(str, ids)) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--bytes", type=int, default=1 << 20)
    parser.add_argument("--seed", type=int, default=42)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    sample = text(args.seed, args.bytes)
    if (args.folder / "tokenizer.json").exists():
        import tokenizers
        tokenizer = tokenizers.Tokenizer.from_file(str(args.folder / "tokenizer.json"))
        special = tokenizer.encode(sample, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = True
        ids = tokenizer.encode(sample, add_special_tokens=False).ids
        decoded = tokenizer.decode(ids, skip_special_tokens=False)
    else:
        import sentencepiece
        sample = sample.replace("\u2581", "")  # what a space turns into: no decoder can tell them apart
        model = sentencepiece.SentencePieceProcessor(model_file=str(args.folder / "tokenizer.model"))
        ids, special = model.encode(sample), None
        decoded = model.decode(ids)
    (args.out / "text.txt").write_bytes(sample.encode())
    (args.out / "decoded.txt").write_bytes(decoded.encode())
    write(args.out / "ids.txt", ids)
    if special is not None:
        write(args.out / "ids_special.txt", special)
    print(f"{len(sample.encode())} bytes, {len(ids)} ids,",
          "decoded exactly" if decoded == sample else "decoded text differs")


if __name__ == "__main__":
    main()
