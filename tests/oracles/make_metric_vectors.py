"""What the field's own packages score: tests/datasets/vectors/metrics.json and a small segmenter with its cuts.

    pip install rouge==1.0.1 rouge_score==0.1.2 sacrebleu==2.6.0 rapidfuzz jieba==0.42.1
    python tests/oracles/make_metric_vectors.py

Texts, dictionary and tables are drawn here from a seed; nothing of others goes into the files.
"""
import difflib
import json
import logging
import os
import random

import jieba
import jieba.finalseg
import sacrebleu
from rapidfuzz.distance import Indel
from rouge import Rouge
from rouge_score import rouge_scorer

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "datasets", "vectors")
rng = random.Random(7)
WORDS = "the cat sat on a mat . , and 3.5 dogs ran-off quickly; running runners' \"ran\" 12-14 A.B. naïve ÉTÉ".split(" ")


def text(most):
    out = ""
    for _ in range(rng.randrange(most)):
        out += rng.choice(WORDS) + rng.choice([" ", " ", " ", "\n", "  ", ". ", "-\n", " &amp; ", "\u00a0"])
    return out


def package_rouge(answer, reference):
    try:
        scores = Rouge().get_scores(answer, reference)[0]
        return [scores[name]["f"] for name in ("rouge-1", "rouge-2", "rouge-l")]
    except ValueError:
        return [0.0, 0.0, 0.0]


def pairs():
    fixed = [("", ""), ("", "a b"), (".", "a"), (" . ", " ."), ("a.b", "a. b"), ("a b c", "a b c"), ("...", "..."),
             ("x" * 10, "x" * 10), ("one\ntwo", "two\none"), ("<skipped>a", "a"), ("b-\n", "b")]
    return fixed + [(text(30), text(30)) for _ in range(60)]


def code(size):
    return "".join(rng.choice("abc _=();") for _ in range(size))


def code_pairs():
    out = []
    for size in [0, 1, 2, 5, 20, 60, 199, 200, 201, 450]:
        for _ in range(4):
            a = code(rng.randrange(size + 1))
            b = code(size)
            if rng.random() < 0.6:  # alike
                at = rng.randrange(len(b) + 1)
                a = b[:at] + code(rng.randrange(6)) + b[at + rng.randrange(4):]
            out.append((a, b))
    return out


def metrics():
    google = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=True)
    rows = []
    for answer, reference in pairs():
        scores = google.score(reference, answer)
        other = text(20)
        rows.append({
            "answer": answer, "reference": reference, "other": other, "rouge": package_rouge(answer, reference),
            "rouge_score": [scores[n].fmeasure for n in ("rouge1", "rouge2", "rougeL", "rougeLsum")],
            "bleu": sacrebleu.sentence_bleu(answer, [reference]).score / 100,
            "bleu_two": sacrebleu.sentence_bleu(answer, [reference, other]).score / 100,
        })
    corpus = sacrebleu.corpus_bleu([r["answer"] for r in rows], [[r["reference"] for r in rows]]).score / 100
    codes = []
    for a, b in code_pairs():
        if a == b:
            ratio = indel = 100
        elif not a or not b:
            ratio = indel = 0
        else:
            ratio = int(round(100 * difflib.SequenceMatcher(None, a, b).ratio()))
            indel = int(round(100 * Indel.normalized_similarity(a, b)))
        codes.append({"answer": a, "reference": b, "difflib": ratio, "indel": indel})
    return {"texts": rows, "corpus_bleu": corpus, "codes": codes}


HAN = "天地人山水火木金土日月大小上下中国北京城东西南"


def segmenter():
    words = {}
    for _ in range(60):
        words["".join(rng.choice(HAN) for _ in range(rng.choice([1, 2, 2, 2, 3, 4])))] = rng.choice([0, 1, 2, 5, 40, 300])
    for word in ["C++", "AT&T", "3D打印"]:
        words[word] = 3
    with open(os.path.join(HERE, "segmenter", "jieba_dict.txt"), "w", encoding="utf-8") as out:
        for word, frequency in words.items():
            out.write(f"{word} {frequency} n\n")
    tables = {
        "start": {"B": -0.3, "E": -3.14e100, "M": -3.14e100, "S": -1.5},
        "trans": {"B": {"E": -0.5, "M": -0.9}, "E": {"B": -0.6, "S": -0.8}, "M": {"E": -0.3, "M": -1.3},
                  "S": {"B": -0.7, "S": -0.7}},
        "emit": {s: {c: -rng.randrange(2, 12) / 1.0 for c in HAN if rng.random() < 0.8} for s in "BEMS"},
    }
    with open(os.path.join(HERE, "segmenter", "jieba_hmm.json"), "w", encoding="utf-8") as out:
        json.dump(tables, out, ensure_ascii=False, indent=1)
    jieba.finalseg.start_P, jieba.finalseg.trans_P, jieba.finalseg.emit_P = (
        tables["start"], tables["trans"], tables["emit"])
    jieba.setLogLevel(logging.ERROR)
    cutter = jieba.Tokenizer(dictionary=os.path.join(HERE, "segmenter", "jieba_dict.txt"))
    cutter.tmp_dir = "/tmp"
    cutter.cache_file = "evictbench_segmenter.cache"
    texts = ["", " ", "\r\n", "a\r\nb", "C++和AT&T", "3D打印 1.5% x.y 2.", "，。「」"]
    marks = ["", "", "", "，", " ", "\n", "\r\n", "abc", "12.5%", "C++", "#", "㐀", "é"]
    for _ in range(60):
        texts.append("".join(rng.choice(HAN) + rng.choice(marks) for _ in range(rng.randrange(40))))
    return [{"text": t, "tokens": list(cutter.cut(t))} for t in texts]


def main():
    os.makedirs(os.path.join(HERE, "segmenter"), exist_ok=True)
    cuts = segmenter()
    with open(os.path.join(HERE, "metrics.json"), "w", encoding="utf-8") as out:
        parts = []
        for key, value in {**metrics(), "cuts": cuts}.items():
            rows = value if isinstance(value, list) else None
            lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows or [])
            parts.append(f"{json.dumps(key)}: " + (f"[\n{lines}]" if rows else json.dumps(value)))
        out.write("{" + ",\n".join(parts) + "}\n")


main()
