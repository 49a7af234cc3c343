"""LoCoMo: are the turns a question rests on among the first found? No model reads, no judge scores.

How it is counted. Each of the file's conversations goes into an encrypted memory of its own, by the importer
people use, and each of its questions is asked by ``Memory.recall``, as an answer would. A question's recall@k is
the share of its evidence turns among the first k found; the figure is the mean over questions, all categories
included, the adversarial one (5) too. Evidence is read leniently, since the data has slips: every ``D<n>:<m>`` in
it counts, such as the two of ``"D8:6; D9:17"``; turns that do not exist are dropped; a question left without
evidence is not counted. Categories are numbers, as their names differ between publications.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mnemon.errors import TransferError
from mnemon.evaluation.metrics import mean, percentile, recall_at
from mnemon.memory.memory import Memory
from mnemon.paths import Home
from mnemon.settings import MemorySettings

DEPTHS = (1, 5, 10, 25, 50)
_BY_CATEGORY = 10
_TURN = re.compile(r"D\d+:\d+")


def run(path: Path) -> dict[str, Any]:
    """Import the file and ask its questions.

    Returns:
        ``questions`` (how many counted), ``recall`` at 1, 5, 10, 25 and 50, ``by_category`` (recall@10 and how many,
        by number) and ``ms`` (p50 and p95 of one search, the question's embedding included).

    Raises:
        TransferError: The file is not LoCoMo's.
    """
    found: dict[int, list[float]] = defaultdict(list)
    categories: dict[int, list[float]] = defaultdict(list)
    times: list[float] = []
    for sample in _samples(path):
        with tempfile.TemporaryDirectory(prefix="mnemon-locomo-") as folder:
            _ask(sample, Path(folder), found, categories, times)
    return {
        "questions": len(times),
        "recall": {str(k): round(mean(found[k]), 4) for k in DEPTHS},
        "by_category": {
            str(number): {"questions": len(values), "recall": round(mean(values), 4)}
            for number, values in sorted(categories.items())
        },
        "ms": {"p50": round(percentile(times, 0.5), 2), "p95": round(percentile(times, 0.95), 2)},
    }


def _ask(
    sample: dict[str, Any],
    folder: Path,
    found: dict[int, list[float]],
    categories: dict[int, list[float]],
    times: list[float],
) -> None:
    from mnemon.memory.transfer import import_file

    file = folder / "sample.json"
    file.write_text(json.dumps([sample]), "utf-8")
    with Memory.open(Home(folder / "home"), MemorySettings(key="file")) as memory:
        import_file(memory, file, format="locomo")
        memory.warm()
        turns = {row["ref"] for row in memory.store.rows("SELECT ref FROM messages WHERE ref IS NOT NULL")}
        for question, evidence, category in _questions(sample, turns):
            started = time.perf_counter()
            recalled = memory.recall(question, limit=max(DEPTHS))
            times.append((time.perf_counter() - started) * 1000)
            ranked = [memory.source.ref or "" for memory in recalled if memory.source]
            for k in DEPTHS:
                found[k].append(recall_at(ranked, evidence, k))
            categories[category].append(recall_at(ranked, evidence, _BY_CATEGORY))


def _questions(sample: dict[str, Any], turns: set[str]) -> Iterator[tuple[str, set[str], int]]:
    for entry in sample["qa"]:
        evidence = {turn for text in entry.get("evidence", ()) for turn in _TURN.findall(str(text))} & turns
        if evidence:
            yield str(entry["question"]), evidence, int(entry["category"])


def _samples(path: Path) -> list[dict[str, Any]]:
    try:
        samples = json.loads(path.read_text("utf-8"))
        if not isinstance(samples, list) or not all("qa" in s and "conversation" in s for s in samples):
            raise ValueError("no qa and conversation in it")
    except (OSError, ValueError, TypeError) as error:
        raise TransferError(
            f"{path} is not a LoCoMo file: {error}.", hint="Give locomo10.json or a part of it."
        ) from error
    return samples
