"""LongMemEval (Wu et al. 2024, arXiv 2410.10813): one owner's chats with an assistant, one question for each pile.

A file is a list of instances: ``question_id``, ``question_type``, ``question``, ``question_date``, and in parallel
``haystack_session_ids``, ``haystack_dates`` and ``haystack_sessions`` (lists of ``role``, ``content`` and, where the
evidence is, ``has_answer``); ``answer_session_ids`` names the sessions the answer rests on. Every instance is a
memory of its own. Questions that cannot be answered (``question_id`` ends in ``_abs``) have nothing to be found and
are left out, as the paper does when it measures retrieval.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mnemon.evaluation import datasets
from mnemon.evaluation.datasets import Question, Sample
from mnemon.memory.importers import Talk, Turn
from mnemon.memory.records import MessageRole

_ROLES: dict[str, MessageRole] = {"user": "owner", "assistant": "assistant"}
_DATE = re.compile(r"(\d{4})/(\d\d?)/(\d\d?)(?:\D+?(\d\d?):(\d\d))?")  # 2023/05/20 (Sat) 02:21


def samples(path: Path) -> Iterator[Sample]:
    """The instances of ``longmemeval_s.json``, ``_m.json`` or ``_oracle.json``."""
    for element in datasets.values(path):
        talks: list[Talk] = []
        session_of: dict[str, str] = {}
        evidence: set[str] = set()
        sessions = zip(
            element["haystack_session_ids"], element["haystack_dates"], element["haystack_sessions"], strict=True
        )
        for place, (name, date, turns) in enumerate(sessions):
            talk, marked = _talk(f"{place}/{name}", _moment(date), turns)  # a pile may hold a session twice
            talks.append(talk)
            evidence |= marked
            session_of.update({turn.key: str(name) for turn in talk.turns})
        yield Sample(
            str(element["question_id"]),
            talks,
            list(_question(element, session_of, evidence)),
            {"session": session_of},
        )


def _question(element: dict[str, Any], session_of: dict[str, str], turns: set[str]) -> Iterator[Question]:
    sessions = frozenset(map(str, element["answer_session_ids"])) & frozenset(session_of.values())
    if not sessions or str(element["question_id"]).endswith("_abs"):
        return
    evidence = {"turn": frozenset(turns), "session": sessions}
    yield Question(
        str(element["question"]),
        str(element["question_type"]),
        {level: units for level, units in evidence.items() if units},
        _moment(element["question_date"]),
    )


def _talk(ref: str, began: datetime, turns: list[dict[str, Any]]) -> tuple[Talk, set[str]]:
    talk = Talk("longmemeval", ref, "", began)
    marked: set[str] = set()
    previous: str | None = None
    for second, turn in enumerate(turns):
        text = str(turn["content"]).strip()
        if not text:
            continue
        key = f"{ref}/{second + 1}"
        moment = began + timedelta(seconds=second)
        talk.turns.append(Turn(key, previous, _ROLES[turn["role"]], text, moment, ref=key))
        previous = key
        if turn.get("has_answer"):
            marked.add(key)
    return talk, marked


def _moment(text: str) -> datetime:
    found = _DATE.search(str(text))
    if found is None:
        raise ValueError(f"{text!r} is no date")
    return datetime(*(int(part or 0) for part in found.groups())).astimezone()  # type: ignore[arg-type]
