"""Letters as they are compared: without case, accents and invisible characters, each knowing where it stood."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from mnemon.privacy.findings import WORD

_SAME = {"’": "'", "‘": "'", "ʼ": "'", "‐": "-", "‑": "-", "–": "-", "—": "-"}
_BARE = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "þ": "th", "æ": "ae", "œ": "oe"}
"""Letters of their own, which Unicode does not take apart, as those write them who have no key for them."""
_SPELT_OUT = {"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa", "đ": "dj"}
"""Letters that people spell with two where there is no key for them."""


@lru_cache(maxsize=4096)
def _folded(letter: str) -> str:
    if letter in _SAME:
        return _SAME[letter]
    if unicodedata.category(letter) in ("Cf", "Mn"):  # zero-width joiners, soft hyphens, accents set apart
        return ""
    # Twice: some letters fold to one with an accent of its own ("İ").
    bare = "".join(c for c in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(c))
    plain = unicodedata.normalize("NFKD", bare.casefold())
    return "".join(_BARE.get(c, c) for c in plain if not unicodedata.combining(c))


def fold(text: str) -> str:
    """``text`` as it is compared; runs of white space are one space."""
    return " ".join("".join(_folded(c) for c in text).split())


def spelt_out(text: str) -> str:
    """``text`` with "ü" as "ue" and its like; the same where there are none."""
    whole = unicodedata.normalize("NFC", text).casefold()
    return "".join(_SPELT_OUT.get(letter, letter) for letter in whole)


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a text: folded, and where it stands in the original."""

    word: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """The words of ``text`` (letters and digits, ``_`` separates) with their places in it."""
    letters: list[str] = []
    places: list[int] = []
    for at, letter in enumerate(text):
        for piece in _folded(letter):
            letters.append(piece)
            places.append(at)
    found = []
    for word in WORD.finditer("".join(letters)):
        end = places[word.end() - 1] + 1
        while end < len(text) and not _folded(text[end]):
            end += 1  # an accent that follows its letter belongs to it
        found.append(Token(word[0], places[word.start()], end))
    return found
