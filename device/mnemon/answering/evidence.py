"""How well what was recalled answers what was asked, and the owner's own words as an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mnemon import words
from mnemon.answering.questions import Asked, Wanted
from mnemon.memory.records import Recalled

Strength = Literal["strong", "weak", "none"]

# Calibrated on `mnemon eval told` (60 told facts and 60 questions nothing told answers, written for it): a memory
# counts as strong evidence where at least nine in ten such memories did answer the question.
STRONG = 0.62
WEAK = 0.42
QUOTE_CHARACTERS = 240

UNKNOWN = "I don't know that yet. Tell me and I'll remember it."


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was recalled, weighed for one question: best first."""

    strength: Strength
    memories: tuple[Recalled, ...]
    support: tuple[float, ...]
    """How far each memory bears on the question, about 0 to 1; comparable between questions."""

    @property
    def best(self) -> Recalled | None:
        """The memory that bears on the question most."""
        return self.memories[0] if self.memories else None


def weigh(asked: Asked, recalled: Sequence[Recalled]) -> Evidence:
    """Order ``recalled`` by how far each bears on ``asked``, and say how strong the best is."""
    weighed = sorted(((_support(asked, memory), -i) for i, memory in enumerate(recalled)), reverse=True)
    support = tuple(round(s, 4) for s, _ in weighed)
    best = support[0] if support else 0.0
    strength: Strength = "strong" if best >= STRONG else "weak" if best >= WEAK else "none"
    return Evidence(strength, tuple(recalled[-i] for _, i in weighed), support)


def _support(asked: Asked, memory: Recalled) -> float:
    """About 0 (unrelated) to 1 (says it): meaning and rare words together, a little for the right kind of value."""
    support = 0.75 * max(0.0, memory.cosine) + 0.45 * memory.overlap
    if _holds(asked.wanted, memory.text):
        support += 0.06
    if not memory.valid and not asked.past:
        support -= 0.15
    if memory.valid and asked.past:
        support -= 0.05
    return support


def _holds(wanted: Wanted, text: str) -> bool:
    lower = {w.lower() for w in words.words(text)}
    if wanted == "time":
        return bool(words.numbers(text)) or bool(lower & words.CALENDAR_WORDS)
    if wanted == "number":
        return bool(words.numbers(text))
    if wanted in ("person", "place"):
        return bool(words.names(text))
    return False


def quote(asked: Asked, evidence: Evidence, now: datetime, *, skip: int = 0) -> str:
    """The owner's own words as an answer, with their day; hedged when the evidence is weak.

    Args:
        skip: Leave out this many of the best, for an owner who asked for another answer.
    """
    if evidence.strength == "none" or not evidence.memories:
        return UNKNOWN
    first = skip % len(evidence.memories)
    memory = evidence.memories[first]
    said = f"{_who_and_when(memory, now)}: “{excerpt(asked.text, memory.text)}”"
    if evidence.strength == "weak" or first > 0:
        return f"I don't know for sure. The nearest I have is what {said[0].lower()}{said[1:]}."
    if not memory.valid and not asked.past:
        return f"{said}. That has changed since."
    return f"{said}."


def _who_and_when(memory: Recalled, now: datetime) -> str:
    if memory.source is None:
        return "You noted"
    who = "You told me" if memory.source.role == "owner" else f"{memory.source.speaker or 'Somebody'} said"
    return f"{who} {day(memory.source.said_at, now)}"


def day(moment: datetime, now: datetime) -> str:
    """``today``, ``yesterday``, ``on 2 March``, or with its year when that is another one; in local time."""
    local, today = moment.astimezone(), now.astimezone()
    gap = (today.date() - local.date()).days
    if gap in (0, 1):
        return ("today", "yesterday")[gap]
    year = "" if local.year == today.year else f" {local.year}"
    return f"on {local.day} {local:%B}{year}"


def excerpt(question: str, text: str) -> str:
    """``text`` on one line; when it is long, the sentences around the one closest to ``question``."""
    flat = " ".join(text.split())
    if len(flat) <= QUOTE_CHARACTERS:
        return flat.rstrip(".")
    parts = words.sentences(text)
    wanted = set(words.content_words(question))
    start = max(range(len(parts)), key=lambda i: len(wanted & set(words.content_words(parts[i]))))
    kept = " ".join(parts[start].split())
    for following in parts[start + 1 :]:
        if len(kept) + len(following) > QUOTE_CHARACTERS:
            break
        kept += " " + " ".join(following.split())
    cut = kept if len(kept) <= QUOTE_CHARACTERS else kept[:QUOTE_CHARACTERS].rsplit(" ", 1)[0] + " …"
    return ("… " if start else "") + cut.rstrip(".")
