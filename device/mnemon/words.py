"""Words as Mnemon compares them: which ones carry meaning, and which name something.

Used wherever two texts are held against each other without a model: what an answer may say (``grounding``), what a
question asks for. English, deliberately simple, and generous: a word that might be a name counts as one.
"""

from __future__ import annotations

import re
from functools import lru_cache

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
SENTENCE_END = re.compile(r"(?<=[.!?…])[\"”')\]]*\s+|\n+")

FUNCTION_WORDS = frozenset(
    """
    a about above after again against all also although always am an and any anyway are aren't around as at away be
    because been before being below between both but by came can can't cannot come could couldn't did didn't do does
    doesn't doing don't done down during each either else ever every few for from further get gets getting go goes
    going gone got had hadn't has hasn't have haven't having he he'd he'll he's her here here's hers herself him
    himself his how how's however i i'd i'll i'm i've if in into is isn't it it'd it'll it's its itself just let let's
    lot made make may maybe me might mine more most much must mustn't my myself neither no nor not now of off oh ok
    okay on once one only onto or other our ours ourselves out over own perhaps please put quite really right s said
    same say says she she'd she'll she's should shouldn't since so some something still such t take tell than that
    that's the their theirs them themselves then there there's these they they'd they'll they're they've thing things
    this those though through to too under until up upon us very was wasn't we we'd we'll we're we've well went were
    weren't what what's when when's where where's whether which while who who'd who'll who's whom whose why why's will
    with within without won't would wouldn't yeah yes yet you you'd you'll you're you've your yours yourself
    """.split()
)

MONTHS = "january february march april may june july august september october november december".split()
CALENDAR_WORDS = frozenset(
    [*MONTHS, *"monday tuesday wednesday thursday friday saturday sunday today tomorrow yesterday".split()]
)

_SUFFIXES = ("ingly", "edly", "ing", "ies", "ied", "ed", "es", "ly", "s")


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """A lower-case word without its commonest endings: enough to match walked with walking."""
    word = word.lower().replace("’", "'").removesuffix("'s")
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            root = word[: -len(suffix)]
            if suffix in ("ies", "ied"):
                return root + "y"
            return root[:-1] if len(root) > 3 and root[-1] == root[-2] and root[-1] not in "ls" else root
    return word.removesuffix("e") if len(word) > 4 else word


def words(text: str) -> list[str]:
    """The words of ``text`` in order, as written."""
    return WORD.findall(text)


def content_words(text: str) -> list[str]:
    """Stems of the words that carry meaning, in order."""
    return [stem(w) for w in words(text) if w.lower().replace("’", "'") not in FUNCTION_WORDS]


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
    return NUMBER.findall(text)


def calendar_words(text: str) -> list[str]:
    """Months, week days and days such as ``yesterday``; "may" and "march" only with a capital."""
    return [w for w in words(text) if w.lower() in CALENDAR_WORDS and (w[0].isupper() or w not in ("may", "march"))]


def sentences(text: str) -> list[str]:
    """``text`` cut after its sentences; the cut is a guess, good enough to check a claim at a time."""
    return [part for part in SENTENCE_END.split(text) if part.strip()]
