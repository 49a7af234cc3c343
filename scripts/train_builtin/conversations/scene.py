"""A conversation before it is laid out: what memory holds, what is said, and what each answer must contain."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from mnemon.runtime.chat_model import ChatMessage
from mnemon.runtime.prompt import (
    IDENTITY,
    episode_line,
    fact_line,
    notes_before,
    system_with_notes,
    system_with_profile,
)
from train_builtin.conversations.attributes import Attribute, Fact, attributes, draw, weights
from train_builtin.conversations.values import Split, Values, split_of

MESSAGE_PLACEMENT_SHARE = 0.15
"""How many conversations have their notes before the owner's message instead of in the system text."""
TRIES = 20
FIRST_DAY = date(2022, 1, 1)
DAYS = 2600
"""From the first day on: seven years, so that a note's year is read and not guessed."""
NOTES = 6
"""As many note lines as the product gives the built-in model."""


@dataclass(frozen=True)
class Conversation:
    """What the model is trained on.

    Attributes:
        kind: Which kind of conversation, such as ``recall``.
        messages: As the model reads them; the last is Mnemon's.
        values: What the answers say of the owner's facts; each occurs in the messages before.
    """

    kind: str
    messages: tuple[ChatMessage, ...]
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """What the owner says and what Mnemon answers.

    Attributes:
        must: Values the answer says.
        must_not: Values it must not say: those of other facts, or the old one.
        any_of: Words of which it needs one.
        measures: It is what its kind of conversation is about, so a held-out case may end with it.
    """

    user: str
    answer: str
    must: tuple[str, ...] = ()
    must_not: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    measures: bool = False


@dataclass(frozen=True, slots=True)
class Episode:
    """Something the owner said on a day, as a note."""

    day: date
    said: str
    valid: bool = True


@dataclass(slots=True)
class Scene:
    """A conversation and what it rests on.

    Attributes:
        facts: What it is about, known or told.
        notes: The known facts, as sentences.
        system: A system text of its own, for work such as extraction; then there are no notes.
    """

    kind: str
    turns: list[Turn]
    facts: list[Fact] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    episodes: list[Episode] = field(default_factory=list)
    system: str = ""
    today: date | None = None
    dated: bool = False

    def lines(self) -> list[str]:
        """The note lines, facts first."""
        said = [episode_line(e.day, "The user", e.said, valid=e.valid) for e in self.episodes]
        return [*map(fact_line, self.notes), *said]

    def lay_out(self, rng: random.Random) -> Conversation:
        """As the model reads it, in one of the two placements."""
        latest = max((e.day for e in self.episodes), default=FIRST_DAY + timedelta(days=rng.randrange(DAYS)))
        today = self.today or latest + timedelta(days=rng.randrange(1, 200))
        values = tuple(value for turn in self.turns for value in turn.must)
        messages: list[ChatMessage] = []
        if self.system:
            messages.append(ChatMessage("system", self.system))
            before = ""
        elif self.dated or (self.kind != "copy" and rng.random() < MESSAGE_PLACEMENT_SHARE):
            messages.append(ChatMessage("system", system_with_profile("")))
            before = notes_before(self.lines(), today)
        else:
            messages.append(ChatMessage("system", system_with_notes(self.lines()) if self.lines() else IDENTITY))
            before = ""
        for turn in self.turns:
            messages += (ChatMessage("user", before + turn.user), ChatMessage("assistant", turn.answer))
            before = notes_before([], today) if before else ""
        return Conversation(self.kind, tuple(messages), values)


class World:
    """One made-up owner after the other.

    Args:
        rng: Where chance comes from.
        split: Whose values they have.
        pieces: As :class:`Values` takes them.
    """

    def __init__(self, rng: random.Random, split: Split, pieces: Sequence[str] = ()) -> None:
        self.rng = rng
        self.values = Values(rng, split, pieces)

    def attribute(self) -> Attribute:
        """A kind of fact, the common ones more often."""
        return self.rng.choices(attributes(), cum_weights=weights())[0]

    def fact(self, known: list[Fact], *, of: Attribute | None = None, usable: str = "") -> Fact:
        """A fact that none of ``known`` answers, with values of its own.

        Args:
            of: The kind of fact, as long as it has values left that nothing in ``known`` has.
            usable: It needs wordings of this name, such as ``update``.
        """
        taken = {fact.identity for fact in known}
        said = {value for fact in known for value in fact.open_values}
        for tried in itertools.count():
            attribute = of if of and tried < TRIES else self.attribute()
            if usable and not getattr(attribute, usable):
                continue
            fact = draw(attribute, self.values)
            mine = set(fact.open_values)
            if fact.identity not in taken and not said & mine and len(mine) == len(fact.open_values):
                return fact
        raise AssertionError("unreachable")

    def facts(self, count: int) -> list[Fact]:
        """Facts of one owner; every third owner has several that are easily confused."""
        found: list[Fact] = []
        alike = self.rng.random() < 0.35
        for _ in range(count):
            of = None
            if alike and found and self.rng.random() < 0.7:
                of = next((f.attribute for f in found if f.attribute.slots), None)
            found.append(self.fact(found, of=of))
        self.rng.shuffle(found)
        return found

    def changed(self, fact: Fact) -> Fact:
        """The same fact with other values."""
        slots = {name: fact.filled[name] for name in fact.attribute.slots}
        while True:
            other = draw(fact.attribute, self.values, slots)
            if not set(other.values) & set(fact.values):
                return other

    def day(self) -> date:
        """A day on which something may have been said."""
        while True:
            day = FIRST_DAY + timedelta(days=self.rng.randrange(DAYS))
            if split_of(f"{day.day} {day:%B}") == self.values.split:
                return day

    def count(self) -> int:
        """How many facts are in view."""
        return self.rng.choices((1, 2, 3, 4, 5, 6), (1, 2, 3, 3, 2, 3))[0]
