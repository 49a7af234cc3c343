"""Placeholders for private values, and the values back in the answer.

``[PERSON_1]`` stands for one person through a whole conversation. Another spelling of the same value ("ANNA",
"Annas") is ``[PERSON_1B]``, so that what comes back is exactly what was written, and the model still sees that it is
the same person.

The bigger model may write ``[Person 1]``, ``**PERSON_1**``, ``[PERSON_1's]`` or ``\\[PERSON\\_1\\]``: all of them are
read. Where it leaves one out, its answer does without that name. What looks like a placeholder in the owner's own
words is itself replaced (``[TEXT_1]``), so that nothing is ever put back that was not taken out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mnemon.privacy.findings import KINDS, Finding, merged
from mnemon.privacy.folding import fold

_NAME = r"[A-Za-z]{2,8}"
_NUMBER = r"[0-9]{1,6}[A-Za-z]{0,2}"
_MARKS = r"[ \t*`]{0,3}"
_JOINT = r"(?:\\?_|[ \t-]){0,2}"
_OWN = r"['’]s"
_PLACEHOLDER = re.compile(
    rf"\\\[{_MARKS}(?P<k1>{_NAME}){_JOINT}(?P<n1>{_NUMBER})(?P<s1>{_OWN})?{_MARKS}\\\]"
    rf"|\[{_MARKS}(?P<k2>{_NAME}){_JOINT}(?P<n2>{_NUMBER})(?P<s2>{_OWN})?{_MARKS}\]"
    rf"|(?<![^\W_])(?P<k3>{_NAME})\\?_(?P<n3>{_NUMBER})(?![^\W_])"
)
# What may still become one of these when more arrives; each step may be where the text ends for now.
_MARKS_, _JOINT_ = r"[ \t*`]*", r"[\\_ \t-]*"
_BEGUN = re.compile(
    rf"(?:\\?\[{_MARKS_}[A-Za-z]*{_JOINT_}[0-9]*[A-Za-z]*(?:['’]s?)?{_MARKS_}\\?|\\"
    rf"|(?<![^\W_])[A-Za-z]{{1,8}}(?:\\?_?|\\?_[0-9]{{1,6}}[A-Za-z]{{0,2}}))\Z"
)
_LONGEST = 40
"""Characters of the longest spelling of a placeholder; what is longer is none."""
_LINK = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]{0,20}://|(?<![^\W_])[Ww][Ww][Ww]\.)\S*\Z")
_LINK_REACH = 2000
"""Characters looked back for a link's beginning."""


