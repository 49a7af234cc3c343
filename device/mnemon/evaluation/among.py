"""Is what was told found among thousands of other things the owner said? No model reads, no judge scores.

Every message, told or other, is a conversation of its own, in an order that chance decides, and is found by its
words and its meaning alone: no facts are taken from it. Each question is asked by ``Memory.recall``, as an answer
would.
"""

from __future__ import annotations

import json
import lzma
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import Any

from mnemon.errors import InputError
from mnemon.evaluation import retrieval
from mnemon.evaluation.metrics import mean, percentile
from mnemon.evaluation.spoken import read_rows
from mnemon.memory.importers import Talk, Turn
from mnemon.memory.memory import Memory
from mnemon.memory.phrasing import is_plain_question
from mnemon.voice import as_first_person

DEPTHS = {"first": 1, "first_three": 3, "first_ten": 10}
_SHORTEST = 12  # characters; "Yes, please." tells nothing
_BEGAN = datetime(2025, 1, 1, 8, tzinfo=UTC)


def run(
    told: Path, count: int, folder: Path | None = None, *, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Put what is told among ``count`` other messages and ask for it.

    Args:
        told: JSON Lines with ``tell`` and ``ask``.
        folder: Where other messages come from: its files of dialogues, see :func:`statements`. None: Mnemon's own.

    Returns:
        ``told`` and ``others`` (how many), the shares of questions whose message is the ``first``, among the
        ``first_three`` and the ``first_ten``, and ``ms`` (p50 and p95 of one search).

    Raises:
        InputError: A file cannot be read, or there are not so many other messages.
    """
    rows = read_rows(told)
    if not rows or not all("tell" in row and "ask" in row for row in rows):
        raise InputError(f"{told} has rows without tell and ask.", hint="Check the path.")
    others = _some(statements(folder) if folder else own_statements(), count)
    ranks: list[int] = []
    times: list[float] = []
    with Memory.temporary() as memory:
        retrieval.save(memory, _talks([*others, *(row["tell"] for row in rows)]))
        memory.warm()
        for number, row in enumerate(rows):
            started = time.perf_counter()
            recalled = memory.recall(row["ask"], limit=max(DEPTHS.values()))
            times.append((time.perf_counter() - started) * 1000)
            texts = [found.source.text for found in recalled if found.source]
            ranks.append(texts.index(row["tell"]) + 1 if row["tell"] in texts else 0)
            if progress:
                progress(number + 1, len(rows))
    shares = {name: round(mean([0 < rank <= depth for rank in ranks]), 3) for name, depth in DEPTHS.items()}
    ms = {"p50": round(percentile(times, 0.5), 2), "p95": round(percentile(times, 0.95), 2)}
    return {"told": len(rows), "others": len(others), **shares, "ms": ms}


def statements(folder: Path) -> Iterator[str]:
    """What the users of a folder's dialogues say: ``*.jsonl`` or ``*.jsonl.xz`` whose rows hold ``messages``.

    Raises:
        InputError: There is no such file, or one is damaged.
    """
    files = sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.xz")])
    if not files:
        raise InputError(f"There is no *.jsonl or *.jsonl.xz in {folder}.", hint="Check the path.")
    for path in files:
        try:
            with (lzma.open if path.suffix == ".xz" else open)(path, "rt", encoding="utf-8") as file:
                for line in file:
                    row = json.loads(line)
                    if "messages" not in row:
                        break  # a file of prose
                    yield from (said["content"] for said in row["messages"] if said["role"] == "user")
        except (OSError, EOFError, lzma.LZMAError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} cannot be read: {error}.", hint="Get the file again.") from error


def own_statements() -> Iterator[str]:
    """Made-up facts in the first person: those of Mnemon's own cases, alone and then two in one breath."""
    text = resources.files("mnemon.evaluation").joinpath("built_in_cases.jsonl").read_text("utf-8")
    notes = dict.fromkeys(note for line in text.splitlines() for note in json.loads(line).get("notes", ()))
    facts = [as_first_person(note) for note in notes]
    yield from facts
    chance = random.Random(3)
    chance.shuffle(facts)
    yield from (f"{one} {other}" for one, other in combinations(facts, 2))


def _some(texts: Iterator[str], count: int) -> list[str]:
    """``count`` different statements; from a folder of millions no more are read than a fair choice needs."""
    pool: dict[str, None] = {}
    for text in texts:
        if len(text) >= _SHORTEST and not is_plain_question(text):
            pool[text.strip()] = None
        if len(pool) >= count * 100:
            break
    if len(pool) < count:
        raise InputError(
            f"There are only {len(pool):,} other messages.", hint="Ask for fewer, or name a larger folder."
        )
    return random.Random(5).sample(list(pool), count)


def _talks(texts: list[str]) -> Iterator[Talk]:
    random.Random(5).shuffle(texts)
    for number, text in enumerate(texts):
        said_at = _BEGAN + timedelta(minutes=30 * number)
        yield Talk("among", str(number), "", said_at, [Turn("1", None, "owner", text, said_at)])
