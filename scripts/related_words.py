"""Make the table of words that mean nearly the same, from the embedder Mnemon ships and its own vocabulary.

    python scripts/related_words.py --out device/mnemon/memory/related_words.npz

Each word of three letters or more of the tokenizer's vocabulary is embedded by itself. Kept are the eight others
nearest to it with a cosine of at least 0.6, other forms of the same word left out. In the file: ``words`` (one
text, a word a line), ``near`` (int16, row of each neighbour, -1 for none) and ``share`` (uint8, how much of a
match it is: 0 at a cosine of 0.5, 255 at 1).
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

import mnemon_models
from mnemon.memory.embedding import Embedder
from mnemon.words import STOP_WORDS, stem

NEIGHBOURS = 8
LEAST = 0.6
UNRELATED = 0.5
_BLOCK = 1000


def table(words: list[str], vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of each word: their rows and shares, both (words, 8)."""
    near = np.full((len(words), NEIGHBOURS), -1, np.int16)
    share = np.zeros((len(words), NEIGHBOURS), np.uint8)
    stems = [stem(word) for word in words]
    for start in range(0, len(words), _BLOCK):
        cosines = vectors[start : start + _BLOCK] @ vectors.T
        for row, found in enumerate(cosines, start):
            order = np.argsort(-found)[: NEIGHBOURS * 4]
            kept = [int(i) for i in order if found[i] >= LEAST and stems[i] != stems[row]][:NEIGHBOURS]
            near[row, : len(kept)] = kept
            share[row, : len(kept)] = np.rint(255 * (np.clip(found[kept], 0, 1) - UNRELATED) / (1 - UNRELATED))
    return near, share


def main() -> None:
    """Make the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    vocabulary = Tokenizer.from_file(str(mnemon_models.embedder() / "tokenizer.json")).get_vocab()
    words = sorted(word for word in vocabulary if re.fullmatch("[a-z]{3,}", word) and word not in STOP_WORDS)
    near, share = table(words, Embedder(threads=1).embed(words))
    np.savez_compressed(out, words=np.array("\n".join(words)), near=near, share=share)


if __name__ == "__main__":
    main()