class Pseudonyms:
    """The placeholders of one conversation: the same value gets the same one each time."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}
        self._spellings: dict[tuple[str, int], list[str]] = {}
        self._counts: dict[str, int] = {}

    def replace(self, text: str, found: Iterable[Finding]) -> tuple[str, list[tuple[Finding, str]]]:
        """``text`` with a placeholder for each finding.

        Args:
            found: In any order; they may overlap.

        Returns:
            What may leave, and each finding with its placeholder, in order.
        """
        parts, used, at = list[str](), list[tuple[Finding, str]](), 0
        for finding in merged(text, [*found, *_lookalikes(text)]):
            name = self._name(finding.kind, finding.value)
            parts += (text[at : finding.start], name)
            used.append((finding, name))
            at = finding.end
        return "".join((*parts, text[at:])), used

    def meanings(self) -> dict[str, str]:
        """Every placeholder given so far with what it stands for."""
        return {
            _shown(kind, number, spelling): value
            for (kind, number), spellings in self._spellings.items()
            for spelling, value in enumerate(spellings)
        }

    def _name(self, kind: str, value: str) -> str:
        key = (kind, fold(value) or value)
        if kind == "person":  # a plural or another ending is a spelling of the same name
            base = (kind, key[1].removesuffix("s"))
            key = base if base in self._numbers else key
        if key not in self._numbers:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._numbers[key] = self._counts[kind]
        spellings = self._spellings.setdefault((kind, self._numbers[key]), [])
        if value not in spellings:
            if len(spellings) == 26:  # letters are used up: from here it counts as another value
                self._counts[kind] += 1
                self._numbers[key] = self._counts[kind]
                spellings = self._spellings.setdefault((kind, self._numbers[key]), [])
            spellings.append(value)
        return _shown(kind, self._numbers[key], spellings.index(value))


@dataclass(frozen=True, slots=True)
class Restorer:
    """Puts the values back. Holds what private values mean: it never leaves the device.

    In a link only what stood in a link of ``sent`` is put back: whoever opened one that the server made up would
    carry the name there.

    Attributes:
        meanings: What placeholders stand for.
        sent: What left.
    """

    meanings: Mapping[str, str]
    sent: str = ""

    def restore(self, text: str) -> str:
        """``text`` with every known placeholder, however it is spelt, turned into what it stands for."""
        return self._restored("", text, "", self._of_links())

    def stream(self, chunks: Iterable[str]) -> Iterator[str]:
        """The same for an answer that comes in pieces: what may be half a placeholder waits for the rest of it."""
        held, before, of_links = "", "", self._of_links()
        for chunk in chunks:
            held += chunk
            ready = self._ready(before[-1:] + held) - len(before[-1:])
            if ready > 0:
                shown = self._restored(before, held[:ready], held[ready:], of_links)
                before, held = (before + held[:ready])[-_LINK_REACH:], held[ready:]
                if shown:
                    yield shown
        if held:
            yield self._restored(before, held, "", of_links)

    def _restored(self, before: str, text: str, after: str, of_links: frozenset[str]) -> str:
        """One piece, seen with what is before it and with what follows: neither is shown."""
        whole = before + text + after
        parts, at, end = list[str](), len(before), len(before) + len(text)
        for match in _PLACEHOLDER.finditer(whole, len(before)):
            if match.end() > end:
                break
            name = _read(match)
            value = self.meanings.get(name)
            if value is None or (_in_link(match) and name not in of_links):
                continue
            parts += (whole[at : match.start()], value, match["s1"] or match["s2"] or "")
            at = match.end()
        return "".join((*parts, whole[at:end]))

    def _of_links(self) -> frozenset[str]:
        return frozenset(_read(match) for match in _PLACEHOLDER.finditer(self.sent) if _in_link(match))

    @staticmethod
    def _ready(text: str) -> int:
        begin = max(0, len(text) - _LONGEST)
        begun = _BEGUN.search(text, begin)
        return begun.start() if begun else len(text)


def _in_link(match: re.Match[str]) -> bool:
    return bool(_LINK.search(match.string, max(0, match.start() - _LINK_REACH), match.start()))


def meant(meanings: Mapping[str, str], text: str) -> dict[str, str]:
    """Those of ``meanings`` that ``text`` speaks of, in any spelling; others of the conversation are not its own."""
    said = {_whose(name) for name in re.findall(r"\[[A-Z]+_[0-9]+[A-Z]?\]", text)}
    return {name: value for name, value in meanings.items() if _whose(name) in said}


def _whose(placeholder: str) -> str:
    return placeholder.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ]")


def _read(match: re.Match[str]) -> str:
    kind = match["k1"] or match["k2"] or match["k3"]
    number = match["n1"] or match["n2"] or match["n3"]
    return f"[{kind}_{number}]".upper()


def _shown(kind: str, number: int, spelling: int) -> str:
    return f"[{kind.upper()}_{number}{chr(ord('A') + spelling) if spelling else ''}]"


def _lookalikes(text: str) -> Iterator[Finding]:
    for match in _PLACEHOLDER.finditer(text):
        if (match["k1"] or match["k2"] or match["k3"]).lower() in KINDS:
            yield Finding(match.start(), match.end(), "text", match[0])
