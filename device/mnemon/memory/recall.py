"""Finding what bears on a question: meaning and words, of a message and of what was said around it.

A message is scored by

- the cosine of its embedding with the question's, and the same of its neighbours in the talk: "By the lake." is
  found because the question before it was "Where do you live?";
- BM25 of the question's words, neighbours included, squashed by ``x / (best + 15)``: where the best match is a
  single ordinary word, words count little against meaning; where it is a name and a rare noun, they decide;
- the facts taken from it, which are keys of their own that lead to their message;
- who speaks: whoever the question names, or the owner when it says "my".
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from mnemon.memory.index import ASSISTANT, OWNER, Index, Kind, Rows
from mnemon.memory.phrasing import speaks_of_owner, telling_words, without_words
from mnemon.memory.records import Fact, Message, Recalled, Source
from mnemon.words import plain_words

if TYPE_CHECKING:
    from mnemon.memory.embedding import Embedder
    from mnemon.memory.facts import Facts
    from mnemon.memory.messages import Messages

# Chosen on the structure, in round figures, and left alone since: 0.2 more or less of any of them moves recall@10
# on LoCoMo by under one point.
_MEANING = 6.0
_UNRELATED = 0.1  # the cosine of two sentences that have nothing to do with each other
_WORDS = 10.0
_ENOUGH_WORDS = 15.0  # a summed BM25 of 15 is three rare words: good evidence
_BEFORE, _BEFORE_QUESTION, _AFTER, _TWO_AWAY = 0.3, 0.8, 0.2, 0.2
_SPEAKER = 0.8
_ASKING = 0.3
_ENDED = 2.0
_BLOCK = 64


_NOT_WORDS = re.compile(r"\W+")


@dataclass(slots=True)
class _Scored:
    """Scores of every row of one kind."""

    total: np.ndarray
    cosine: np.ndarray
    overlap: np.ndarray


class Recall:
    """Searches an index and gives back memories with their sources.

    Args:
        index: What to look through.
        embedder: Turns the question into a vector.
        messages: Where the words are.
        facts: What was taken from them.
    """

    def __init__(self, index: Index, embedder: Embedder, messages: Messages, facts: Facts) -> None:
        self._index = index
        self._embedder = embedder
        self._messages = messages
        self._facts = facts

    def find(
        self,
        question: str,
        *,
        limit: int,
        exclude: Collection[str] = (),
        at: datetime | None = None,
        within: int | None = None,
        everything: bool = False,
    ) -> list[Recalled]:
        """The memories that bear on ``question``, best first.

        Args:
            question: Words of the owner's.
            limit: At most so many.
            exclude: Ids not wanted.
            at: The moment facts are judged by; now by default.
            within: Only what was said in this conversation.
            everything: Also Mnemon's own answers and the owner's questions.
        """
        if limit <= 0 or not question.strip():
            return []
        with self._index.lock:
            messages, facts = self._index.rows("message"), self._index.rows("fact")
            # People seldom say their own names: with its name a question is near to turns that greet that person.
            meaning = self._embedder.embed_one(without_words(question, self._named(question)))
            of_messages = self._score("message", messages, question, meaning)
            of_facts = self._score("fact", facts, question, meaning)
            if not everything:
                of_messages.total[(messages.role == ASSISTANT) | ((messages.role == OWNER) & messages.asks)] = -np.inf
            if within is not None:
                of_messages.total[messages.conversation != within] = -np.inf
                of_facts.total[:] = -np.inf  # they still count for the messages they were taken from
            wanted = limit * 2 + 10 + len(exclude)
            best = _refined(messages, of_messages, meaning, _best(of_messages.total, wanted))
            best_facts = _refined(facts, of_facts, meaning, _best(of_facts.total, wanted))
            found = self._messages.many(best)
            keys = {fact.id: fact for fact in self._facts_by_id(best_facts)}
            missing = {f.source_id for f in keys.values() if f.source_id is not None} - set(found)
            found.update(self._messages.many(missing))
            taken = self._facts.of_messages(found)
            moment = at or datetime.now(UTC)
            recalled = [
                self._message(message, taken.get(id, []), moment, messages, of_messages, facts, of_facts)
                for id, message in found.items()
            ]
            recalled += [
                self._fact(fact, moment, facts.position(fact.id), of_facts)
                for fact in keys.values()
                if fact.source_id is None
            ]
        unwanted = set(exclude)
        ordered = sorted(recalled, key=lambda r: (-r.score, -int(r.id[1:])))
        return _without_repeats([r for r in ordered if r.id not in unwanted and math.isfinite(r.score)])[:limit]

    def _score(self, kind: Kind, rows: Rows, question: str, meaning: np.ndarray) -> _Scored:
        count = len(rows)
        if not count:
            nothing = np.zeros(0, np.float32)
            return _Scored(nothing, nothing, nothing)
        cosine = rows.vectors.cosines(meaning)
        names = self._named(question)
        lexical = np.zeros(count, np.float32)
        overlap = np.zeros(count, np.float32)
        rarity = 0.0
        usual = max(1.0, float(rows.length.mean()))
        for word in telling_words(question):
            if word in names:
                continue  # in a talk, a name is mostly said by the other one: "Hey Anna!"
            positions = self._index.postings(kind, word)
            if positions is None:
                continue
            idf = math.log(1 + (count - len(positions) + 0.5) / (len(positions) + 0.5))
            rarity += idf
            # Messages are short: a word counts once, which is what makes postings without frequencies enough.
            lexical[positions] += idf * 2.2 / (1.3 + 0.9 * rows.length[positions] / usual)
            overlap[positions] += idf
        if kind == "message":
            dense, lexical = _with_neighbours(rows, cosine - np.float32(_UNRELATED)), _with_neighbours(rows, lexical)
        else:
            dense = cosine - np.float32(_UNRELATED)
        total = dense * np.float32(_MEANING)
        lexical *= np.float32(_WORDS / (float(lexical.max()) + _ENOUGH_WORDS))
        total += lexical
        if kind == "message" and len(names) == 1:
            total += np.float32(_SPEAKER) * np.isin(rows.speaker, self._speakers(names))
        elif speaks_of_owner(question):
            total += np.float32(_SPEAKER) * (rows.role == OWNER)
        if kind == "message":
            total -= np.float32(_ASKING) * rows.ends_asking
        np.copyto(total, -np.inf, where=~rows.live)
        return _Scored(total, cosine, overlap / rarity if rarity else overlap)

    def _named(self, question: str) -> set[str]:
        """The words of the question that name somebody who speaks in memory."""
        asked = set(plain_words(question))
        return {part for name in self._index.speakers for part in plain_words(name) if part in asked}

    def _speakers(self, names: set[str]) -> list[int]:
        return [i for i, name in enumerate(self._index.speakers) if names & set(plain_words(name))]

    def _facts_by_id(self, ids: list[int]) -> list[Fact]:
        from mnemon.errors import NotFoundError

        found = []
        for id in ids:
            try:
                found.append(self._facts.get(id))
            except NotFoundError:
                continue  # another process forgot it this moment
        return found

    def _message(
        self,
        message: Message,
        facts: list[Fact],
        moment: datetime,
        rows: Rows,
        scored: _Scored,
        fact_rows: Rows,
        fact_scored: _Scored,
    ) -> Recalled:
        place = rows.position(message.id)
        score = float(scored.total[place]) if place >= 0 else -math.inf
        cosine = float(scored.cosine[place]) if place >= 0 else 0.0
        overlap = float(scored.overlap[place]) if place >= 0 else 0.0
        meant: tuple[float, bool] | None = (
            None  # of several facts, the one closest to the question is what it asks for
        )
        for fact in facts:
            key = fact_rows.position(fact.id)
            if key >= 0:
                score = max(score, float(fact_scored.total[key]))
                cosine = max(cosine, float(fact_scored.cosine[key]))
                holds = _holds(fact, moment)
                meant = max(meant or (-1.0, holds), (float(fact_scored.cosine[key]), holds))
        valid = meant[1] if meant else not facts or any(_holds(fact, moment) for fact in facts)
        return Recalled(
            id=message.memory_id,
            kind="message",
            text=message.text,
            score=score if valid else score - _ENDED,
            cosine=cosine,
            overlap=min(1.0, overlap),
            source=_source(message),
            valid=valid,
            facts=tuple(sorted(facts, key=lambda fact: (fact.valid_from, fact.id), reverse=True)),
        )

    def _fact(self, fact: Fact, moment: datetime, place: int, scored: _Scored) -> Recalled:
        valid = _holds(fact, moment)
        score = float(scored.total[place]) if place >= 0 else -math.inf
        return Recalled(
            id=fact.memory_id,
            kind="fact",
            text=fact.text,
            score=score if valid else score - _ENDED,
            cosine=float(scored.cosine[place]) if place >= 0 else 0.0,
            overlap=min(1.0, float(scored.overlap[place])) if place >= 0 else 0.0,
            source=None,
            valid=valid,
            facts=(fact,),
        )


def _with_neighbours(rows: Rows, scores: np.ndarray) -> np.ndarray:
    """Each score with a share of those around it in the same talk; all of it almost when the one before asked."""
    before, after, two_before, two_after, asked = rows.around()
    padded = np.append(scores, np.float32(0))  # the row after the last is nobody
    result: np.ndarray = padded[two_before]
    result += padded[two_after]
    result *= np.float32(_TWO_AWAY)
    share = asked * np.float32(_BEFORE_QUESTION - _BEFORE) + np.float32(_BEFORE)
    result += share * padded[before]
    result += np.float32(_AFTER) * padded[after]
    result += scores
    return result


def _best(scores: np.ndarray, count: int) -> list[int]:
    if not len(scores):
        return []
    count = min(count, len(scores))
    # The best of all are among the blocks with the best maxima: 0.1 ms for 100,000 scores instead of 1.0.
    blocks = len(scores) // _BLOCK
    places = np.arange(len(scores))
    if blocks > count:
        highest = scores[: blocks * _BLOCK].reshape(blocks, _BLOCK).max(axis=1)
        chosen = np.argpartition(highest, -count)[-count:]
        inside = (chosen[:, None] * _BLOCK + np.arange(_BLOCK)).ravel()
        places = np.concatenate((inside, places[blocks * _BLOCK :]))
    top = places[np.argpartition(scores[places], -count)[-count:]]
    return [int(i) for i in top[np.argsort(-scores[top], kind="stable")] if np.isfinite(scores[i])]


def _refined(rows: Rows, scored: _Scored, meaning: np.ndarray, best: list[int]) -> list[int]:
    """The ids of the best rows, their cosines exact from here on."""
    places = np.array(best, np.int64)
    exact = rows.vectors.exact(places, meaning)
    scored.total[places] += np.float32(_MEANING) * (exact - scored.cosine[places])
    scored.cosine[places] = exact
    return [int(id) for id in rows.ids[places]]


def _holds(fact: Fact, moment: datetime) -> bool:
    return fact.valid_to is None or fact.valid_to > moment


def _without_repeats(found: list[Recalled]) -> list[Recalled]:
    """What was said twice in the same words is recalled once: the better placed, then the newer."""
    seen: set[tuple[str, str]] = set()
    kept = []
    for memory in found:
        speaker = memory.source.speaker if memory.source else ""
        key = (speaker, _NOT_WORDS.sub(" ", memory.text).strip().casefold())
        if key not in seen:
            seen.add(key)
            kept.append(memory)
    return kept


def _source(message: Message) -> Source:
    return Source(
        message_id=message.memory_id,
        conversation_id=message.conversation_id,
        speaker=message.speaker,
        role=message.role,
        said_at=message.said_at,
        text=message.text,
        ref=message.ref,
    )
