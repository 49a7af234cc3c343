"""How long recall takes and how much memory it needs among so many made-up memories.

The memories are sentences of a Zipf-like vocabulary in which every question's everyday words occur in thousands of
them, which is the hard case for word search. Vectors are random directions, so that nothing is faster than with real
ones. Each size is filled in one process and measured in another, so that none measures what came before.
"""

from __future__ import annotations

import itertools
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

QUESTIONS = 200
EVERYDAY = "day house work friend time new good dog car food sister weekend money garden train doctor school".split()
_BATCH = 5000
_KEY = b"k" * 32


@dataclass(frozen=True, slots=True)
class Batch:
    """Some made-up memories: numbers from 1 on, their words, and one row of 384 float32 numbers of length 1 each."""

    ids: range
    texts: list[str]
    vectors: np.ndarray


def made_up(size: int) -> Iterator[Batch]:
    """``size`` memories, the same ones every time."""
    import numpy as np

    from mnemon.memory.embedding import DIMENSIONS

    chance = random.Random(7)
    vocabulary = [f"w{i}" for i in range(30_000)]
    weights = list(itertools.accumulate(1 / (i + 10) for i in range(len(vocabulary))))
    directions = np.random.default_rng(7)
    for start in range(0, size, _BATCH):
        ids = range(start + 1, min(start + _BATCH, size) + 1)
        vectors = directions.normal(size=(len(ids), DIMENSIONS)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        texts = [
            " ".join([*chance.choices(vocabulary, cum_weights=weights, k=12), *chance.sample(EVERYDAY, 2)])
            for _ in ids
        ]
        yield Batch(ids, texts, vectors)


def questions(count: int) -> list[str]:
    """``count`` questions with rare, common and everyday words, the same ones every time."""
    chance = random.Random(11)
    asked = []
    for _ in range(count):
        first, second = chance.sample(EVERYDAY, 2)
        asked.append(
            f"What did my {first} w{chance.randrange(30_000)} say about w{chance.randrange(300)} on {second}?"
        )
    return asked


def fill(path: Path, size: int) -> None:
    """Make an encrypted store of ``size`` messages of the owner's with their vectors, the further keys included."""
    import numpy as np

    from mnemon.memory.passages import packed
    from mnemon.memory.store import Store

    with Store.open(path, _KEY) as store, store.transaction():
        store.execute("INSERT INTO conversations (created_at, updated_at) VALUES (1, 1)")
        for batch in made_up(size):
            store.execute_many(
                "INSERT INTO messages (id, conversation_id, parent_id, role, text, said_at, status)"
                " VALUES (?, 1, ?, 'owner', ?, ?, 'complete')",
                [(id, id - 1 or None, text, id * 60_000) for id, text in zip(batch.ids, batch.texts, strict=True)],
            )
            vectors = batch.vectors.astype(np.float16)
            store.execute_many(
                "INSERT INTO vectors (kind, ref, vector) VALUES ('message', ?, ?)",
                [(id, vector.tobytes()) for id, vector in zip(batch.ids, vectors, strict=True)],
            )
            store.execute_many(  # as a message of two sentences has them that replies to another
                "INSERT INTO passages (message_id, windows, vectors) VALUES (?, 1, ?)",
                [(id, key * 3) for id, key in zip(batch.ids, packed(batch.vectors), strict=True)],
            )


def settle(path: Path) -> None:
    """Load it once, as the app does before it is closed: what the next start is quicker by is in the file then."""
    from mnemon.memory.memory import Memory
    from mnemon.memory.store import Store

    with Memory(Store.open(path, _KEY)) as memory:
        memory.warm()


def measure(path: Path) -> dict[str, float]:
    """Milliseconds and megabytes of the store at ``path``.

    Returns:
        ``open_ms``, ``load_ms`` (everything read that recall looks through), ``p50_ms`` and ``p95_ms`` of one recall
        with the question's embedding, ``write_p95_ms`` (one message, durable) and ``resident_mb``: by how much the
        process grew from before it was opened until all questions were asked, the embedder left out.
    """
    from mnemon.memory.embedding import Embedder
    from mnemon.memory.memory import Memory
    from mnemon.memory.store import Store

    embedder = Embedder()
    embedder.embed_one("ready")
    before = _resident_megabytes()
    started = time.perf_counter()
    memory = Memory(Store.open(path, _KEY), embedder=embedder)
    opened = time.perf_counter()
    memory.warm()
    loaded = time.perf_counter()
    recalls = [_milliseconds(partial(memory.recall, text, limit=6)) for text in questions(QUESTIONS)]
    resident = _resident_megabytes() - before
    talk = memory.messages.start()
    writes = [_milliseconds(partial(memory.messages.add, talk.id, "owner", text)) for text in questions(QUESTIONS)]
    memory.close()
    return {
        "open_ms": (opened - started) * 1000,
        "load_ms": (loaded - opened) * 1000,
        "p50_ms": statistics.median(recalls),
        "p95_ms": statistics.quantiles(recalls, n=20)[18],
        "write_p95_ms": statistics.quantiles(writes, n=20)[18],
        "resident_mb": resident,
    }


def run(sizes: Sequence[int], *, progress: Callable[[int, int], None] | None = None) -> list[dict[str, float]]:
    """:func:`measure` at every size, with ``memories``: how many there were."""
    rows = []
    for number, size in enumerate(sizes):
        if progress:
            progress(number, len(sizes))
        with tempfile.TemporaryDirectory(prefix="mnemon-eval-") as folder:
            path = Path(folder) / "memory.db"
            _apart(fill, path, size)
            _apart(settle, path)
            rows.append({"memories": size, **_apart(measure, path)})
    return rows


def _apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """Do it in a process of its own."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
        return process.submit(work, *arguments).result()


def _milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def _resident_megabytes() -> float:
    statm = Path("/proc/self/statm")
    if statm.is_file():
        return int(statm.read_text("ascii").split()[1]) * 4096 / 1e6
    if sys.platform == "win32":
        return float("nan")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
