"""Finding known values in a text: whole words, however spelt; and telling a name from the word it also is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from mnemon.privacy.findings import UNSPACED, Finding
from mnemon.privacy.folding import Token, spelt_out, tokens
from mnemon.privacy.known import PrivateValue, distinct
from mnemon.privacy.lexicon import (
    AFTER_A_WORD,
    COUNTRIES,
    INSTITUTIONS,
    NAMES_THAT_ARE_WORDS,
    TIME_PREPOSITIONS,
)
from mnemon.words import CALENDAR_WORDS, FUNCTION_WORDS

_GAP = re.compile(r"[\s\-‐‑–.,'’/()_·]{0,4}")
_DIGITS = re.compile(r"(?<![^\W_])\+?\(?\d(?:[ .\-/()]{0,3}\d){4,24}(?![^\W_])")
_SPACED = re.compile(r"(?<![^\W_])[^\W_](?:[ .\-_*·]{1,2}[^\W_]){2,80}(?![^\W_])")
_SHORTEST_SPELT, _SHORTEST_JOINED = 4, 6  # letters of "a n n a" and of "annarossi" that are no other word by chance
_SHORTEST_CODE, _MOST_GROUPS = 4, 8  # digits of a code that is looked for however it is grouped; groups it may have
_NEAR = 48  # characters around a word that tell whether it is a name
_ENDINGS = ("s", "es")
_DETERMINERS = frozenset(
    "a an the some any no such every each this that these those un une el la le der die das".split()
)
_SENTENCE_START = re.compile(r"(?:^|[.!?…:;]|\n)[\s\"'“‘(\[*#>-]*$")


class KnownValues:
    """The values of one memory, ready to be looked for.

    Args:
        values: What is private.
        every_spelling: Take a value that is also a common word ("May", "Hope") wherever it stands, also where it is
            plainly the word.
    """

    def __init__(self, values: Iterable[PrivateValue], *, every_spelling: bool = False) -> None:
        self._by_first: dict[str, list[tuple[tuple[str, ...], PrivateValue]]] = {}
        self._numbers: dict[str, str] = {}
        self._joined: dict[str, PrivateValue] = {}
        self._codes: dict[str, PrivateValue] = {}
        self._unspaced: list[PrivateValue] = []
        self._every = every_spelling
        for each in distinct(values):
            words = tuple(token.word for token in tokens(each.value))
            if not words:
                continue
            for spelling in {words, tuple(token.word for token in tokens(spelt_out(each.value)))}:
                self._take(spelling, each)
            joined = "".join(words)
            if sum(c.isdigit() for c in joined) >= _SHORTEST_CODE:
                self._codes[joined] = each
            if UNSPACED.fullmatch(each.value):
                self._unspaced.append(each)
            digits = re.sub(r"\D", "", each.value)
            if len(digits) >= 5 and sum(c.isalpha() for c in each.value) <= 1:
                self._numbers[digits] = each.kind
                if len(digits) >= 9:
                    self._numbers.setdefault(digits[-9:], each.kind)  # with or without the country's code
        for sequences in self._by_first.values():
            sequences.sort(key=lambda pair: -len(pair[0]))

    def _take(self, words: tuple[str, ...], value: PrivateValue) -> None:
        """Look for the words one after the other, spelt out and run together."""
        self._by_first.setdefault(words[0], []).append((words, value))
        joined = "".join(words)
        if len(joined) >= _SHORTEST_SPELT:
            self._joined[joined] = value
        if len(words) > 1 and len(joined) >= _SHORTEST_JOINED:
            self._by_first.setdefault(joined, []).append(((joined,), value))  # "annarossi"

    def find(self, text: str) -> list[Finding]:
        """Every known value in ``text``. They may overlap; the longer ones come first at each place."""
        there = tokens(text)
        found = []
        for i, token in enumerate(there):
            for first in (token.word, *_singulars(token.word)):
                for words, value in self._by_first.get(first, ()):
                    last = self._match(text, there, i, words)
                    if last is not None and (self._every or _is_meant(text, there, i, last, value)):
                        found.append(
                            Finding(
                                token.start, there[last].end, value.kind, text[token.start : there[last].end], True
                            )
                        )
        found += [*self._grouped(text, there), *self._spaced(text)]
        for value in self._unspaced:
            places = (m.span() for m in re.finditer(re.escape(value.value), text))
            found += [Finding(start, end, value.kind, text[start:end], True) for start, end in places]
        for run in _DIGITS.finditer(text):
            digits = re.sub(r"\D", "", run[0])
            kind = self._numbers.get(digits) or (self._numbers.get(digits[-9:]) if len(digits) >= 9 else None)
            if kind:
                found.append(Finding(run.start(), run.end(), kind, run[0], True))
        return found

    def _grouped(self, text: str, there: Sequence[Token]) -> Iterator[Finding]:
        """Codes whose letters and digits are grouped in another way than they were told: "D253 8543"."""
        for i, token in enumerate(there if self._codes else ()):
            joined, end = "", token.start
            for last in there[i : i + _MOST_GROUPS]:
                if joined and not _GAP.fullmatch(text, end, last.start):
                    break
                joined, end = joined + last.word, last.end
                if value := self._codes.get(joined):
                    yield Finding(token.start, end, value.kind, text[token.start : end], True)

    def _spaced(self, text: str) -> Iterator[Finding]:
        """Values spelt out: "A n n a", "a-n-n-a"."""
        for run in _SPACED.finditer(text):
            letters = tokens(run[0])
            spelt = "".join(letter.word for letter in letters)
            if len(spelt) != len(letters):
                continue
            for size in range(len(spelt), _SHORTEST_SPELT - 1, -1):
                for at in range(len(spelt) - size + 1):
                    if value := self._joined.get(spelt[at : at + size]):
                        start, end = run.start() + letters[at].start, run.start() + letters[at + size - 1].end
                        yield Finding(start, end, value.kind, text[start:end], True)

    @staticmethod
    def _match(text: str, there: Sequence[Token], i: int, words: tuple[str, ...]) -> int | None:
        """The number of the last token when ``words`` stand from token ``i`` on; a plural's ending may follow."""
        if i + len(words) > len(there):
            return None
        last = i + len(words) - 1
        for word, token in zip(words[:-1], there[i:last], strict=True):
            if token.word != word:
                return None
        if there[last].word != words[-1] and words[-1] not in _singulars(there[last].word):
            return None
        for left, right in zip(there[i:last], there[i + 1 : last + 1], strict=True):
            if not _GAP.fullmatch(text, left.end, right.start):
                return None
        return last


