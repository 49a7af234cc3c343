"""Time told by an event: "before the move", "since I started at the library", "after Anna's wedding".

The event is something that was told, so memory knows its day: the one a message about it names, or the one it was
said on. A question is cut in two here, what it asks and the event it is seen from; who looks the event up is
:mod:`mnemon.memory.recall`. Days named outright ("before May") are read by :mod:`mnemon.memory.times`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from mnemon.memory.phrasing import telling_words
from mnemon.memory.times import Span, named
from mnemon.words import stems

Side = Literal["before", "after", "since", "until", "during"]

_SUBJECT = r"(?:i|we|you|he|she|they|it|(?:my|our|his|her|their|the|that|this) [\w'’-]+|(?-i:[A-ZÀ-Þ])[\w'’-]+)"
_CLAUSE = re.compile(
    r"\b(?P<which>before|after|since|until|till|during|around|by the time(?: of)?|(?:back )?when)\s+"
    r"(?P<event>(?:(?:the|my|our|his|her|their|that|this)\s+|(?-i:[A-ZÀ-Þ])[\w'’-]*\s+"
    r"|(?:i|we|he|she|they|it)\s+|[\w-]+ing\s+).+?)"
    # A comma ends it, and what begins to ask.
    r"(?=\s*[,?!;]|\s*\.(?:\s|$)|\s+(?:what|where|who|whom|whose|which|how|why)\b"
    rf"|\s+(?:did|do|does|was|were|am|is|are|have|had|has)\s+{_SUBJECT}\b|\s*$)",
    re.IGNORECASE,
)
_WHEN_ASKS = re.compile(r"(?:did|was|were|is|are|will|do|does|had|have|has|can|should)\b", re.IGNORECASE)
_SIDES: dict[str, Side] = {"before": "before", "after": "after", "since": "since", "until": "until", "till": "until"}
# What a bare word for a change in the owner's life changed: "the move" began a fact about where home is.
_BEGINS = {"mov": "home", "wed": "partner", "marriag": "partner", "job": "job", "promotion": "job"}
_LONGEST_WORDS = 12
_WIDE = timedelta(days=62)
_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Relative:
    """A question whose time is told by an event.

    Attributes:
        asks: What is asked, without the event.
        event: The event, in the question's words.
        side: Where from the event the time asked for lies.
    """

    asks: str
    event: str
    side: Side


def relative(question: str, asked_on: date) -> Relative | None:
    """The event a question is seen from; None where it names none, or names days itself."""
    for match in _CLAUSE.finditer(question):
        event = match["event"].strip()
        which = match["which"].lower()
        if which.endswith("when") and _WHEN_ASKS.match(event):
            continue
        if not telling_words(event) or len(event.split()) > _LONGEST_WORDS or named(match[0], asked_on):
            continue
        before, behind = question[: match.start()].rstrip(" ,;"), question[match.end() :].lstrip(" ,;")
        asks = f"{before}{' ' * bool(before and behind[:1].isalnum())}{behind}"
        if telling_words(asks):
            return Relative(asks[:1].upper() + asks[1:], event, _SIDES.get(which, "during"))
    return None


def begins(event: str) -> frozenset[str]:
    """The attributes of a fact that such an event in the owner's life begins."""
    return frozenset(_BEGINS[word] for word in stems(event) & _BEGINS.keys())


def day_of(text: str, said_on: date) -> Span:
    """The days of what a message tells: those it names, if it names them closely, or the day it was said."""
    told = [span for span in named(text, said_on) if span[1] - span[0] <= _WIDE]
    return told[0] if told else (said_on, said_on)


def seen_from(event: Span, side: Side) -> Span:
    """The days on that side of an event; ``during`` takes a week around it in, as talk of a thing lags it."""
    first, last = event
    if side == "before":
        return date.min, first - timedelta(days=1)
    if side == "until":
        return date.min, last
    if side == "after":
        return last + timedelta(days=1), date.max
    if side == "since":
        return first, date.max
    return first - _WEEK, last + _WEEK
