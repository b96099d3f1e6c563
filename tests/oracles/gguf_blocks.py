#!/usr/bin/env python3
"""What the `gguf` Python package makes of quantised blocks: the vectors of tests/models/gguf_blocks_test.cpp.

    python3 -m venv v && v/bin/pip install numpy gguf
    v/bin/python tests/oracles/gguf_blocks.py > tests/models/gguf_blocks.txt

Lines of the output:
    values TYPE BLOCKS FLOATS     one random block, and its elements, as bytes in hex
    digest TYPE BLOCKS DIGEST     blocks whose scales are infinite, NaN, subnormal, ...; the digest of their elements
    stream TYPE COUNT DIGEST      COUNT blocks of bytes of the generator below; the digest of their elements
A digest is FNV-1a over the elements' bits as 32-bit words, every NaN as 7fc00000: payloads are nobody's promise.
"""
import gguf
import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

SCALES_AT = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108],
             "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
SPECIAL = [0x7C00, 0xFC00, 0x7E00, 0x0001, 0x83FF, 0x8000, 0x7BFF]  # +-inf, NaN, subnormals, -0, the largest
MASK = (1 << 64) - 1


def random_bytes(count, seed):
    """The upper bytes of a 64-bit linear congruential generator (Knuth's MMIX constants)."""
    out, state = bytearray(count), seed
    for i in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) & MASK
        out[i] = state >> 56
    return bytes(out)


def elements(name, blocks):
    with np.errstate(all="ignore"):
        return dequantize(np.frombuffer(blocks, dtype=np.uint8).reshape(1, -1), GGMLQuantizationType[name]).ravel()


def digest(values):
    words, hash_ = values.view(np.uint32).copy(), 0xCBF29CE484222325
    words[np.isnan(values)] = 0x7FC00000
    for word in words.tolist():
        hash_ = ((hash_ ^ word) * 0x100000001B3) & MASK
    return f"{hash_:016x}"


def special_blocks(name, size):
    """Every pair of special scales (or every one), over random quants."""
    at, out = SCALES_AT[name], bytearray()
    pairs = [(a, SPECIAL[(i + 3) % len(SPECIAL)]) for i, a in enumerate(SPECIAL)] + [(a, 0x3C00) for a in SPECIAL]
    for i, pair in enumerate(pairs):
        block = bytearray(random_bytes(size, 1000 + i))
        for offset, half in zip(at, pair):
            block[offset:offset + 2] = half.to_bytes(2, "little")
        out += block
    return bytes(out)


def main():
    for number, name in enumerate(SCALES_AT):
        elements_per_block, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
        block = random_bytes(size, 77 + number)
        print("values", name, block.hex(), elements(name, block).tobytes().hex())
        blocks = special_blocks(name, size)
        print("digest", name, blocks.hex(), digest(elements(name, blocks)))
        count = 32768 // elements_per_block
        print("stream", name, count, digest(elements(name, random_bytes(count * size, number))))


main()
