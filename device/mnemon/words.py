"""Words as Mnemon compares them: which ones carry meaning, which name something, which are the same.

Used wherever two texts are held against each other without a model: what an answer may say (``answering``), whether a
fact is in the owner's own words (``memory.extraction``), what a question looks for (``memory.recall``). English,
deliberately simple. The stemming is light: it joins *lives, lived, living* and *allergy, allergic*, never two names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
SENTENCE_END = re.compile(r"(?<=[.!?…])[\"”')\]]*\s+|\n+")
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

FUNCTION_WORDS = STOP_WORDS | frozenset(
    """
    above against although always anyway aren't around away because below came can't cannot come couldn't didn't
    doesn't don't done down either else ever every further get gets getting go goes going gone got hadn't hasn't
    haven't he'd he'll he's here's herself himself how's however i'd i'll i'm i've isn't it'd it'll it's let let's
    lot made make may maybe might much must mustn't neither oh ok okay one onto ourselves perhaps please put quite
    really right said say says she'd she'll she's shouldn't since something still take tell that's there's they'd
    they'll they're they've thing things though upon wasn't we'd we'll we're we've well went weren't what's when's
    where's whether who'd who'll who's whose why's within without won't wouldn't yeah yes yet you'd you'll you're
    you've yourself
    """.split()
)
"""Words an answer may be made of without claiming anything."""

MONTHS = "january february march april may june july august september october november december".split()
CALENDAR_WORDS = frozenset(
    [*MONTHS, *"monday tuesday wednesday thursday friday saturday sunday today tomorrow yesterday".split()]
)

_DENIAL = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|neither|nor|without|cannot|used to|stopped|quit|g[ai]ve(?:n)? up|sold"
    r"|(?:do|does|did|is|are|was|were|have|has|had|ca|could|wo|would|should|ai)n['’]?t)\b",
    re.IGNORECASE,
)

_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
        " seventeen eighteen nineteen twenty".split()
    )
}


def words(text: str) -> list[str]:
    """The words of ``text`` in order, as written."""
    return _WORD.findall(text)


def plain_words(text: str) -> list[str]:
    """The words and numbers of ``text``, lower-case, possessive endings removed."""
    return [_plain(word) for word in words(text)]


def _plain(word: str) -> str:
    return re.sub(r"['’]s?$", "", word.lower()).replace("’", "'")


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """A word without its grammatical ending, lower-case. Numbers written out become digits."""
    word = _plain(word)
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
    return {stem(word) for word in plain_words(text) if word not in STOP_WORDS}


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


def content_words(text: str) -> list[str]:
    """Stems of the words of an answer or a question that say something, in order."""
    return [stem(word) for word in words(text) if word.lower().replace("’", "'") not in FUNCTION_WORDS]


def names(text: str) -> list[str]:
    """Words written with a capital inside a sentence, and whole capitals: people, places, makes.

    A capital at the start of a sentence counts only when no lower-case form of that word would be ordinary there,
    which cannot be known; such a word is left out unless it is followed by another capital or stands elsewhere.
    """
    found: list[str] = []
    for sentence in sentences(text):
        tokens = words(sentence)
        for i, token in enumerate(tokens):
            if not token[:1].isupper() or token.lower().replace("’", "'") in FUNCTION_WORDS:
                continue
            starts = i == 0 and not (len(token) > 1 and token.isupper())
            if not starts or (len(tokens) > 1 and tokens[1][:1].isupper() and tokens[1] != "I"):
                found.append(token)
    return found


def numbers(text: str) -> list[str]:
    """Runs of digits with their inner punctuation: ``7:40``, ``1,200``, ``2018``."""
    return _NUMBER.findall(text)


def calendar_words(text: str) -> list[str]:
    """Months, week days and days such as ``yesterday``; "may" and "march" only with a capital."""
    return [w for w in words(text) if w.lower() in CALENDAR_WORDS and (w[0].isupper() or w not in ("may", "march"))]


def sentences(text: str) -> list[str]:
    """``text`` cut after its sentences; the cut is a guess, good enough to check a claim at a time."""
    return [part for part in SENTENCE_END.split(text) if part.strip()]


def denies(clause: str) -> bool:
    """Whether a clause says that something is not so, or no longer: of two with the same words only one does."""
    return bool(_DENIAL.search(clause))
