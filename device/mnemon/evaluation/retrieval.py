"""Are the memories a question rests on among the first found? No model reads, no judge scores.

How it is counted. Each sample goes into an encrypted memory of its own, saved as an import saves it, and each of its
questions is asked by ``Memory.recall``, as an answer would. A question's recall@k is the share of its evidence among
the first k found; the figure is the mean over questions, all categories included. Where evidence is a whole session
or dialogue, those found are counted once each, in the order of their first turn among the first 50 turns.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from mnemon.evaluation.datasets import Question, Sample
from mnemon.evaluation.metrics import mean, percentile, recall_at
from mnemon.memory.importers import Talk
from mnemon.memory.memory import Memory
from mnemon.paths import Home
from mnemon.settings import MemorySettings

DEPTHS = (1, 5, 10, 25, 50)
_BY_CATEGORY = "10"
_INDEX_BATCH = 64

Progress = Callable[[int, int], None]
"""Called with the questions asked so far and those asked or waiting in the samples read so far."""


def run(samples: Iterable[Sample], *, progress: Progress | None = None) -> dict[str, Any]:
    """Save every sample and ask its questions.

    Returns:
        ``samples`` and ``questions`` (how many were asked); ``recall`` at 1, 5, 10, 25 and 50 and ``by_category``
        (how many, and recall@10) at the finest level of the data; the same at all depths for each of its ``levels``
        (``turn``, ``session``, ``memory``); and ``ms`` (p50 and p95 of one search, its embedding included).
    """
    tally = Tally()
    count = expected = 0
    for sample in samples:
        count += 1
        expected += len(sample.questions)
        with (
            tempfile.TemporaryDirectory(prefix="mnemon-eval-") as folder,
            Memory.open(Home(Path(folder)), MemorySettings(key="file")) as memory,
        ):
            save(memory, sample.talks)
            memory.warm()
            for question in sample.questions:
                tally.add(question, sample, *ask(memory, question))
                if progress:
                    progress(tally.questions, expected)
    return {"samples": count, **tally.report()}


def save(memory: Memory, talks: Iterable[Talk]) -> None:
    """Put conversations into memory and make them findable, as an import does."""
    from mnemon.memory.saving import Imported, Saver

    touched: list[int] = []
    with memory.store.transaction():
        saver = Saver(memory, Imported(), touched)
        for talk in talks:
            saver.save(talk)
    for start in range(0, len(touched), _INDEX_BATCH):
        memory.index(*memory.messages.many(touched[start : start + _INDEX_BATCH]).values())


class Tally:
    """Adds up what was found, question by question."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, list[dict[int, float]]]] = defaultdict(lambda: defaultdict(list))
        self._ms: list[float] = []

    @property
    def questions(self) -> int:
        """How many were counted."""
        return len(self._ms)

    def add(self, question: Question, sample: Sample, ranked: list[str], ms: float) -> None:
        """Count one question: the turns found for it, best first, and how long that took in milliseconds."""
        self._ms.append(ms)
        for level, evidence in question.evidence.items():
            units = _units(ranked, sample.units.get(level))
            self._found[level][question.category].append({k: recall_at(units, evidence, k) for k in DEPTHS})

    def report(self) -> dict[str, Any]:
        """See :func:`run`."""
        levels: dict[str, Any] = {}
        for level, categories in self._found.items():
            together = [found for several in categories.values() for found in several]
            by_category = {name: _means(categories[name]) for name in sorted(categories)}
            levels[level] = {**_means(together), "by_category": by_category}
        ms = {"p50": round(percentile(self._ms, 0.5), 2), "p95": round(percentile(self._ms, 0.95), 2)}
        finest = next(iter(levels.values()), {**_means([]), "by_category": {}})
        by_category = {
            name: {"questions": found["questions"], "recall": found["recall"][_BY_CATEGORY]}
            for name, found in finest["by_category"].items()
        }
        return {
            "questions": self.questions,
            "recall": finest["recall"],
            "by_category": by_category,
            "levels": levels,
            "ms": ms,
        }


def _means(found: list[dict[int, float]]) -> dict[str, Any]:
    recall = {str(k): round(mean([one[k] for one in found]), 4) for k in DEPTHS}
    return {"questions": len(found), "recall": recall}


def _units(turns: list[str], of: Mapping[str, str] | None) -> list[str]:
    return turns if of is None else list(dict.fromkeys(of[turn] for turn in turns if turn in of))


def ask(memory: Memory, question: Question) -> tuple[list[str], float]:
    """The turns found for a question, best first, and how long that took in milliseconds."""
    started = time.perf_counter()
    recalled = memory.recall(question.text, limit=max(DEPTHS), at=question.asked_at)
    ms = (time.perf_counter() - started) * 1000
    return [memory.source.ref or "" for memory in recalled if memory.source], ms
