"""How far a message bears on a question: a weighted sum of what its keys, its words and its place in the talk say.

Every part is worked out for a short list only and has one weight in :class:`Weights`; 0 switches it off.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mnemon.memory.index import ASSISTANT, Index, Kind, Rows
from mnemon.memory.related import related_words

_ENOUGH_WORDS = 15.0  # a summed BM25 of 15 is three rare words: good evidence
_WORDS_SCALE = 10.0
_UNRELATED = 0.1  # the cosine of two sentences that have nothing to do with each other
_SHARES = (1.0, 0.6, 0.4, 0.3, 0.3)  # of a word said here, just before, just after, two before, two after
_RELATED_MOST = (
    2_000  # a related word in more memories than that tells nothing, and reading where costs a millisecond
)


@dataclass(frozen=True, slots=True)
class Weights:
    """What each part counts for in a talk of others. Chosen by ``mnemon eval memory --leave-one-out``
    (docs/recall.md); those beside ``time`` from a fit without it, so that a question without any time is ranked as it
    was. What the owner told is weighed by :func:`for_question`.

    Attributes:
        sentence: Cosine of the sentence nearest to the question.
        window: Cosine of the message together with what it replies to.
        question_before: Cosine of the message before, where that one asks.
        after: Cosine of the message after.
        two_away: Cosines of the messages two before and two after.
        words: BM25 of the question's words, in [0, 10): 10 where the best match of all is very good.
        words_question_before: The same of the message before, where that one asks.
        words_two_away: The same of the messages two before and two after.
        coverage: Share in [0, 1] of the question's words, by rarity, said in the message or next to it.
        related: Whether words of nearly the same meaning count for ``coverage`` (1) or not (0).
        speaker: Said by the one the question names, or by the owner where it names nobody who speaks in memory.
        asking: Ends with a question.
        time: Names or was said at the time the question names; for one that asks when, names a time.
        wants: It only wants something done or known; counts where the question names nobody.
        towards_answer: How far the vector of a question about what the owner told is turned towards those of what
            answers it (:mod:`mnemon.memory.towards_answers`), from 0 to 1.
    """

    sentence: float = 3.85
    window: float = 3.62
    question_before: float = 0.4
    after: float = 1.77
    two_away: float = 0.69
    words: float = 0.24
    words_question_before: float = 0.55
    words_two_away: float = 0.27
    coverage: float = 5.17
    related: float = 1.0
    speaker: float = 1.15
    asking: float = -0.61
    time: float = 3.12
    wants: float = -1.2
    towards_answer: float = 1.0


FEATURES = (
    "sentence",
    "window",
    "question_before",
    "after",
    "two_away",
    "words",
    "words_question_before",
    "words_two_away",
    "coverage",
    "speaker",
    "asking",
    "time",
)
"""The parts of the sum, in the order of a feature matrix's columns."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the question, or one that means nearly the same, where it is said.

    Attributes:
        positions: Rows that have it.
        weight: How rare it is, times how much of a match it is.
    """

    positions: np.ndarray
    weight: float


@dataclass(frozen=True, slots=True)
class Asked:
    """The words of a question, looked up.

    Attributes:
        exact: For each word that occurs: where, with its rarity.
        related: For each word of the question those that mean nearly the same.
        rarity: The rarities of all its words summed, words that never occur included.
    """

    exact: tuple[Word | None, ...]
    related: tuple[tuple[Word, ...], ...]
    rarity: float


def look_up(index: Index, kind: Kind, count: int, words: Iterable[str], *, related: bool) -> Asked:
    """Find the words of a question among ``count`` memories of one kind."""
    exact: list[Word | None] = []
    nearly: list[tuple[Word, ...]] = []
    total = 0.0
    for word in words:
        positions = index.postings(kind, word)
        if positions is None:  # everywhere: it tells nothing
            continue
        rarity = math.log(1 + (count - len(positions) + 0.5) / (len(positions) + 0.5))
        total += rarity
        exact.append(Word(positions, rarity) if len(positions) else None)
        found = []
        for other, share in related_words().of(word) if related else ():
            where = index.postings(kind, other, most=_RELATED_MOST)
            if where is not None and len(where):
                own = math.log(1 + (count - len(where) + 0.5) / (len(where) + 0.5))
                found.append(Word(where, share * min(rarity, own)))
        nearly.append(tuple(found))
    return Asked(tuple(exact), tuple(nearly), total)


def lexical(rows: Rows, asked: Asked) -> np.ndarray:
    """BM25 of every row, (n,). Messages are short: a word counts once, so that postings need no frequencies."""
    found = np.zeros(len(rows), np.float32)
    usual = max(1.0, float(rows.length.mean())) if len(rows) else 1.0
    for word in asked.exact:
        if word is not None:
            found[word.positions] += word.weight * 2.2 / (1.3 + 0.9 * rows.length[word.positions] / usual)
    return found


def overlap(count: int, asked: Asked) -> np.ndarray:
    """The share in [0, 1] of the question's words, by rarity, that occur in each of ``count`` memories."""
    found = np.zeros(count, np.float32)
    for word in asked.exact:
        if word is not None:
            found[word.positions] += np.float32(word.weight / asked.rarity)
    return found


def squashed(scores: np.ndarray) -> np.ndarray:
    """BM25 in [0, 10): where the best match is one ordinary word, words count little; rare ones decide."""
    best = float(scores.max()) if len(scores) else 0.0
    return np.asarray(scores * np.float32(_WORDS_SCALE / (best + _ENOUGH_WORDS)), np.float32)


