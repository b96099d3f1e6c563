#!/usr/bin/env python3
"""BABILong's Arrow streams as pyarrow and datasets read them.

compare_arrow.py vectors FOLDER          writes the streams of tests/datasets/vectors/arrow
compare_arrow.py rows EVICTBENCH MODEL DATA
    every row of every DATA/<length>/<task> that datasets.load_from_disk and pyarrow give must stand in the examples that
    `EVICTBENCH examples` prints, text for text; the model must have room for them
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import pyarrow as pa

TEXTS = {"input": ["", "Mary went to the bath\u00adroom.", "\U0001F600 x\ny"], "question": ["Where? ", "q", ""],
         "target": ["a", "b,c", "d"]}


def stream(path, table, batches=None, **options):
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as out:
        for batch in batches or table.to_batches():
            out.write_batch(batch)


def vectors(folder):
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table(TEXTS)
    stream(folder / "utf8.arrow", table)
    large = pa.schema([(name, pa.large_string()) for name in TEXTS])
    stream(folder / "large.arrow", table.cast(large))
    batch = table.to_batches()[0]
    stream(folder / "batches.arrow", table, [batch.slice(0, 1), batch.slice(0, 0), batch.slice(1, 2)])
    stream(folder / "order.arrow", table.select(["target", "question", "input"]).replace_schema_metadata({"huggingface": "{}"}))
    stream(folder / "empty.arrow", table.slice(0, 0), [batch.slice(0, 0)])
    stream(folder / "version4.arrow", table, metadata_version=pa.ipc.MetadataVersion.V4)
    stream(folder / "numbers.arrow", table.set_column(2, "target", pa.array([1, 2, 3])))
    stream(folder / "absent.arrow", table.set_column(2, "target", pa.array(["a", None, "d"])))
    stream(folder / "dictionary.arrow", table.set_column(2, "target", pa.array(TEXTS["target"]).dictionary_encode()))
    stream(folder / "lz4.arrow", table, compression="lz4")
    with pa.OSFile(str(folder / "file.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
        out.write_table(table)


def rows(program, model, data):
    from datasets import load_from_disk
    sweep = {"version": 1, "model": {"path": str(model), "chat": "none"},
             "protocol": {"question": "inside", "first_token": "full", "seed": 42}, "policies": [{"name": "full"}],
             "tasks": [{"name": "babilong", "path": str(data)}], "output": {"dir": "unused"}}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "sweep.yaml"
        path.write_text(json.dumps(sweep))
        done = subprocess.run([program, "examples", str(path)], check=True, capture_output=True, text=True)
    ours = {}
    for line in done.stdout.splitlines():
        example = json.loads(line)
        ours.setdefault(example["task"], []).append(example)
    compared = 0
    for task, examples in ours.items():
        _, length, name = task.split("/")
        theirs = load_from_disk(str(data / length / name))
        with pa.OSFile(str(data / length / name / "data-00000-of-00001.arrow")) as source:
            plain = pa.ipc.open_stream(source).read_all().to_pylist()
        assert len(theirs) == len(plain) == len(examples), task
        for due, row, example in zip(theirs, plain, examples):
            assert due == row
            assert example["context"].split("\n<context>\n")[-1] == row["input"].strip(), (task, example["example"])
            assert example["question"] == ("\n</context>\n\nQuestion: " + row["question"]).rstrip(), (task, example["example"])
            assert example["answers"] == [row["target"]]
            compared += 1
    print(f"{len(ours)} tasks, {compared} rows: all equal")


if sys.argv[1:2] == ["vectors"] and len(sys.argv) == 3:
    vectors(pathlib.Path(sys.argv[2]))
elif sys.argv[1:2] == ["rows"] and len(sys.argv) == 5:
    rows(sys.argv[2], pathlib.Path(sys.argv[3]).resolve(), pathlib.Path(sys.argv[4]).resolve())
else:
    sys.exit(__doc__)