def _singulars(word: str) -> list[str]:
    return [word[: -len(e)] for e in _ENDINGS if word.endswith(e) and len(word) - len(e) >= 3 and word.isalpha()]


def _is_meant(text: str, there: Sequence[Token], i: int, last: int, value: PrivateValue) -> bool:
    """Whether the words at this place are the value and not a common word or something public of the same name."""
    if value.kind not in ("person", "place", "org") or last > i:
        return True
    token = there[i]
    written = text[token.start : token.end]
    after = text[token.end : token.end + _NEAR]
    next_word = there[i + 1] if i + 1 < len(there) else None
    beside = next_word is not None and re.fullmatch(r"(?:['’]s?)?\s+", text[token.end : next_word.start]) is not None
    if value.kind == "person":
        where = re.match(r",\s+([^\W\d_]+(?: [A-Z][^\W\d_]+)?)", after)
        if (
            where
            and written[0].isupper()
            and any(w in COUNTRIES for w in (where[1].lower(), where[1].lower().split()[0]))
        ):
            return False  # "Florence, Italy"
    named_after = next_word is not None and (beside or re.match(r"['’]s?\s", after))
    if named_after and next_word is not None and next_word.word in INSTITUTIONS and written[0].isupper():
        public = text[next_word.start].isupper() or next_word.word.endswith(
            (
                "theorem",
                "theory",
                "law",
                "laws",
                "principle",
                "equation",
                "equations",
                "disease",
                "syndrome",
                "paradox",
            )
        )
        if public and next_word.word not in ("school", "test", "day", "days"):
            return False  # "Victoria Station", "Bayes' theorem"
    before = there[i - 1] if i and re.fullmatch(r"\s+", text[there[i - 1].end : token.start]) else None
    if written[0].islower() and before and (before.word in _DETERMINERS or before.word.isdigit()):
        return False  # "a joy", "the paris", "20 newtons"
    word = token.word if token.word in NAMES_THAT_ARE_WORDS or token.word in FUNCTION_WORDS else ""
    if not word:
        return True
    if not written[0].isupper():
        return bool(re.match(r"['’]s\b", after)) and word not in FUNCTION_WORDS | CALENDAR_WORDS
    if word in CALENDAR_WORDS:
        if before is not None and (before.word.isdigit() or re.fullmatch(r"\d+(?:st|nd|rd|th)", before.word)):
            return False
        if before is not None and before.word in TIME_PREPOSITIONS - {"to", "from", "of", "by"}:
            return False
        if next_word is not None and beside and re.match(r"\d", next_word.word):
            return False
    if _SENTENCE_START.search(text[max(0, token.start - _NEAR) : token.start]) and next_word is not None:
        following = (
            text[next_word.start : next_word.start + _NEAR]
            .split(maxsplit=1)[0]
            .lower()
            .replace("’", "'")
            .strip(".,!?;:")
        )
        if beside and following in AFTER_A_WORD:
            return False  # "May I", "Will the", "Hope you"
    return True
