"""Finding what bears on a question: by meaning and words, of a message and of what was said around it.

A search looks at every memory cheaply (cosine of its own vector, BM25 of the question's words) and takes a short
list, with what was said before and after each; :mod:`mnemon.memory.ranking` then weighs the short list by all its
keys. The facts taken from a message are keys of their own that lead to it.

Two threads share a search: while one embeds the question (2 ms), the other looks its words up and reads ahead what
they lead to; of many vectors each goes through half.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from mnemon.memory import ranking
from mnemon.memory.events import begins, day_of, relative, seen_from
from mnemon.memory.index import ASSISTANT, OWNER, Index, Kind, Rows
from mnemon.memory.ordering import tellings_first, without_repeats
from mnemon.memory.phrasing import telling_words, without_words
from mnemon.memory.ranking import Asked, Weights
from mnemon.memory.records import Fact, Message, Recalled, Source
from mnemon.memory.shortlist import best, local_day, short_list, surely_on_it
from mnemon.memory.times import AskedTime, Span, asked_time, bears
from mnemon.memory.towards_answers import asks_something, turned
from mnemon.words import plain_words

if TYPE_CHECKING:
    from mnemon.memory.embedding import Embedder
    from mnemon.memory.facts import Facts
    from mnemon.memory.messages import Messages
    from mnemon.memory.passages import Passages

_ENDED = 2.0
# A message surely speaks of an event ("the move") when it says nearly that, or less nearly but in all its words.
_EVENTS, _SURE, _SURE_WITH_WORDS, _ALL_WORDS, _AS_GOOD = 10, 0.45, 0.25, 0.99, 2.0
# Of each kind (nearest by meaning, by words, by both), before what is said around them is added. Reading
# the further keys of all of them is what a search costs most: half as much with 40 as with 120.
_SHORT_LIST, _LONGEST_LIST = 40, 120


@dataclass(slots=True)
class _Scored:
    """Every row's cosine and share of the question's words, and the scores of those at ``places`` (ascending)."""

    places: np.ndarray
    scores: np.ndarray
    cosine: np.ndarray
    overlap: np.ndarray

    def first(self, count: int) -> np.ndarray:
        """The places with the highest scores, the highest first."""
        return np.asarray(self.places[best(self.scores, count)])

    def score(self, place: int) -> float:
        """The score of that place; -inf where it has none."""
        at = int(np.searchsorted(self.places, place))
        return float(self.scores[at]) if at < len(self.places) and self.places[at] == place else -math.inf


class Recall:
    """Searches an index and gives back memories with their sources.

    Args:
        index: What to look through.
        embedder: Turns the question into a vector.
        messages: Where the words are.
        facts: What was taken from them.
        passages: Further keys of messages.
        weights: What each part of a score counts for.
    """

    def __init__(
        self,
        index: Index,
        embedder: Embedder,
        messages: Messages,
        facts: Facts,
        passages: Passages,
        weights: Weights | None = None,
    ) -> None:
        self._index = index
        self._embedder = embedder
        self._messages = messages
        self._facts = facts
        self._passages = passages
        self.weights = weights or Weights()
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="mnemon-recall")
        # The speakers that each word of a name may mean, as far as they were read from the index.
        self._who: dict[str, set[int]] = {}
        self._speakers_read = 0
        self._owner_speaks = False

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
            self._owner_speaks = bool((messages.role == OWNER).any())
            question, time = self._with_time(messages, question, at)
            meaning = self._meaning(question)
            allowed = messages.live.copy()
            if not everything:
                allowed &= (messages.role != ASSISTANT) & ~((messages.role == OWNER) & messages.asks)
            if within is not None:
                allowed &= messages.conversation == within
            asked_of_facts = self._asked("fact", facts, question)
            of_messages = self._score_messages(messages, question, meaning, allowed, limit, time)
            of_facts = self._score_facts(facts, question, asked_of_facts, meaning.result(), shown=within is None)
            wanted = limit * 2 + 10 + len(exclude)
            nearest = messages.ids[of_messages.first(wanted)].tolist()
            best_facts = facts.ids[of_facts.first(wanted)].tolist()
            found = self._messages.many(nearest)
            keys = {fact.id: fact for fact in self._facts_by_id(best_facts)}
            missing = {f.source_id for f in keys.values() if f.source_id is not None} - set(found)
            found.update(self._messages.many(missing))
            # How near it is to the question as it was asked: what an answer rests on is judged by that.
            places = messages.positions(np.array(list(found), np.int64))
            of_messages.cosine[places] = messages.vectors.exact(places, meaning.result())
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
        found_once = without_repeats([r for r in ordered if r.id not in unwanted and math.isfinite(r.score)])
        return tellings_first(found_once, 0.0 if everything else self._weights(question, time).wants, limit)

    def weighed(self, question: str, *, at: datetime | None = None) -> tuple[list[str], np.ndarray]:
        """What the scores of the short list for ``question``, asked ``at`` that moment, are made of, for choosing
        weights.

        Returns:
            The ``ref`` (or the id) of each message, and float32 (n, 12), in the order of ``ranking.FEATURES``.
        """
        with self._index.lock:
            rows = self._index.rows("message")
            self._owner_speaks = bool((rows.role == OWNER).any())
            question, time = self._with_time(rows, question, at)
            meaning = self._looked_for(question, self._meaning(question).result())
            cosine = rows.vectors.cosines(meaning)
            asked = self._asked("message", rows, question)
            words = ranking.squashed(ranking.lexical(rows, asked))
            places = short_list(rows, cosine, words, rows.live, _LONGEST_LIST, time)
            found = self._features(
                rows, places, question, meaning, cosine=cosine, words=words, asked=asked, time=time
            )
            messages = self._messages.many([int(id) for id in rows.ids[places]])
        return [messages[id].ref or messages[id].memory_id for id in rows.ids[places].tolist()], found

    def _meaning(self, question: str) -> Future[np.ndarray]:
        """People seldom say their own names: with its name a question is near to turns that greet that person."""
        return self._beside.submit(self._embedder.embed_one, without_words(question, self._named(question)))

    def _looked_for(self, question: str, meaning: np.ndarray) -> np.ndarray:
        """What to be near to: of a question about what the owner told, what would answer it."""
        share = self._weights(question, None).towards_answer
        return turned(meaning, share) if share and asks_something(question) else meaning

    def _with_time(self, rows: Rows, question: str, at: datetime | None) -> tuple[str, AskedTime | None]:
        """What a question asks and what it says of time; an event it is seen from is taken out, and looked up."""
        if not self.weights.time:
            return question, None
        time = asked_time(question, local_day(at))
        told = None if time and time.spans else relative(question, local_day(at))
        if told is None or self._named(told.asks):  # of a talk between others: the answer is said with the event
            return question, time
        days = self._days_of(rows, told.event)
        if days is None:
            return question, time
        return told.asks, AskedTime((seen_from(days, told.side),), bool(time and time.when))

    def _days_of(self, rows: Rows, event: str) -> Span | None:
        """When an event was, by the message that surely speaks of it; one that names the day goes before others."""
        allowed = rows.live & (rows.role != ASSISTANT) & ~rows.asks
        scored = self._score_messages(rows, event, self._meaning(event), allowed, _EVENTS, None)
        places = {int(rows.ids[place]): int(place) for place in scored.first(_EVENTS)}
        messages = self._messages.many(list(places))
        taken = self._facts.of_messages(messages)
        begun = begins(event)
        sure: list[tuple[bool, bool, float, Span]] = []
        for id, message in messages.items():
            place, said_on = places[id], local_day(message.said_at)
            words = scored.overlap[place] > _ALL_WORDS
            began = words and any(f.subject == "user" and f.attribute in begun for f in taken.get(id, ()))
            if began or scored.cosine[place] >= (_SURE_WITH_WORDS if words else _SURE):
                days = day_of(message.text, said_on)
                sure.append((began, days != (said_on, said_on), scored.score(place), days))
        near = [one for one in sure if one[2] > max(each[2] for each in sure) - _AS_GOOD]
        return max(near, default=(False, False, 0.0, None), key=lambda one: one[:3])[3]

    def _score_messages(
        self,
        rows: Rows,
        question: str,
        coming: Future[np.ndarray],
        allowed: np.ndarray,
        limit: int,
        time: AskedTime | None,
    ) -> _Scored:
        asked = self._asked("message", rows, question)
        overlap = ranking.overlap(len(rows), asked)
        words = ranking.squashed(ranking.lexical(rows, asked))
        count = min(max(_SHORT_LIST, limit * 3), _LONGEST_LIST)
        self._passages.read_ahead(rows.ids[surely_on_it(rows, words, allowed, count)])
        meaning = self._looked_for(question, coming.result())
        cosine = rows.vectors.cosines(meaning, self._beside)
        of_owner = not self._named(question)
        places = short_list(rows, cosine, words, allowed, count, time, of_owner=of_owner)
        found = self._features(rows, places, question, meaning, cosine=cosine, words=words, asked=asked, time=time)
        return _Scored(places, ranking.score(found, self._weights(question, time)), cosine, overlap)

    def _features(
        self,
        rows: Rows,
        places: np.ndarray,
        question: str,
        meaning: np.ndarray,
        *,
        cosine: np.ndarray,
        words: np.ndarray,
        asked: Asked,
        time: AskedTime | None,
    ) -> np.ndarray:
        exact = cosine[places] = rows.vectors.exact(places, meaning)
        return ranking.features(
            rows,
            places,
            cosine=cosine,
            words=words,
            asked=asked,
            keys=self._passages.cosines(rows.ids[places], exact, meaning),
            speaks=self._speaks(rows, places, self._named(question)),
            times=self._times(rows, places, time) if time else 0.0,
        )

    def _times(self, rows: Rows, places: np.ndarray, time: AskedTime) -> np.ndarray:
        found = self._messages.many([int(id) for id in rows.ids[places]])
        said = [found.get(int(id)) for id in rows.ids[places]]
        return np.array(
            [bears(time, each.text, local_day(each.said_at)) if each else 0.0 for each in said], np.float32
        )

    def _score_facts(self, rows: Rows, question: str, asked: Asked, meaning: np.ndarray, *, shown: bool) -> _Scored:
        """Facts stand alone. Those of other conversations still count for the messages they were taken from."""
        cosine = rows.vectors.cosines(meaning, self._beside)
        overlap = ranking.overlap(len(rows), asked)
        weights = self._weights(question, None)
        places = np.flatnonzero(rows.live) if shown else np.zeros(0, np.int64)
        looked_for = self._looked_for(question, meaning)
        near = cosine if looked_for is meaning else rows.vectors.cosines(looked_for, self._beside)
        scores = (weights.sentence + weights.window) * near[places] + weights.coverage * overlap[places]
        if not self._named(question):
            scores += np.float32(weights.speaker)
        return _Scored(places, scores, cosine, overlap)

    def _weights(self, question: str, time: AskedTime | None) -> Weights:
        return ranking.for_question(
            self.weights,
            # Where the owner said nothing, all is talk between others.
            names_a_speaker=bool(self._named(question)) or not self._owner_speaks,
            names_a_time=bool(time and time.spans),
        )

    def _asked(self, kind: Kind, rows: Rows, question: str) -> Asked:
        names = self._named(question)  # in a talk, a name is mostly said by the other one: "Hey Anna!"
        words = [word for word in telling_words(question) if word not in names]
        related = kind == "message" and self.weights.related > 0
        return ranking.look_up(self._index, kind, len(rows), words, related=related)

    def _speaks(self, rows: Rows, places: np.ndarray, names: set[str]) -> np.ndarray:
        if len(names) == 1:
            return np.isin(rows.speaker[places], self._speakers(names))
        if not names:
            return np.asarray(rows.role[places] == OWNER)
        return np.zeros(len(places), bool)

    def _named(self, question: str) -> set[str]:
        """The words of the question that name somebody who speaks in memory."""
        for number in range(self._speakers_read, len(self._index.speakers)):
            for part in plain_words(self._index.speakers[number]):
                self._who.setdefault(part, set()).add(number)
        self._speakers_read = len(self._index.speakers)
        return self._who.keys() & set(plain_words(question))

    def _speakers(self, names: set[str]) -> list[int]:
        return sorted(number for name in names for number in self._who[name])

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
        score = scored.score(place)
        cosine = float(scored.cosine[place]) if place >= 0 else 0.0
        overlap = float(scored.overlap[place]) if place >= 0 else 0.0
        meant: tuple[float, bool] | None = (
            None  # of several facts, the one closest to the question is what it asks for
        )
        for fact in facts:
            key = fact_rows.position(fact.id)
            if key >= 0:
                score = max(score, fact_scored.score(key))
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
        score = scored.score(place)
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


def _holds(fact: Fact, moment: datetime) -> bool:
    return fact.valid_to is None or fact.valid_to > moment


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
