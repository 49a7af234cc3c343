"""Text as a reader sees it: without invisible characters, with plain digits and spaces, letters of one alphabet.

A card number with zero-width characters between its digits or in Arabic digits, or a name with one Cyrillic letter,
looks the same to a person; so it is looked for the same. What is encoded (base64, percent signs) is looked into.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import unquote

from mnemon.privacy.findings import Finding

# Letters drawn like Latin ones (from Unicode's confusables: Cyrillic and Greek). Read as Latin only in a word
# that holds Latin letters too: "Анна" is a Russian name, "Аnna" is not.
_LOOKALIKES = dict(
    zip(
        "АВЕКМНОРСТУХаеорсухіјѕԁԛԝһΑΒΕΖΗΙΚΜΝΟΡΤΥΧοαικνρυ",
        "ABEKMHOPCTYXaeopcyxijsdqwhABEZHIKMNOPTYXoaikvpu",
        strict=True,
    )
)
_WORD = re.compile(r"[^\W\d_]+")
_ENCODED = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{12,4096}={0,2}(?![\w+/=-])")
_PERCENT = re.compile(r"[^\s<>\"]{0,400}%[0-9A-Fa-f]{2}[^\s<>\"]{0,400}(?<![.,;:!?)])")


@dataclass(frozen=True, slots=True)
class Seen:
    """A text as it is seen, knowing where each character stood.

    Attributes:
        text: As seen.
        places: Of each of its characters in the original; None when both are the same.
        original: As written.
    """

    text: str
    places: Sequence[int] | None
    original: str

    def back(self, found: Iterable[Finding]) -> list[Finding]:
        """Findings in :attr:`text` as findings in the original."""
        places = self.places
        if places is None:
            return list(found)
        result = []
        for one in found:
            start, end = places[one.start], places[one.end - 1] + 1
            result.append(replace(one, start=start, end=end, value=self.original[start:end]))
        return result


def seen(text: str) -> Seen:
    """``text`` as a reader sees it; one pass."""
    if text.isascii():
        return Seen(text, None, text)
    letters: list[str] = []
    places: list[int] = []
    for at, letter in enumerate(text):
        plain = letter if letter.isascii() else _plain(letter)
        if plain:
            letters.append(plain)
            places.append(at)
    return Seen(_WORD.sub(_one_alphabet, "".join(letters)), places, text)


def in_encoded(text: str, find: Callable[[str], list[Finding]]) -> list[Finding]:
    """Stretches that hold something private once they are decoded, whole; of the gravest kind found in them."""
    found = []
    for stretch in _ENCODED.finditer(text):
        if decoded := _decoded(stretch[0]):
            found += _whole(stretch, find(decoded))
    for stretch in _PERCENT.finditer(text) if "%" in text else ():
        if "�" not in (decoded := unquote(stretch[0])):
            found += _whole(stretch, find(decoded))
    return found


def _whole(stretch: re.Match[str], inside: Sequence[Finding]) -> list[Finding]:
    known = any(one.known for one in inside)
    return [Finding(stretch.start(), stretch.end(), one.kind, stretch[0], known) for one in inside]


def _decoded(text: str) -> str:
    """Base64, also its form for links, that is readable text; else nothing."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    if len(plain) % 4 == 1:
        return ""
    try:
        read = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return read if all(c.isprintable() or c in "\r\n\t" for c in read) else ""


def _one_alphabet(word: re.Match[str]) -> str:
    written = word[0]
    if written.isascii() or not any(c.isascii() for c in written):
        return written
    return "".join(_LOOKALIKES.get(c, c) for c in written)


@lru_cache(maxsize=4096)
def _plain(letter: str) -> str:
    """One character for a visible one, none for one that cannot be seen."""
    category = unicodedata.category(letter)
    if category == "Cf" or letter in "\u034f\u115f\u1160\u3164\ufe0e\ufe0f":
        return ""
    if category == "Nd":
        return str(unicodedata.digit(letter))
    if category == "Zs":
        return " "
    if category == "Pd":
        return "-"
    alike = unicodedata.normalize("NFKC", letter)  # full-width and mathematical letters
    return alike if len(alike) == 1 and alike.isascii() else letter
