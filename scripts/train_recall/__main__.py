"""Learn the map and write it: ``python -m train_recall --text FOLDER`` in ``scripts/``, five minutes of one core.

``--hold-out 0`` to ``4`` learns without a fifth of the kinds of facts and of the dialogues, measures on them how far
up what answers a question comes among other messages, before and after, and writes nothing.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import mnemon_models
from mnemon.memory.embedding import Embedder
from mnemon.memory.towards_answers import turned
from train_recall import fitting, pairs
from train_recall.pairs import Pair

FOLDS = 5
MEASURED = 1_500  # questions of each form
_SEED = 2026


def main(arguments: Sequence[str] | None = None, *, embedder: Embedder | None = None) -> None:
    """Make pairs, embed, fit, and measure or write."""
    parser = argparse.ArgumentParser(prog="train_recall", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--text", type=Path, required=True, help="a folder of openly licensed dialogues (pairs.py)")
    parser.add_argument("--out", type=Path, default=mnemon_models.towards_answers(), help="where to write the map")
    parser.add_argument("--hold-out", type=int, choices=range(FOLDS), help="measure on this fifth; writes nothing")
    parser.add_argument("--steps", type=int, default=600)
    options = parser.parse_args(arguments)
    between, to_assistants = (
        pairs.said_between_people(options.text, _SEED),
        pairs.said_to_assistants(options.text, _SEED),
    )
    fillers = [text for text in between if len(text) < 90]
    every = [
        *pairs.told(_SEED),
        *pairs.told_freely(_SEED, fillers),
        *pairs.told_in_passing(),
        *pairs.talk(options.text, _SEED),
    ]
    texts = list(dict.fromkeys([*(text for p in every for text in (p.question, p.answer)), *between, *to_assistants]))
    print(f"{len(every)} questions, {len(texts)} texts", flush=True)
    rows = (embedder or Embedder(threads=1)).embed(texts)
    vectors = fitting.Vectors(rows, {text: row for row, text in enumerate(texts)})
    learned = [pair for pair in every if options.hold_out is None or fold(pair) != options.hold_out]
    table = fitting.fit(learned, (between, to_assistants), vectors, steps=options.steps, seed=_SEED)
    if options.hold_out is None:
        np.save(options.out, table.astype(np.float16))
        return
    for form, others in (
        ("plainly", to_assistants),
        ("freely", to_assistants),
        ("in passing", to_assistants),
        ("talk", between),
    ):
        held_out = [pair for pair in every if pair.form == form and fold(pair) == options.hold_out][:MEASURED]
        questions = vectors.of([pair.question for pair in held_out])
        answers = vectors.of([pair.answer for pair in held_out])
        for name, asked in (("before", questions), ("after", np.stack([turned(q, 1.0, table) for q in questions]))):
            first, ten, inverse = fitting.ranked(asked, answers, vectors.of(others))
            print(f"{form:10} {name:7} first {first:.3f}, first ten {ten:.3f}, 1 / rank {inverse:.3f}")


def fold(pair: Pair) -> int:
    """The fifth a kind of fact or a dialogue belongs to, the same in every run."""
    return zlib.crc32(pair.group.encode()) % FOLDS


if __name__ == "__main__":
    main()
