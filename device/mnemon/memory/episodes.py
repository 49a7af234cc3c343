"""Episodes: what a talk was about, in a title and a few of its own lines, linked to the messages it rests on.

A talk is what was said in one conversation without a break of three hours. When it is over its most telling lines
are picked, in the words they were said in; a local model may word them better, as long as it says nothing that is
not in them. An episode goes with the first of its messages that is forgotten, and is written anew from the rest.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from mnemon import words
from mnemon.clock import Clock, utc_now
from mnemon.errors import ModelError, NotFoundError
from mnemon.memory.phrasing import is_plain_question
from mnemon.memory.records import Message, from_ms, to_ms
from mnemon.runtime.chat_model import ChatModel, instructed

if TYPE_CHECKING:
    from mnemon.memory.memory import Memory
    from mnemon.memory.store import Store

TALK_GAP = timedelta(hours=3)
MOST_MESSAGES = 40
"""A longer talk becomes several episodes."""
FEWEST_LINES = 2
"""A single line needs no summary."""
MOST_LINES = 3
LINE_CHARACTERS = 160
TITLE_WORDS = 4
GOOD_ENOUGH_PARAMETERS = 300_000_000
"""A smaller model (0: unknown, trusted) words no episodes: it mixes up who and what."""

SYSTEM = "Summarise this talk in one or two sentences. Use only what is said in it."
MAX_TOKENS = 100
MAX_CHARACTERS = 300
_ALIKE = 0.80

EpisodeOrigin = Literal["rule", "model"]


@dataclass(frozen=True, slots=True)
class Episode:
    """What a talk was about.

    Attributes:
        title: Up to four of its own words.
        text: One to three of its lines, or a model's sentences about them.
        message_ids: The messages it rests on, oldest first.
    """

    id: int
    conversation_id: int
    title: str
    text: str
    origin: EpisodeOrigin
    began_at: datetime
    ended_at: datetime
    message_ids: tuple[int, ...] = ()

    @property
    def memory_id(self) -> str:
        """The id people and programs use: ``e3``."""
        return f"e{self.id}"


class Episodes:
    """The episodes of one memory.

    Args:
        store: The encrypted file.
        now: The clock; tests set it.
    """

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        self._store = store
        self._now = now

    def add(
        self, messages: Sequence[Message], title: str, text: str, *, origin: EpisodeOrigin, vector: np.ndarray
    ) -> Episode:
        """Save an episode that rests on ``messages`` of one conversation, with the 384 numbers of its meaning."""
        with self._store.transaction():
            first, last = messages[0], messages[-1]
            times = (to_ms(first.said_at), to_ms(last.said_at), to_ms(self._now()))
            cursor = self._store.execute(
                "INSERT INTO episodes (conversation_id, title, text, origin, began_at, ended_at, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (first.conversation_id, title, text, origin, *times),
            )
            id = int(cursor.lastrowid)
            self._store.execute_many(
                "INSERT INTO episode_messages (episode_id, message_id) VALUES (?, ?)", [(id, m.id) for m in messages]
            )
            self._store.execute(
                "INSERT INTO vectors (kind, ref, vector) VALUES ('episode', ?, ?)",
                (id, vector.astype(np.float16).tobytes()),
            )
            return self.get(id)

    def get(self, id: int) -> Episode:
        """The episode with that number.

        Raises:
            NotFoundError: There is none (any more).
        """
        found = self._read("WHERE id = ?", (id,))
        if not found:
            raise NotFoundError(f"There is no episode e{id}.", hint="Run mnemon memory list --episodes.")
        return found[0]

    def between(
        self, *, since: datetime | None = None, until: datetime | None = None, limit: int = -1
    ) -> list[Episode]:
        """Episodes that began in [since, until), the newest first; all by default."""
        low, high = to_ms(since) if since else 0, to_ms(until) if until else 1 << 60
        return self._read(
            "WHERE began_at >= ? AND began_at < ? ORDER BY began_at DESC, id DESC LIMIT ?", (low, high, limit)
        )

    def resting_on(self, message_ids: Iterable[int]) -> tuple[int, ...]:
        """The numbers of the episodes that rest on any of these messages: forgetting one takes them along."""
        rows = self._store.tuples(
            "SELECT DISTINCT episode_id FROM episode_messages WHERE message_id IN (SELECT value FROM json_each(?))"
            " ORDER BY episode_id",
            (json.dumps([int(id) for id in message_ids]),),
        )
        return tuple(int(row[0]) for row in rows)

    def due(self, limit: int = -1) -> tuple[int, ...]:
        """The conversations in which a talk is over that was not looked at yet, oldest first."""
        rows = self._store.tuples(
            "SELECT id FROM conversations WHERE updated_at < ? AND EXISTS (SELECT 1 FROM messages"
            " WHERE conversation_id = conversations.id AND messages.id > condensed_to) ORDER BY id LIMIT ?",
            (to_ms(self._now() - TALK_GAP), limit),
        )
        return tuple(int(row[0]) for row in rows)

    def looked_at(self, conversation_id: int, last_message_id: int) -> None:
        """Everything up to this message has its episode, or needs none."""
        self._store.execute(
            "UPDATE conversations SET condensed_to = ? WHERE id = ?", (last_message_id, conversation_id)
        )

    def _read(self, where: str, params: tuple[object, ...]) -> list[Episode]:
        rows = self._store.tuples(
            "SELECT id, conversation_id, title, text, origin, began_at, ended_at,"
            " (SELECT json_group_array(message_id) FROM"
            " (SELECT message_id FROM episode_messages WHERE episode_id = id ORDER BY message_id))"
            f" FROM episodes {where}",
            params,
        )
        return [
            Episode(
                row[0], row[1], row[2], row[3], row[4], from_ms(row[5]), from_ms(row[6]), tuple(json.loads(row[7]))
            )
            for row in rows
        ]


def condense(memory: Memory, conversation_id: int, model: ChatModel | None = None) -> list[Episode]:
    """Write an episode for each talk of a conversation that is over and has none. Doing it twice changes nothing."""
    branch = memory.messages.branch(conversation_id)
    made = []
    for talk in talks(branch):
        if talk[-1].said_at + TALK_GAP > memory.now():
            continue
        telling = [m for m in talk if m.role != "assistant" and m.text.strip() and not is_plain_question(m.text)]
        telling = [m for m in telling if len(words.content_words(m.text)) > 1]
        if len(telling) < FEWEST_LINES or memory.episodes.resting_on(m.id for m in telling):
            continue
        meaning = memory.embedder.embed([m.text for m in telling])
        lines = _most_telling(telling, meaning)
        text, origin = _worded(telling, lines, model)
        with memory.store.transaction():
            if memory.holds(*(m.memory_id for m in telling)):  # the model may have taken seconds
                vector = memory.embedder.embed_one(text)
                made.append(memory.episodes.add(telling, _title(telling), text, origin=origin, vector=vector))
    last = memory.store.tuples("SELECT max(id) FROM messages WHERE conversation_id = ?", (conversation_id,))[0][0]
    if last is not None and branch and branch[-1].said_at + TALK_GAP <= memory.now():
        memory.episodes.looked_at(conversation_id, int(last))
    return made


def talks(branch: Sequence[Message]) -> list[list[Message]]:
    """Messages cut where nothing was said for three hours, and after forty."""
    found: list[list[Message]] = [[branch[0]]] if branch else []
    for before, message in pairwise(branch):
        if message.said_at - before.said_at >= TALK_GAP or len(found[-1]) >= MOST_MESSAGES:
            found.append([])
        found[-1].append(message)
    return found


def _most_telling(telling: Sequence[Message], meaning: np.ndarray) -> list[str]:
    """Up to three lines near to what the whole talk is about and not like one another, in their order."""
    centre = meaning.mean(axis=0)
    names = np.array([min(2, len(words.names(m.text)) + len(words.numbers(m.text))) for m in telling], np.float32)
    worth = meaning @ centre + 0.05 * names
    chosen: list[int] = []
    for place in np.argsort(-worth, kind="stable"):
        if all(float(meaning[place] @ meaning[other]) < _ALIKE for other in chosen):
            chosen.append(int(place))
        if len(chosen) == MOST_LINES:
            break
    return [_line(telling[place]) for place in sorted(chosen)]


def _line(message: Message) -> str:
    flat = " ".join(message.text.split())
    cut = flat if len(flat) <= LINE_CHARACTERS else flat[:LINE_CHARACTERS].rsplit(" ", 1)[0] + " …"
    return f"{message.speaker}: {cut}" if message.role == "other" and message.speaker else cut


def _title(telling: Sequence[Message]) -> str:
    """The names said most, then the other words said most; as they were written."""
    names = Counter(name for m in telling for name in dict.fromkeys(words.names(m.text)))
    others = Counter(
        word.lower()
        for m in telling
        for word in dict.fromkeys(words.words(m.text))
        if len(word) > 3 and word.lower() not in words.FUNCTION_WORDS and words.content_words(word)
    )
    known = {name.lower() for name in names}
    title = [name for name, _ in names.most_common(TITLE_WORDS - 1)]
    title += [word for word, _ in others.most_common() if word not in known][: TITLE_WORDS - len(title)]
    return ", ".join(title)


def _worded(telling: Sequence[Message], lines: Sequence[str], model: ChatModel | None) -> tuple[str, EpisodeOrigin]:
    extracted = " ".join(line if line[-1] in ".!?…" else f"{line}." for line in lines)
    if model is None or 0 < model.info.parameters < GOOD_ENOUGH_PARAMETERS:
        return extracted, "rule"
    talk = "\n".join(f"{m.speaker or 'The user'}: {m.text}" for m in telling)
    try:
        text = " ".join(instructed(model, SYSTEM, talk, max_tokens=MAX_TOKENS).split())
    except ModelError:
        return extracted, "rule"
    return (text, "model") if _says_only(text, talk) else (extracted, "rule")


def _says_only(text: str, talk: str) -> bool:
    """Whole, short, and every name, number and meaningful word of it said in the talk."""
    if not text.endswith((".", "!")) or len(text) > MAX_CHARACTERS or not words.content_words(text):
        return False
    said = words.stems(talk)
    numbers = set(words.numbers(talk))
    if any(number not in numbers for number in words.numbers(text)):
        return False
    return all(stem in said or stem in _FRAME for stem in words.content_words(text))


_FRAME = frozenset(words.stem(word) for word in "user users talked talk told about mentioned also they their".split())
