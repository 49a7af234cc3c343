"""What there is to know about an owner: kinds of facts, and facts with their wordings (attributes.toml)."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnemon.voice import as_first_person, as_second_person
from train_builtin.conversations.values import Values


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that can be asked about a fact.

    Attributes:
        ask: Its wordings.
        terse: The same in a few words.
        answers: What Mnemon says; the first is the usual one.
        short: The answer without its sentence.
        topic: What is asked for, in the owner's words: "my dog's name", "where I live".
        your_topic: The same in Mnemon's words.
        gives: The one value it asks for; empty for all.
    """

    ask: tuple[str, ...]
    terse: tuple[str, ...]
    answers: tuple[str, ...]
    short: str
    topic: str
    your_topic: str
    gives: str


@dataclass(frozen=True, slots=True)
class Saying:
    """How an owner tells a fact.

    Attributes:
        text: In their words: "my dog is called {v}".
        yours: The same words back, "your dog is called {v}"; empty where that makes no sentence.
    """

    text: str
    yours: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """A kind of fact."""

    key: str
    group: str
    domain: str
    weight: float
    slots: dict[str, str]
    values: dict[str, str]
    fact: tuple[str, ...]
    say: tuple[Saying, ...]
    told: tuple[str, ...]
    mine: str
    questions: tuple[Question, ...]
    check: str
    update: tuple[Saying, ...]
    before: tuple[str, ...]
    was: str


# Who may be meant by more than one word: a fact about one leaves no honest "I don't know" about the other.
_SAME = {"puppy": "dog", "kitten": "cat", "pony": "horse", "turtle": "tortoise", "hen": "duck", "wife": "husband"}


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of a made-up owner."""

    attribute: Attribute
    filled: dict[str, str]
    wording: int = 0

    @property
    def identity(self) -> tuple[str, ...]:
        """What it is about: two facts with the same identity answer the same question."""
        slots = (self.filled[name].split()[-1] for name in self.attribute.slots)
        found = (self.attribute.domain, *(_SAME.get(word, word) for word in slots))
        return ("spouse",) if found == ("relative name", "husband") else found

    @property
    def text(self) -> str:
        """As memory keeps it."""
        return self.say(self.attribute.fact[self.wording])

    @property
    def told(self) -> str:
        """As a clause to its owner, in memory's words: "your dog is called Biscuit"."""
        return self.say(self.attribute.told[self.wording])

    @property
    def values(self) -> tuple[str, ...]:
        """What it says."""
        return tuple(self.filled[name] for name in self.attribute.values)

    @property
    def open_values(self) -> tuple[str, ...]:
        """Its values and the names it is about."""
        names = (self.filled[name] for name, kind in self.attribute.slots.items() if kind == "first_name")
        return (*names, *self.values)

    def say(self, template: str) -> str:
        """``template`` with its places filled."""
        return template.format_map(self.filled)

    def plain(self) -> Fact:
        """The same fact in its usual words."""
        return self if self.wording == 0 else Fact(self.attribute, self.filled)

    def needed(self, question: Question) -> tuple[str, ...]:
        """The values that a full answer to ``question`` must say."""
        return (self.filled[question.gives],) if question.gives else self.values


def draw(attribute: Attribute, values: Values, slots: dict[str, str] | None = None) -> Fact:
    """A new fact of this kind.

    Args:
        slots: What it is about, where that is settled already.
    """
    filled = dict(slots or {})
    for name, kind in attribute.slots.items():
        if name not in filled:
            filled[name] = values.draw(kind)
    for name, kind in attribute.values.items():
        filled[name] = values.draw(kind)
        filled[name.upper()] = filled[name][:1].upper() + filled[name][1:]
    wording = 0
    if len(attribute.fact) > 1 and values.rng.random() < 0.25:
        wording = values.rng.randrange(1, len(attribute.fact))
    return Fact(attribute, filled, wording)


@functools.cache
def attributes() -> tuple[Attribute, ...]:
    """All kinds of facts."""
    raw = tomllib.loads(Path(__file__).with_name("attributes.toml").read_text("utf-8"))
    return tuple(_read(entry) for entry in raw["attribute"])


@functools.cache
def weights() -> tuple[float, ...]:
    """How often each kind is drawn, added up."""
    total, found = 0.0, []
    for attribute in attributes():
        total += attribute.weight
        found.append(total)
    return tuple(found)


_TO_YOU = tuple(
    (re.compile(rf"\b{mine}\b"), yours)
    for mine, yours in (
        ("(?:I am|I'm|we are|we're)", "you are"),
        ("(?:I was|we were)", "you were"),
        ("(?:I've|we've)", "you have"),
        ("I'd", "you'd"),
        ("I'll", "you'll"),
        ("(?:I|we|me|us)", "you"),
        ("(?:my|our)", "your"),
        ("mine", "yours"),
        ("myself", "yourself"),
    )
)


def to_you(words: str) -> str:
    """The owner's words as Mnemon says them back: "where I keep my keys" becomes "where you keep your keys"."""
    for pattern, yours in _TO_YOU:
        words = pattern.sub(yours, words)
    return words


_NOT_SAID_BACK = re.compile(
    r"(?:you|please|sorry|remember|note|give|post|don't|can|it's)\b|.*[?:]|I \w+,|[\w {}']+, I "
)


def _sayings(texts: Iterable[str]) -> tuple[Saying, ...]:
    return tuple(Saying(text, "" if _NOT_SAID_BACK.match(text) else _after_you(to_you(text))) for text in texts)


def _after_you(words: str) -> str:
    """ "You and Elena", where an owner modestly says "Elena and I"."""
    return re.sub(r"(\{\w\}) and you\b", r"you and \1", words)


def _as_clause(sentence: str) -> str:
    """A sentence as part of another one."""
    clause = sentence.rstrip(".")
    return clause if clause.startswith(("{", "I ")) else clause[0].lower() + clause[1:]


def _read(entry: dict[str, Any]) -> Attribute:
    facts = tuple(entry["fact"])
    said = entry.get("answer", [])
    answers = (*said, *(as_second_person(fact) for fact in facts[len(said) :]))
    first = Question(
        ask=tuple(entry["ask"]),
        terse=tuple(entry.get("terse", ())),
        answers=answers,
        short=entry.get("short", "{v}"),
        topic=entry["topic"],
        your_topic=to_you(entry["topic"]),
        gives="",
    )
    more = (
        Question(
            ask=tuple(each["ask"]),
            terse=(),
            answers=(each["answer"],) if "answer" in each else answers,
            short=each["short"],
            topic=each["topic"],
            your_topic=to_you(each["topic"]),
            gives=each["gives"],
        )
        for each in entry.get("also", ())
    )
    return Attribute(
        key=entry["key"],
        group=entry["group"],
        domain=entry.get("domain", entry["key"]),
        weight=entry["weight"],
        slots=entry.get("slots", {}),
        values=entry["values"],
        fact=facts,
        say=_sayings(entry["say"]),
        told=tuple(map(_as_clause, answers)),
        mine=_as_clause(as_first_person(facts[0])),
        questions=(first, *more),
        check=entry.get("check", ""),
        update=_sayings(entry.get("update", ())),
        before=tuple(entry.get("before", ())),
        was=entry.get("was", ""),
    )
