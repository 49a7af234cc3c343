"""How long recall takes among 10,000 and 100,000 memories, the question's embedding included.

The memories are made up: sentences of a Zipf-like vocabulary in which every question's everyday words occur in
thousands of them, which is the hard case for word search. Vectors are random directions, so that nothing is faster
than with real ones. ``--json`` prints rows for ``all.py``; ``--sizes 1000`` chooses other sizes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "2")  # before numpy is imported: two threads is what is promised

import numpy as np

from mnemon.memory.embedding import DIMENSIONS
from mnemon.memory.memory import Memory
from mnemon.memory.store import Store

BARS_MS = {10_000: 8.0, 100_000: 12.0}
EVERYDAY = "day house work friend time new good dog car food sister weekend money garden train doctor school".split()
QUESTIONS = 200


def fill(store: Store, size: int) -> None:
    """Put ``size`` messages of the owner's with their vectors into the store."""
    chance = random.Random(7)
    vocabulary = [f"w{i}" for i in range(30_000)]
    weights = list(itertools.accumulate(1 / (i + 10) for i in range(len(vocabulary))))
    directions = np.random.default_rng(7)
    with store.transaction():
        store.execute("INSERT INTO conversations (created_at, updated_at) VALUES (1, 1)")
        for start in range(0, size, 5000):
            ids = range(start + 1, min(start + 5000, size) + 1)
            vectors = directions.normal(size=(len(ids), DIMENSIONS))
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            texts = [
                " ".join([*chance.choices(vocabulary, cum_weights=weights, k=12), *chance.sample(EVERYDAY, 2)])
                for _ in ids
            ]
            store.execute_many(
                "INSERT INTO messages (id, conversation_id, parent_id, role, text, said_at, status)"
                " VALUES (?, 1, ?, 'owner', ?, ?, 'complete')",
                [(id, id - 1 or None, text, id * 60_000) for id, text in zip(ids, texts, strict=True)],
            )
            store.execute_many(
                "INSERT INTO vectors (kind, ref, vector) VALUES ('message', ?, ?)",
                [(id, vector.tobytes()) for id, vector in zip(ids, vectors.astype(np.float16), strict=True)],
            )


def measure(size: int, folder: Path) -> dict[str, float]:
    """Milliseconds: opening, loading, and the distribution of one recall."""
    path = folder / f"{size}.db"
    with Store.open(path, b"k" * 32) as store:
        fill(store, size)
    started = time.perf_counter()
    memory = Memory(Store.open(path, b"k" * 32))
    opened = time.perf_counter()
    memory.warm()
    loaded = time.perf_counter()
    chance = random.Random(11)
    times = []
    for _ in range(QUESTIONS):
        first, second = chance.sample(EVERYDAY, 2)
        question = f"What did my {first} w{chance.randrange(30_000)} say about w{chance.randrange(300)} on {second}?"
        begun = time.perf_counter()
        memory.recall(question, limit=6)
        times.append((time.perf_counter() - begun) * 1000)
    memory.close()
    return {
        "open": (opened - started) * 1000,
        "load": (loaded - opened) * 1000,
        "p50": statistics.median(times),
        "p95": statistics.quantiles(times, n=20)[18],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print rows for all.py")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(BARS_MS))
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="mnemon-bench-") as folder:
        for size in arguments.sizes:
            print(f"{size:,} memories …", file=sys.stderr)
            figures = measure(size, Path(folder))
            bar = BARS_MS.get(size)
            for name in ("open", "load", "p50", "p95"):
                judged = bar is not None and name == "p95"
                rows.append(
                    {
                        "what": f"recall, {size:,} memories, {name}",
                        "value": round(figures[name], 2),
                        "unit": "ms",
                        "bar": f"<= {bar:g}" if judged else "",
                        "ok": not judged or figures[name] <= (bar or 0),
                    }
                )
    if arguments.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(f"{row['what']:36} {row['value']:9.2f} {row['unit']}  {row['bar']:7} {'' if row['ok'] else 'MISSED'}")


if __name__ == "__main__":
    main()
