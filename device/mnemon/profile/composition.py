"""Facts put into a few lines: grouped, joined by rule, and put into better words by a model that adds nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mnemon import words
from mnemon.errors import ModelError
from mnemon.memory.extraction import answer_lines
from mnemon.memory.records import Fact
from mnemon.runtime.chat_model import ChatModel, instructed

SYSTEM = "Summarise what is known about the user in two or three sentences."
MAX_TOKENS = 120
MAX_CHARACTERS = 220
"""A line never gets longer than this; what does not fit begins another."""
MAX_FACTS_A_LINE = 5

GROUPS: tuple[tuple[str, frozenset[str]], ...] = tuple(
    (title, frozenset(attributes.split(", ") if attributes else ()))
    for title, attributes in (
        ("who", "name, nickname, age, birthday, birthplace, hometown, origin, language"),
        ("home and work", "home, job, employer, studies, bank, car, move, wake time, bed time"),
        ("people and animals", "partner, relationship, children, anniversary"),
        ("health", "allergy, diet, condition, medicine, blood type, fear"),
        ("likes and dislikes", "like, dislike, hobby, preference, plays, team, drinks, coffee, tea, reading"),
        ("plans", "goal, trip, learning, training, project, saving, start"),
        ("other", ""),
    )
)
"""What a profile tells, in this order, with the attributes of each; :func:`group` places the rest."""

_FRAME = "user users also their they are is has and called".split()
_VERBS = frozenset("is are was were has have does do".split())


@dataclass(frozen=True, slots=True)
class Composed:
    """One line and the facts it rests on."""

    text: str
    fact_ids: tuple[int, ...]


def group(fact: Fact) -> int:
    """Which of :data:`GROUPS` a fact belongs to, as an index."""
    if fact.subject != "user" or fact.attribute.endswith(" count"):
        return 2
    for index, (_, attributes) in enumerate(GROUPS):
        if fact.attribute in attributes:
            return index
    if re.search(r"\bthe user (?:cannot|does not (?:eat|drink|smoke))\b", fact.text, re.IGNORECASE):
        return 3
    if fact.attribute.startswith("favourite "):
        return 4
    return 5 if re.search(r"\b\d{1,2} [A-Z][a-z]+ \d{4}\b", fact.value) else 6


def chunks(facts: Sequence[Fact]) -> list[list[Fact]]:
    """Facts that go into one line each, in the order of the groups."""
    found: list[list[Fact]] = []
    for index in range(len(GROUPS)):
        open_chunk: list[Fact] = []
        for fact in sorted((f for f in facts if group(f) == index), key=_order):
            size = sum(len(f.text) for f in open_chunk) + len(fact.text)
            if open_chunk and (size > MAX_CHARACTERS or len(open_chunk) == MAX_FACTS_A_LINE):
                found.append(open_chunk)
                open_chunk = []
            open_chunk.append(fact)
        if open_chunk:
            found.append(open_chunk)
    return found


def compose(facts: Sequence[Fact], model: ChatModel | None) -> Composed:
    """One line that says all of ``facts``: the model's if it says just that, otherwise joined by rule."""
    ids = tuple(fact.id for fact in facts)
    if model is not None and len(facts) > 1:
        text = _by_model(facts, model)
        if text:
            return Composed(text, ids)
    return Composed(join(facts), ids)


def join(facts: Sequence[Fact]) -> str:
    """The facts as one or two sentences: "The user lives in Bristol and works as a nurse." """
    verbs: dict[str, list[str]] = {}
    owned: list[str] = []
    other: list[str] = []
    for fact in facts:
        sentence = fact.text.rstrip(".")
        if match := re.match(
            r"The user (likes|does not like|plays|speaks|wants to|is allergic to|has|collects|drinks) ", sentence
        ):
            verbs.setdefault(match[1], []).append(sentence[match.end() :])
        elif sentence.startswith("The user "):
            verbs.setdefault(sentence.removeprefix("The user "), [])
        elif sentence.startswith("The user's "):
            owned.append(sentence.removeprefix("The user's "))
        else:
            other.append(sentence)
    said = [f"{verb} {_listed(rest)}" if rest else verb for verb, rest in verbs.items()]
    lines = [f"The user {_listed(said)}."] if said else []
    if owned:
        first = "Their " if said else "The user's "
        lines.append(f"{first}{_listed([owned[0], *(f'their {rest}' for rest in owned[1:])])}.")
    return " ".join([*lines, *(f"{sentence}." for sentence in other)])


def says_only(text: str, facts: Sequence[Fact]) -> bool:
    """True when each part of ``text`` is in the words of one fact, every fact's value is said, and no sentence is
    nothing but a value."""
    known = [words.content(fact.text) | words.content(fact.value) for fact in facts]
    frame = {words.stem(word) for word in _FRAME}
    verbs = _VERBS.union(*(words.content(fact.text) - words.content(fact.value) - frame for fact in facts))
    if not all(verbs & words.stems(sentence) for sentence in words.sentences(text)):
        return False  # "Their as a nurse." once stood in a profile
    for part in re.split(r"[.,;]|\band\b", text):
        claimed = words.content(part) - frame
        if claimed and not any(
            claimed <= fact and words.denies(part) == words.denies(f.text)
            for fact, f in zip(known, facts, strict=True)
        ):
            return False
    said = words.stems(text)
    return all(words.content(fact.value or fact.text) - frame <= said for fact in facts)


def _by_model(facts: Sequence[Fact], model: ChatModel) -> str:
    listed = "\n".join(f"- {fact.text}" for fact in facts)
    try:
        text = " ".join(instructed(model, SYSTEM, listed, max_tokens=MAX_TOKENS).split())
    except ModelError:
        return ""
    usable = bool(answer_lines(text)) and len(text) <= MAX_CHARACTERS and text.endswith(".")
    return text if usable and says_only(text, facts) else ""


_FIRST = {"name": 0, "nickname": 1, "home": 0, "job": 1, "employer": 2}


def _order(fact: Fact) -> tuple[bool, str, int, str, int]:
    return fact.subject != "user", fact.subject, _FIRST.get(fact.attribute, 9), fact.attribute, fact.id


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
