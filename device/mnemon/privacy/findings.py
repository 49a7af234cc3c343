"""What is private in a text: where, of which kind, and whether memory or a pattern knew it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

KINDS: Final = (
    "secret", "card", "health", "iban", "id", "email", "phone", "url", "ip", "device", "location", "date", "plate",
    "address", "person", "org", "place", "text",
)  # fmt: skip
"""All kinds, the gravest first: where two findings meet, the graver kind names the whole."""
NEVER: Final = frozenset({"secret", "card"})
"""Kinds that never leave, whatever the owner allows."""

WORD: Final = re.compile(r"[^\W_]+")
UNSPACED: Final = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
"""Thai, Japanese, Chinese and Korean: nothing, or a particle, stands between a name and the next word."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A private stretch of a text.

    Attributes:
        start: Its first character.
        end: The one after its last.
        kind: One of :data:`KINDS`.
        value: The stretch as written.
        known: Memory holds it; otherwise a pattern found it.
    """

    start: int
    end: int
    kind: str
    value: str
    known: bool = False


def merged(text: str, found: Iterable[Finding]) -> list[Finding]:
    """The same stretches in order, snapped to whole words, those that overlap as one.

    "Anna Maria" and "Maria Rossi" inside "Anna Maria Rossi" become the whole name: cutting the first out alone would
    leave a rest that gives the second away.
    """
    edges = {}
    for word in WORD.finditer(text):
        if not UNSPACED.search(word[0]):
            edges.update(dict.fromkeys(range(word.start() + 1, word.end()), word.span()))
    spans = sorted(
        (
            Finding(edges.get(f.start, (f.start,))[0], edges.get(f.end, (0, f.end))[1], f.kind, "", f.known)
            for f in found
            if f.start < f.end
        ),
        key=lambda f: (f.start, -f.end),
    )
    result: list[Finding] = []
    for span in spans:
        if result and span.start < result[-1].end:
            last = result.pop()
            kind = min(last.kind, span.kind, key=KINDS.index)
            span = Finding(last.start, max(last.end, span.end), kind, "", last.known or span.known)
        result.append(span)
    return [Finding(f.start, f.end, f.kind, text[f.start : f.end], f.known) for f in result]
