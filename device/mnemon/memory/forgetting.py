"""Forgetting for real: a memory goes with everything that rests on it, and does not come back.

What rests on a message: the facts taken from it, their vectors and index rows, the profile lines that rest on
those facts, the copies of it that were put before later questions, the answers that repeat it, and a title made
from it. What is left is a tombstone, a keyed hash from which nothing can be read back, so that neither an import
nor taking facts again from another message brings the same words back.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mnemon.errors import InputError, NotFoundError
from mnemon.memory.records import to_ms
from mnemon.memory.store import Store
from mnemon.words import content

FORGOTTEN_ANSWER = "(forgotten)"
"""What stands in place of an answer that repeated something forgotten."""
_ID = re.compile(r"([mf])([1-9]\d{0,17})")


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What went.

    Attributes:
        messages: Numbers of the messages removed.
        facts: Numbers of the facts removed, those taken from the messages included.
        profile_lines: Numbers of the profile lines removed.
        answers: Numbers of Mnemon's answers whose words were taken out because they repeated it.
        conversations: Numbers of the conversations removed whole.
    """

    messages: tuple[int, ...] = ()
    facts: tuple[int, ...] = ()
    profile_lines: tuple[int, ...] = ()
    answers: tuple[int, ...] = ()
    conversations: tuple[int, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """All removed memories as people name them: ``m12``, ``f3``."""
        return (*(f"m{id}" for id in self.messages), *(f"f{id}" for id in self.facts))


@dataclass(slots=True)
class _Doomed:
    messages: dict[int, str] = field(default_factory=dict)
    facts: dict[int, str] = field(default_factory=dict)

    @property
    def ids(self) -> set[str]:
        return {f"m{id}" for id in self.messages} | {f"f{id}" for id in self.facts}

    @property
    def texts(self) -> list[str]:
        return [text for text in (*self.messages.values(), *self.facts.values()) if text.strip()]


class Forgetting:
    """Removes memories from a store. The matrix in memory is the caller's (:class:`~mnemon.memory.memory.Memory`)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._secret: bytes | None = None

    def forget(self, ids: Sequence[str]) -> Forgotten:
        """Remove these memories and what rests on them, all or nothing.

        Raises:
            NotFoundError: One of them does not exist; then nothing is forgotten.
            InputError: Something that is not an id.
        """
        with self._store.transaction():
            doomed = self._doomed(ids)
            forgotten = self._remove(doomed)
        self._store.scrub()
        return forgotten

    def forget_conversation(self, id: int) -> Forgotten:
        """Remove a whole conversation.

        Raises:
            NotFoundError: There is none with that number.
        """
        with self._store.transaction():
            if not self._store.tuples("SELECT 1 FROM conversations WHERE id = ?", (id,)):
                raise NotFoundError(f"There is no conversation {id}.", hint="The list of them shows the numbers.")
            rows = self._store.tuples("SELECT id, role FROM messages WHERE conversation_id = ?", (id,))
            doomed = self._doomed([f"m{row[0]}" for row in rows])
            forgotten = self._remove(doomed, buried={row[0] for row in rows if row[1] != "assistant"})
            self._store.execute("DELETE FROM conversations WHERE id = ?", (id,))
        self._store.scrub()
        return Forgotten(
            forgotten.messages, forgotten.facts, forgotten.profile_lines, forgotten.answers, conversations=(id,)
        )

    def forget_everything(self) -> Forgotten:
        """Remove every conversation, fact and profile line. No tombstones: the owner may start anew with anything."""
        with self._store.transaction():
            messages, facts, lines, conversations = (
                tuple(int(row[0]) for row in self._store.tuples(f"SELECT id FROM {table} ORDER BY id"))
                for table in ("messages", "facts", "profile_lines", "conversations")
            )
            for table in ("profile_lines", "facts", "messages", "conversations", "vectors", "tombstones"):
                self._store.execute(f"DELETE FROM {table}")
        self._store.scrub()
        return Forgotten(messages, facts, lines, conversations=conversations)

    def is_forgotten(self, text: str, *, said_at: datetime | None = None) -> bool:
        """Was this text forgotten?

        Args:
            text: A message's or a fact's; case, spacing and punctuation do not matter.
            said_at: When it was said. What is told anew after the forgetting is not forgotten.
        """
        rows = self._store.tuples("SELECT forgotten_at FROM tombstones WHERE digest = ?", (self._digest(text),))
        return bool(rows) and (said_at is None or to_ms(said_at) <= rows[0][0])

    def adopt_key(self, key: bytes) -> None:
        """Take over the key of another memory's tombstones (32 bytes). Only for a memory without any of its own."""
        with self._store.transaction():
            self._store.secret("tombstones")
            self._store.execute("UPDATE secrets SET value = ? WHERE name = 'tombstones'", (key,))
            self._secret = None

    def _doomed(self, ids: Sequence[str]) -> _Doomed:
        doomed = _Doomed()
        for name in ids:
            match = _ID.fullmatch(name.strip().lower())
            if match is None:
                raise InputError(f"{name!r} is not the id of a memory.", hint="Ids look like m12 or f3.")
            kind, number = match[1], int(match[2])
            table, into = ("messages", doomed.messages) if kind == "m" else ("facts", doomed.facts)
            rows = self._store.tuples(f"SELECT text FROM {table} WHERE id = ?", (number,))
            if not rows:
                raise NotFoundError(f"There is no memory {name}.", hint="mnemon memory search shows what there is.")
            into[number] = rows[0][0]
        for id, text in self._among("SELECT id, text FROM facts WHERE source_id", doomed.messages):
            doomed.facts[id] = text
        return doomed

    def _remove(self, doomed: _Doomed, *, buried: Collection[int] | None = None) -> Forgotten:
        lines = [
            int(row[0])
            for row in self._among("SELECT DISTINCT line_id FROM profile_sources WHERE fact_id", doomed.facts)
        ]
        answers = self._clean_copies(doomed)
        self._clean_titles(doomed)
        now = to_ms(datetime.now(UTC))
        keep = doomed.messages if buried is None else buried
        texts = [*(doomed.messages[id] for id in keep), *doomed.facts.values(), *answers.values()]
        self._store.execute_many(
            "INSERT INTO tombstones (digest, forgotten_at) VALUES (?, ?)"
            " ON CONFLICT (digest) DO UPDATE SET forgotten_at = excluded.forgotten_at",
            [(self._digest(text), now) for text in texts if text.strip()],
        )
        self._delete("profile_lines", "id", lines)
        for kind, ids in (("fact", doomed.facts), ("message", (*doomed.messages, *answers))):
            self._store.execute_many("DELETE FROM vectors WHERE kind = ? AND ref = ?", [(kind, id) for id in ids])
        for id in sorted(doomed.messages, reverse=True):  # leaves first, so that a whole chain closes up
            self._store.execute(
                "UPDATE messages SET parent_id = (SELECT parent_id FROM messages WHERE id = ?1) WHERE parent_id = ?1",
                (id,),
            )
            self._store.execute(
                "UPDATE conversations SET leaf_id = (SELECT parent_id FROM messages WHERE id = ?1)"
                " WHERE leaf_id = ?1",
                (id,),
            )
        self._delete("facts", "id", doomed.facts)
        self._delete("messages", "id", doomed.messages)
        return Forgotten(
            tuple(sorted(doomed.messages)), tuple(sorted(doomed.facts)), tuple(sorted(lines)), tuple(sorted(answers))
        )

    def _clean_copies(self, doomed: _Doomed) -> dict[int, str]:
        """Take it out of later prompts, and out of answers that had it before them and repeat it.

        Returns:
            The words those answers had, by the number of the message.
        """
        ids, texts = doomed.ids, doomed.texts
        telling = [content(text) for text in texts]
        cleaned = dict[int, str]()
        rows = self._store.tuples(
            "SELECT m.id, m.role, m.text, m.context, m.recalled, m.parent_id, coalesce(q.text, '') FROM messages AS m"
            " LEFT JOIN messages AS q ON q.id = m.parent_id"
            " WHERE m.context != '' OR m.recalled != '[]' OR m.role = 'assistant'"
        )
        for id, role, text, context, recalled_json, parent, question in rows:
            if id in doomed.messages:
                continue
            recalled = json.loads(recalled_json)
            given = bool(ids & set(recalled))
            if given:
                kept = json.dumps([name for name in recalled if name not in ids])
                self._store.execute("UPDATE messages SET recalled = ? WHERE id = ?", (kept, id))
            if context and any(copy in context for copy in texts):
                self._store.execute("UPDATE messages SET context = '' WHERE id = ?", (id,))
            if role != "assistant" or text == FORGOTTEN_ANSWER:
                continue
            said = content(text) - (set() if parent in doomed.messages else content(question))
            close = given or parent in doomed.messages
            if any(copy in text for copy in texts) or (close and any(said & words for words in telling)):
                self._store.execute("UPDATE messages SET text = ? WHERE id = ?", (FORGOTTEN_ANSWER, id))
                cleaned[int(id)] = text
        return cleaned

    def _clean_titles(self, doomed: _Doomed) -> None:
        """A title made from the forgotten words goes with them."""
        for id, title in self._store.tuples("SELECT id, title FROM conversations WHERE title != ''"):
            words = content(title)
            if words and any(words <= content(text) for text in doomed.texts):
                self._store.execute("UPDATE conversations SET title = '' WHERE id = ?", (id,))

    def _among(self, sql: str, ids: Iterable[int]) -> list[tuple[Any, ...]]:
        return self._store.tuples(f"{sql} IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),))

    def _delete(self, table: str, column: str, ids: Iterable[int]) -> None:
        self._store.execute(
            f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),)
        )

    def _digest(self, text: str) -> bytes:
        if self._secret is None:
            self._secret = self._store.secret("tombstones")
        plain = " ".join(re.findall(r"\w+", text.casefold())) or text.strip()  # "🙂" is not every text without words
        return hmac.digest(self._secret, plain.encode(), "sha256")
