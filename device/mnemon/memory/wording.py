"""Words as evidence: is what a sentence says about the owner in the owner's own words?

The stemming is light on purpose. It joins *lives, lived, living* and *allergy, allergic*; it never joins two names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*", re.UNICODE)
_SUFFIXES = ("ies", "ing", "ied", "ed", "es", "ic", "s", "y", "e")

STOP_WORDS = frozenset(
    """
    a an and any are as at be been being but by can did do does doing for from had has have having he her hers
    him his i if in into is it its itself just me mine my myself no nor not of off on or our ours out over own
    s same she so some such t than that the their theirs them themselves then there these they this those to
    too under until up us very was we were what when where which while who whom why will with you your yours
    am im ive also now about after before between during through again once here how all both each few more
    most other only would could should
    """.split()
)
"""Words that carry no evidence of their own."""

_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
        " seventeen eighteen nineteen twenty".split()
    )
}


def words(text: str) -> list[str]:
    """The words and numbers of ``text``, lower-case, possessive endings removed."""
    return [re.sub(r"['’]s?$", "", word.lower()).replace("’", "'") for word in _WORD.findall(text)]


def stem(word: str) -> str:
    """The word without its grammatical ending. Numbers written out become digits."""
    word = _NUMBERS.get(word, word)
    if word.isdigit() or len(word) < 4:
        return word
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            root = word[: -len(suffix)]
            if suffix in ("ing", "ed") and len(root) > 3 and root[-1] == root[-2] and root[-1] not in "ls":
                root = root[:-1]
            return stem(root) if suffix in ("s", "es") else root
    return word


def stems(text: str) -> set[str]:
    """The stems of all words of ``text``."""
    return {stem(word) for word in words(text)}


def content(text: str) -> set[str]:
    """The stems of the words of ``text`` that carry meaning."""
    return {stem(word) for word in words(text) if word not in STOP_WORDS}


def supported(statement: str, evidence: str, *, frame: Iterable[str] = ()) -> bool:
    """True when every word of ``statement`` that carries meaning occurs in ``evidence``.

    Args:
        frame: Words of the sentence pattern itself (``user``, ``called``) that need no evidence.
    """
    allowed = {stem(word) for word in frame}
    return content(statement) - allowed <= stems(evidence)


def same(one: str, other: str) -> bool:
    """True when the two say the same in the same words, whatever their order, endings and filler words."""
    if one.casefold() == other.casefold():
        return True
    left, right = content(one), content(other)
    return bool(left) and left == right
