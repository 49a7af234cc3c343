"""In plain words: how the answers an owner wants differ from those they were given.

Counted, never guessed by a model: length, lists, marks, spelling out, units, the way answers begin and end, and words
that stand in the wanted ones far more often. This is what the examples show, not what a lesson made of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from mnemon import words
from mnemon.learning.examples import Example

LEAST = 4
"""With fewer pairs nothing is said: a habit shows in several answers."""
_OFTEN = 0.5
"""A habit is in at least this share of the wanted answers, and"""
_MORE = 0.3
"""in so much larger a share of them than of those that were given."""
_SHARED_ENDS = 0.2
"""The share of wanted answers that begin or end alike before that is worth naming."""
_CUSTOM_WORDS = 6
_WORDS_NAMED = 5

_LIST = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s", re.MULTILINE)
_CONTRACTION = re.compile(r"\w['’](?:s|t|re|ve|ll|d|m)\b", re.IGNORECASE)
_METRIC = re.compile(
    r"\d\s*(?:km|kilomet\w+|met(?:re|er)s?|cm|centimet\w+|kg|kilograms?|grams?|g|ml|millilit\w+|lit(?:re|er)s?|°C"
    r"|degrees Celsius|celsius)\b",
    re.IGNORECASE,
)
_HABITS: tuple[tuple[str, str, Callable[[str], bool]], ...] = (
    ("lists instead of running text", "running text instead of lists", lambda text: bool(_LIST.search(text))),
    ("exclamation marks", "no exclamation marks", lambda text: "!" in text),
    ("short forms such as it's", "words in full, no short forms", lambda text: bool(_CONTRACTION.search(text))),
    ("metric units", "no metric units", lambda text: bool(_METRIC.search(text))),
    ("a question at the end", "no question at the end", lambda text: text.rstrip().endswith("?")),
)


def describe(examples: Iterable[Example]) -> list[str]:
    """What the examples with a wanted and a given answer show, each in a few words; empty when that is nothing."""
    pairs = [(one.chosen, one.rejected) for one in examples if one.chosen and one.rejected]
    if len(pairs) < LEAST:
        return []
    wanted, given = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found = [_length(wanted, given), *_habits(wanted, given)]
    found += [_alike("beginning with", wanted, given, _beginning), _alike("ending with", wanted, given, _ending)]
    found.append(_vocabulary(wanted, given, " ".join(found)))
    return [line for line in found if line]


def _length(wanted: Sequence[str], given: Sequence[str]) -> str:
    new, old = (sum(len(text.split()) for text in texts) / len(texts) for texts in (wanted, given))
    if abs(new - old) < 2 or 0.8 < new / max(old, 1) < 1.25:
        return ""
    return f"{'shorter' if new < old else 'longer'} answers: about {new:.0f} words instead of {old:.0f}"


def _habits(wanted: Sequence[str], given: Sequence[str]) -> list[str]:
    found = []
    for more, less, has in _HABITS:
        new, old = _share(wanted, has), _share(given, has)
        if new >= _OFTEN and new - old >= _MORE:
            found.append(more)
        elif 1 - new >= _OFTEN and old - new >= _MORE:
            found.append(less)
    return found


def _alike(what: str, wanted: Sequence[str], given: Sequence[str], end: Callable[[str], str]) -> str:
    ends = Counter(end(text) for text in wanted)
    before = Counter(end(text) for text in given)
    often = [
        text
        for text, count in ends.most_common(3)
        if text and count >= 2 and count / len(wanted) - before[text] / len(given) >= _SHARED_ENDS
    ]
    return f"{what} {' or '.join(f'“{text}”' for text in often)}" if often else ""


def _beginning(text: str) -> str:
    """The first sentence when it is a short one, else nothing: a custom, not the answer itself."""
    first = (words.sentences(text) or [""])[0].strip()
    return first if len(first.split()) <= _CUSTOM_WORDS and not _LIST.match(first) else ""


def _ending(text: str) -> str:
    sentences = words.sentences(text)
    return sentences[-1].strip() if len(sentences) > 1 and not _LIST.match(sentences[-1]) else ""


def _vocabulary(wanted: Sequence[str], given: Sequence[str], said: str) -> str:
    """Words that are new, but for those ``said`` names already."""
    known = {*words.plain_words(said), *words.STOP_WORDS}
    new, old = (Counter(word for text in texts for word in set(words.plain_words(text))) for texts in (wanted, given))
    least = max(2, 0.1 * len(wanted))
    telling = [
        word
        for word, count in new.most_common()
        if count >= least and count >= 3 * (old[word] + 1) and word not in known and not word.isdigit()
    ]
    named = list(islice(telling, _WORDS_NAMED))
    return f"words such as {', '.join(named)}" if named else ""


def _share(texts: Sequence[str], has: Callable[[str], bool]) -> float:
    return sum(map(has, texts)) / len(texts)
