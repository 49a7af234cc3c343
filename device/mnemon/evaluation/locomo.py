"""LoCoMo (Maharana et al. 2024, arXiv 2402.17753): two people's sessions, and questions with their evidence turns.

Evidence is read leniently, since the data has slips: every ``D<n>:<m>`` in it counts, such as the two of
``"D8:6; D9:17"``; turns that do not exist are dropped; a question left without evidence is not counted. Categories
are numbers, as their names differ between publications.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mnemon.evaluation import datasets
from mnemon.evaluation.datasets import Question, Sample
from mnemon.memory import importers

_TURN = re.compile(r"D\d+:\d+")


def samples(path: Path) -> Iterator[Sample]:
    """The conversations of ``locomo10.json`` or a part of it, each with its questions."""
    for element in datasets.values(path):
        talks = list(importers.locomo(element))
        turns = {turn.ref for talk in talks for turn in talk.turns}
        questions = []
        for entry in element["qa"]:
            evidence = {turn for text in entry.get("evidence", ()) for turn in _TURN.findall(str(text))} & turns
            if evidence:
                questions.append(
                    Question(str(entry["question"]), str(int(entry["category"])), {"turn": frozenset(evidence)})
                )
        yield Sample(str(element.get("sample_id") or "locomo"), talks, questions)
