"""Forgetting for real: a memory goes with everything that rests on it, and does not come back.

What rests on a message: the facts taken from it, their vectors and index rows, episodes, profile lines, the copies of
it that were put before later questions, the answers that repeat it, and a title made from it
(:mod:`mnemon.memory.traces` finds those). What is left is a tombstone, a keyed hash from which nothing can be read
back, so that neither an import nor taking facts again from another message brings the same words back.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mnemon.errors import InputError, NotFoundError
from mnemon.memory import scrubbing
from mnemon.memory.records import to_ms
from mnemon.memory.store import Store
from mnemon.memory.traces import FORGOTTEN_ANSWER, Traces
from mnemon.words import content

__all__ = ["FORGOTTEN_ANSWER", "Forgetting", "Forgotten", "Line", "Preview"]

_ID = re.compile(r"([mfc])([1-9]\d{0,17})")
_TABLES = {"m": "messages", "f": "facts", "c": "conversations"}


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What went.

    Attributes:
        messages: Numbers of the messages removed.
        facts: Numbers of the facts removed, those taken from the messages included.
        profile_lines: Numbers of the profile lines removed.
        answers: Numbers of Mnemon's answers whose words were taken out because they repeated it.
        conversations: Numbers of the conversations removed whole.
        episodes: Numbers of the episodes removed; they are made anew from what is left.
    """

    messages: tuple[int, ...] = ()
    facts: tuple[int, ...] = ()
    profile_lines: tuple[int, ...] = ()
    answers: tuple[int, ...] = ()
    conversations: tuple[int, ...] = ()
    episodes: tuple[int, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """All removed memories as people name them: ``m12``, ``f3``."""
        return (*(f"m{id}" for id in self.messages), *(f"f{id}" for id in self.facts))


@dataclass(frozen=True, slots=True)
class Line:
    """One thing as a person is shown it: ``m12``, ``f3``, ``c2``, ``p1`` (profile) or ``e4`` (episode)."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What forgetting would do, found by doing it and taking it back.

    Attributes:
        gone: What would go, as :class:`Forgotten` tells it afterwards.
        lines: The same with its words, in the order messages, facts, conversations, episodes, profile.
        answers: Mnemon's answers that would lose their words.
        stays: Messages that would stay though they still say it, or a part of it.
    """

    gone: Forgotten
    lines: tuple[Line, ...]
    answers: tuple[Line, ...]
    stays: tuple[Line, ...] = ()


class _TakenBackError(Exception):
    """Ends the transaction of a preview."""


@dataclass(slots=True)
class _Doomed:
    messages: dict[int, tuple[str, int, str]] = field(default_factory=dict)  # words, when, by whom
    facts: dict[int, tuple[str, str]] = field(default_factory=dict)  # words, value
    conversations: dict[int, str] = field(default_factory=dict)
    whole: set[int] = field(default_factory=set)  # messages that go with their conversation


class Forgetting:
    """Removes memories from a store. The matrix in memory is the caller's (:class:`~mnemon.memory.memory.Memory`)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def forget(self, ids: Sequence[str]) -> Forgotten:
        """Remove these memories and what rests on them, all or nothing.

        Args:
            ids: Messages (``m12``), facts (``f3``) and conversations (``c2``).

        Raises:
            NotFoundError: One of them does not exist; then nothing is forgotten.
            InputError: Something that is not an id.
        """
        self._key()
        with self._store.transaction():
            forgotten = self._remove(self._doomed(ids))[0]
            scrubbing.mark(self._store)
        scrubbing.scrub(self._store)
        return forgotten

    def preview(self, ids: Sequence[str]) -> Preview:
        """What :meth:`forget` would do. It is done in a transaction that is then taken back: nothing changes.

        Raises:
            NotFoundError: One of them does not exist.
            InputError: Something that is not an id.
        """
        self._key()
        found: list[Preview] = []
        try:
            with self._store.transaction():
                doomed = self._doomed(ids)
                episodes = dict[int, str](self._store.tuples("SELECT id, title FROM episodes"))
                profile = dict[int, str](self._store.tuples("SELECT id, text FROM profile_lines"))
                gone, answers, traces = self._remove(doomed)
                lines = [
                    *(Line(f"m{id}", doomed.messages[id][0]) for id in gone.messages),
                    *(Line(f"f{id}", doomed.facts[id][0]) for id in gone.facts),
                    *(Line(f"c{id}", doomed.conversations[id]) for id in gone.conversations),
                    *(Line(f"e{id}", episodes[id]) for id in gone.episodes),
                    *(Line(f"p{id}", profile[id]) for id in gone.profile_lines if profile[id]),
                ]
                kept = tuple(Line(f"m{id}", text) for id, text in traces.still_said())
                found.append(
                    Preview(gone, tuple(lines), tuple(Line(f"m{id}", text) for id, text in answers.items()), kept)
                )
                raise _TakenBackError
        except _TakenBackError:
            return found[0]

    def forget_everything(self) -> Forgotten:
        """Remove every conversation, fact and profile line. No tombstones: the owner may start anew with anything."""
        with self._store.transaction():
            messages, facts, lines, conversations, episodes = (
                tuple(int(row[0]) for row in self._store.tuples(f"SELECT id FROM {table} ORDER BY id"))
                for table in ("messages", "facts", "profile_lines", "conversations", "episodes")
            )
            for table in ("profile_lines", "facts", "messages", "conversations", "vectors", "tombstones"):
                self._store.execute(f"DELETE FROM {table}")
            for table in ("retention_runs", "learning_examples", "learning_lessons"):
                self._store.execute(f"DELETE FROM {table}")
            self._store.execute(
                "INSERT OR REPLACE INTO secrets (name, value) VALUES ('emptied', ?)", (secrets.token_bytes(16),)
            )
            scrubbing.mark(self._store)
        scrubbing.scrub(self._store)
        return Forgotten(messages, facts, lines, conversations=conversations, episodes=episodes)

    def is_forgotten(self, text: str, *, said_at: datetime | None = None) -> bool:
        """Was this text forgotten?

        Args:
            text: A message's or a fact's; case, spacing and punctuation do not matter.
            said_at: When it was said. What is told anew after the forgetting is not forgotten, and a text that tells
                nothing by itself ("No.") only where it was said at that very second.
        """
        digests = [self._digest(text)]
        if said_at is not None:
            digests.append(self._digest(text, to_ms(said_at)))
        rows = self._store.tuples(
            f"SELECT max(forgotten_at) FROM tombstones WHERE digest IN ({', '.join('?' * len(digests))})", digests
        )
        return rows[0][0] is not None and (said_at is None or to_ms(said_at) <= rows[0][0])

    def so_far(self) -> tuple[int, int, bytes]:
        """A value that changes with every forgetting: tombstones, the newest one's time, the last emptying's mark."""
        count, last = self._store.tuples("SELECT count(*), coalesce(max(forgotten_at), 0) FROM tombstones")[0]
        emptied = self._store.tuples("SELECT value FROM secrets WHERE name = 'emptied'")
        return int(count), int(last), bytes(emptied[0][0]) if emptied else b""

    def adopt_key(self, key: bytes) -> None:
        """Take over the key of another memory's tombstones (32 bytes). Only for a memory without any of its own."""
        with self._store.transaction():
            self._store.secret("tombstones")
            self._store.execute("UPDATE secrets SET value = ? WHERE name = 'tombstones'", (key,))

    def _doomed(self, ids: Sequence[str]) -> _Doomed:
        doomed = _Doomed()
        named: dict[str, list[int]] = {"m": [], "f": [], "c": []}
        for name in ids:
            match = _ID.fullmatch(name.strip().lower())
            if match is None:
                raise InputError(f"{name!r} is not the id of a memory.", hint="Ids look like m12, f3 or c2.")
            named[match[1]].append(int(match[2]))
        for kind, numbers in named.items():
            there = {row[0] for row in self._among(f"SELECT id FROM {_TABLES[kind]} WHERE id", numbers)}
            if missing := [number for number in numbers if number not in there]:
                if kind == "c":
                    raise NotFoundError(
                        f"There is no conversation {missing[0]}.", hint="The list of them shows the numbers."
                    )
                raise NotFoundError(
                    f"There is no memory {kind}{missing[0]}.", hint="mnemon memory search shows what there is."
                )
        doomed.conversations.update(self._among("SELECT id, title FROM conversations WHERE id", named["c"]))
        said = "SELECT id, text, said_at, role FROM messages WHERE"
        whole = {row[0]: tuple(row[1:]) for row in self._among(f"{said} conversation_id", named["c"])}
        doomed.whole = {id for id, row in whole.items() if row[2] == "assistant"} - set(named["m"])
        doomed.messages.update(whole)
        doomed.messages.update({row[0]: tuple(row[1:]) for row in self._among(f"{said} id", named["m"])})
        for column, among in (("id", named["f"]), ("source_id", list(doomed.messages))):
            for id, text, value in self._among(f"SELECT id, text, value FROM facts WHERE {column}", among):
                doomed.facts[id] = (text, value)
        return doomed

    def _remove(self, doomed: _Doomed) -> tuple[Forgotten, dict[int, str], Traces]:
        episodes = {row[0] for row in self._store.tuples("SELECT id FROM episodes")}
        traces = Traces(
            self._store,
            messages={id: text for id, (text, _, role) in doomed.messages.items() if role != "assistant"},
            facts=doomed.facts,
            all_messages=doomed.messages,
            conversations=doomed.conversations,
        )
        lines = self._delete_with_profile(doomed.facts)
        self._delete_messages(doomed.messages)
        self._delete("conversations", doomed.conversations)
        asked = traces.questions()
        doomed.messages.update(asked)
        self._delete_messages(asked)
        repeated = traces.facts()
        doomed.facts.update(repeated)
        lines |= self._delete_with_profile(repeated)
        lines |= traces.clean_profile()
        answers = traces.clean_answers()
        traces.clean_rest(answers)
        self._delete_vectors("message", (*doomed.messages, *answers))
        self._bury(doomed, [*answers.values(), *lines.values()])
        left = {row[0] for row in self._store.tuples("SELECT id FROM episodes")}
        gone = Forgotten(
            tuple(sorted(doomed.messages)),
            tuple(sorted(doomed.facts)),
            tuple(sorted(lines)),
            tuple(sorted(answers)),
            tuple(sorted(doomed.conversations)),
            tuple(sorted(episodes - left)),
        )
        return gone, answers, traces

    def _delete_messages(self, ids: Collection[int]) -> None:
        for id in sorted(ids, reverse=True):  # leaves first, so that a whole chain closes up
            for table, column in (("messages", "parent_id"), ("conversations", "leaf_id")):
                self._store.execute(
                    f"UPDATE {table} SET {column} = (SELECT parent_id FROM messages WHERE id = ?1)"
                    f" WHERE {column} = ?1",
                    (id,),
                )
        self._delete("messages", ids)

    def _delete_with_profile(self, facts: Collection[int]) -> dict[int, str]:
        """Remove facts with the profile lines that rest on them; returns those lines' words by their numbers."""
        lines = dict[int, str](
            self._among(
                "SELECT DISTINCT l.id, l.text FROM profile_lines AS l JOIN profile_sources AS s ON s.line_id = l.id"
                " WHERE s.fact_id",
                facts,
            )
        )
        self._delete("profile_lines", lines)
        self._delete("facts", facts)
        self._delete_vectors("fact", facts)
        return lines

    def _bury(self, doomed: _Doomed, copies: Sequence[str]) -> None:
        # Mnemon's own phrases are not banned because a conversation they stood in was forgotten whole.
        digests = [
            self._digest(text, None if _tells(text) else at)
            for id, (text, at, _) in doomed.messages.items()
            if id not in doomed.whole and text.strip()
        ]
        digests += [self._digest(text) for text, _ in doomed.facts.values()]
        digests += [self._digest(text) for text in copies if _tells(text)]
        now = to_ms(datetime.now(UTC))
        self._store.execute_many(
            "INSERT INTO tombstones (digest, forgotten_at) VALUES (?, ?)"
            " ON CONFLICT (digest) DO UPDATE SET forgotten_at = excluded.forgotten_at",
            [(digest, now) for digest in digests],
        )

    def _among(self, sql: str, ids: Collection[int]) -> list[tuple[Any, ...]]:
        return self._store.tuples(f"{sql} IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),))

    def _delete(self, table: str, ids: Collection[int]) -> None:
        self._store.execute(
            f"DELETE FROM {table} WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),)
        )

    def _delete_vectors(self, kind: str, ids: Collection[int]) -> None:
        self._store.execute_many("DELETE FROM vectors WHERE kind = ? AND ref = ?", [(kind, id) for id in ids])

    def _key(self) -> bytes:
        """The tombstones' key, made at first use: before a transaction begins that may be taken back.

        Not kept here: an import may bring another one, in another process, or in one that is taken back.
        """
        return self._store.secret("tombstones")

    def _digest(self, text: str, at: int | None = None) -> bytes:
        plain = " ".join(re.findall(r"\w+", text.casefold())) or text.strip()  # "🙂" is not every text without words
        dated = "" if at is None else f"\0{at // 1000}"
        return hmac.digest(self._key(), (plain + dated).encode(errors="surrogatepass"), "sha256")


def _tells(text: str) -> bool:
    """Whether these words say something by themselves: "No." said once is not every "No." ever said."""
    return len(content(text)) > 1 or any(letter.isdigit() for letter in text)
