"""tokenizer.py OUT: trains tokenizer.model on text of the recall tasks."""
import io
import random
import re
import sys
from collections import Counter

import sentencepiece

from data import KINDS, examples

RARE = 50  # names occur less often, nearly all other words more often


def main(out, program="build/release/evictbench", any_model="build/bytes"):
    # A rare word counts once: so a name is put together from its halves, and any other word tends to be one piece.
    counts = Counter()
    tasks = [{"kind": kind, "split": "train", "count": 200, "items": 6, "lengths": 2000} for kind in KINDS]
    for e in examples(program, any_model, 7, tasks):
        for text in (e["context"], e["question"], e["answer_prefix"], " " + e["answers"][0]):
            counts.update(re.findall(r" ?[A-Za-z]+|[^A-Za-z\s]", text))
    words = [word for word, count in sorted(counts.items()) for _ in range(count // 10 if count >= RARE else 1)]
    random.Random(7).shuffle(words)
    lines = re.split(r"\n(?! )", "\n".join(words))  # a word that follows no space begins a line
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(line.replace("\n", "") for line in lines), model_writer=model, vocab_size=1536, model_type="unigram",
        split_digits=True, byte_fallback=True, character_coverage=1.0, add_dummy_prefix=False,
        remove_extra_whitespaces=False, normalization_rule_name="identity", num_threads=1, minloglevel=2)
    with open(out + "/tokenizer.model", "wb") as f:
        f.write(model.getvalue())


main(*sys.argv[1:])
