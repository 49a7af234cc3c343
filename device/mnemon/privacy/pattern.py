"""A form of private value, and the pieces that several forms are made of.

Every repetition in a pattern has an upper bound wherever two of them could share the same characters: the time a text
takes is then in proportion to its length, whatever it says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mnemon.privacy.findings import Finding

AROUND = 240
"""Characters before and after a match that are looked at for the sentence it stands in."""
_SENTENCE_EDGE = re.compile(r"[.!?…](?=\s)|\n")


@dataclass(frozen=True, slots=True)
class PatternRule:
    """A form of private value.

    Attributes:
        name: For tests and the docs.
        kind: One of :data:`mnemon.privacy.findings.KINDS`.
        pattern: What it looks like; its group ``v`` is the value, the whole match when it has none.
        check: Whether a match is one in truth.
        sentence: Whether the sentence around it makes it one; None: it is one anywhere.
    """

    name: str
    kind: str
    pattern: re.Pattern[str]
    check: Callable[[str], bool] = bool
    sentence: Callable[[str], bool] | None = None

    def find(self, text: str) -> Iterator[Finding]:
        """Every place in ``text`` where it holds."""
        for match in self.pattern.finditer(text):
            group = "v" if "v" in self.pattern.groupindex else 0
            if not match[group] or not self.check(match[group]):
                continue
            if self.sentence is None or self.sentence(sentence_around(text, match.start(group), match.end(group))):
                yield Finding(match.start(group), match.end(group), self.kind, match[group])


def rule(
    name: str,
    kind: str,
    pattern: str,
    check: Callable[[str], bool] = bool,
    *,
    case: bool = False,
    sentence: Callable[[str], bool] | None = None,
) -> PatternRule:
    """A rule whose pattern is blind to case unless ``case`` is set."""
    return PatternRule(name, kind, re.compile(pattern, 0 if case else re.IGNORECASE), check, sentence)


def sentence_around(text: str, start: int, end: int) -> str:
    """The sentence in which ``text[start:end]`` stands, at most :data:`AROUND` characters to either side."""
    first = max(0, start - AROUND)
    for edge in _SENTENCE_EDGE.finditer(text, first, start):
        first = edge.end()
    edge_after = _SENTENCE_EDGE.search(text, end, min(len(text), end + AROUND))
    return text[first : edge_after.start() if edge_after else end + AROUND]


B, E = r"(?<![^\W_])", r"(?![^\W_])"
"""Where a word begins and ends; ``_`` is no part of one."""
IS = r"(?:\s{0,4}[:=]\s{0,4}|\s{1,4}(?:is|was|are|es|est|ist|lautet)\s{0,4}:?\s{0,4}|\s{1,4})"
"""Between the name of a number and the number."""