def features(
    rows: Rows,
    places: np.ndarray,
    *,
    cosine: np.ndarray,
    words: np.ndarray,
    asked: Asked,
    keys: tuple[np.ndarray, np.ndarray],
    speaks: np.ndarray,
    times: np.ndarray | float,
) -> np.ndarray:
    """The parts of the sum for some messages.

    Args:
        rows: All messages.
        places: Positions of those wanted, (n,).
        cosine: Of every row with the question, (all,).
        words: Squashed BM25 of every row, (all,).
        asked: The question's words.
        keys: Cosines of each one's best sentence and of it with what it replies to, (n,) each.
        speaks: Whether it is said by whoever the question is about, (n,).
        times: How far the time of each fits the question's, in [0, 1], (n,); 0 for a question without any.

    Returns:
        float32, (n, 12), in the order of :data:`FEATURES`.
    """
    around = _around(rows, places)
    before, after, two_before, two_after = around
    asked_before = _at(rows.ends_asking, before)
    found = np.empty((len(places), len(FEATURES)), np.float32)
    found[:, 0], found[:, 1] = keys
    found[:, 2] = _near(cosine, before) * asked_before
    found[:, 3] = _near(cosine, after)
    found[:, 4] = _near(cosine, two_before) + _near(cosine, two_after)
    found[:, 5] = words[places]
    found[:, 6] = _at(words, before) * asked_before
    found[:, 7] = _at(words, two_before) + _at(words, two_after)
    found[:, 8] = _coverage(len(rows), (places, *around), asked)
    found[:, 9] = speaks
    found[:, 10] = rows.ends_asking[places]
    found[:, 11] = times
    return found


def score(found: np.ndarray, weights: Weights) -> np.ndarray:
    """The weighted sums of :func:`features`, (n,)."""
    return np.asarray(found @ np.array([getattr(weights, name) for name in FEATURES], np.float32))


# What people tell is asked for in other words than it was told in, so that meaning decides and shared words mislead.
# Fitted as the others are, on one telling of each kind of fact in scripts/train_builtin and the forty of
# ``mnemon eval told``, each among 10,000 messages of whole talks (``evaluation.among``); ``coverage`` and ``wants``
# then anew with what was told in passing (scripts/train_recall), by a map that had not seen it.
_OF_OWNER = {
    "sentence": 3.77,
    "window": 3.70,
    "question_before": 0.0,
    "after": 0.0,
    "two_away": 0.0,
    "words": 0.0,
    "words_question_before": 0.0,
    "words_two_away": 0.0,
    "coverage": 0.3,
    "speaker": 3.10,
    "asking": -0.97,
}
_ASKED_WHEN = 0.54  # what ``time`` counts for when a question asks when, but names no time itself


def for_question(weights: Weights, *, names_a_speaker: bool, names_a_time: bool) -> Weights:
    """The weights for a question about somebody in a talk, or about what the owner told.

    A part that is switched off stays off.
    """
    if names_a_speaker:
        return replace(weights, wants=0.0, towards_answer=0.0)
    used = {name: value for name, value in _OF_OWNER.items() if getattr(weights, name)}
    time = weights.time if names_a_time else min(weights.time, _ASKED_WHEN)
    return replace(weights, time=time, **used)


def _around(rows: Rows, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Positions of the messages before, after, two before, two after; -1 where there is none.

    Only a talk between two has neighbours: not what the same person said before, and of Mnemon only what it asks.
    """

    def other(here: np.ndarray, step: np.ndarray, *, earlier: bool) -> np.ndarray:
        there = np.where(here >= 0, step[here], -1)
        same = (rows.role[here] == rows.role[there]) & (rows.speaker[here] == rows.speaker[there])
        mere = rows.role[there] == ASSISTANT
        if earlier:
            mere &= ~rows.ends_asking[there]
        return np.where(same | mere, -1, there)

    before, after = other(places, rows.before, earlier=True), other(places, rows.after, earlier=False)
    return (
        before,
        after,
        other(before, rows.before, earlier=True),
        other(after, rows.after, earlier=False),
    )


def _at(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The values at some places, 0 where there is none."""
    return np.asarray(np.where(places >= 0, values[places], values.dtype.type(0)))


def _near(cosine: np.ndarray, places: np.ndarray) -> np.ndarray:
    """How much nearer than two unrelated sentences, 0 where there is none."""
    return np.asarray(np.where(places >= 0, cosine[places] - np.float32(_UNRELATED), np.float32(0)))


def _coverage(count: int, around: Sequence[np.ndarray], asked: Asked) -> np.ndarray:
    """Of each word the best of where it is said in the message or near it, summed over the question's words."""
    total = np.zeros(len(around[0]), np.float32)
    if not asked.rarity:
        return total
    said = np.zeros(count + 1, np.float32)  # the last one is nobody's: that is where -1 leads
    for word, others in zip(asked.exact, asked.related, strict=True):
        for other in others:
            said[other.positions] = np.maximum(said[other.positions], np.float32(other.weight))
        if word is not None:
            said[word.positions] = word.weight
        best = said[around[0]]
        for places, share in zip(around[1:], _SHARES[1:], strict=True):
            np.maximum(best, said[places] * np.float32(share), out=best)
        total += best
        for used in (*others, *((word,) if word is not None else ())):
            said[used.positions] = 0
    return total / np.float32(asked.rarity)
