"""Conversations as trees of messages. Words once said never change; a shown branch is a path through the tree."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from mnemon.clock import Clock, utc_now
from mnemon.errors import InputError, NotFoundError
from mnemon.memory.records import Conversation, Message, MessageRole, MessageStatus, from_ms, to_ms
from mnemon.memory.store import Store


class _Leaf:
    """The type of :data:`LEAF`."""


LEAF: Final = _Leaf()
"""As a parent: whatever the last message of the shown branch is."""

_MESSAGE = (
    "SELECT id, conversation_id, parent_id, role, speaker, text, said_at, status, model, route, ref, context,"
    " recalled FROM messages"
)
# A conversation without a name is called by how it began, read anew each time: a copy would outlive forgetting.
_CONVERSATION = (
    "SELECT id, coalesce(nullif(title, ''), (SELECT substr(trim(text), 1, 120) FROM messages WHERE conversation_id ="
    " conversations.id AND role <> 'assistant' ORDER BY id LIMIT 1), '') AS title, created_at, updated_at, leaf_id,"
    " origin, (SELECT count(*) FROM messages WHERE conversation_id = conversations.id) AS messages FROM conversations"
)


class Messages:
    """What was said, by whom, in which conversation.

    Args:
        store: Where it is kept.
        now: The clock; for tests and imports.
    """

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        self._store = store
        self._now = now

    def start(
        self,
        title: str = "",
        *,
        origin: str = "mnemon",
        origin_ref: str | None = None,
        created_at: datetime | None = None,
    ) -> Conversation:
        """Begin a conversation. ``origin`` says where an imported one comes from, ``origin_ref`` its name there."""
        at = to_ms(created_at or self._now())
        with self._store.transaction():
            cursor = self._store.execute(
                "INSERT INTO conversations (title, created_at, updated_at, origin, origin_ref)"
                " VALUES (?, ?, ?, ?, ?)",
                (title, at, at, origin, origin_ref),
            )
        return Conversation(int(cursor.lastrowid), title, from_ms(at), from_ms(at), None, origin, 0)

    def conversation(self, id: int) -> Conversation:
        """The conversation with that number.

        Raises:
            NotFoundError: There is none.
        """
        rows = self._store.rows(f"{_CONVERSATION} WHERE id = ?", (id,))
        if not rows:
            raise NotFoundError(f"There is no conversation {id}.", hint="The list of them shows the numbers.")
        return _conversation(rows[0])

    def conversations(self, *, matching: str = "", limit: int = 200) -> list[Conversation]:
        """Conversations, the last touched first.

        Args:
            matching: Only those with these words (or beginnings of words) in the title or in one message.
            limit: At most so many.
        """
        where, params = "", []
        words = re.findall(r"\w+", matching)
        if words:
            quoted = " ".join(f'"{word}"*' for word in words)
            where = (
                " WHERE title LIKE ? ESCAPE '\\' OR id IN (SELECT conversation_id FROM messages WHERE id IN"
                " (SELECT rowid FROM message_words WHERE message_words MATCH ?))"
            )
            params = ["%" + re.sub(r"([\\%_])", r"\\\1", matching.strip()) + "%", quoted]
        sql = f"{_CONVERSATION}{where} ORDER BY updated_at DESC, id DESC LIMIT ?"
        return [_conversation(row) for row in self._store.rows(sql, (*params, limit))]

    def find_origin(self, origin: str, origin_ref: str) -> Conversation | None:
        """The conversation that was imported under that name, if it was."""
        rows = self._store.rows(f"{_CONVERSATION} WHERE origin = ? AND origin_ref = ?", (origin, origin_ref))
        return _conversation(rows[0]) if rows else None

    def rename(self, id: int, title: str) -> None:
        """Give a conversation a title."""
        self.conversation(id)
        with self._store.transaction():
            self._store.execute("UPDATE conversations SET title = ? WHERE id = ?", (title, id))

    def add(
        self,
        conversation_id: int,
        role: MessageRole,
        text: str,
        *,
        parent_id: int | _Leaf | None = LEAF,
        speaker: str = "",
        said_at: datetime | None = None,
        status: MessageStatus = "complete",
        model: str = "",
        route: str = "",
        ref: str | None = None,
        context: str = "",
        recalled: Sequence[str] = (),
    ) -> Message:
        """Save a message; it becomes the end of the shown branch.

        Args:
            conversation_id: Where it was said.
            role: ``owner``, ``assistant`` or ``other``.
            text: The words.
            parent_id: The message it follows: by default the end of the shown branch; None begins a new branch.
            speaker: A name, for ``other`` and for imported talks.
            said_at: When; now by default. A naive time is local.
            status: Where its making stands.
            model: Which model said it.
            route: How it was answered.
            ref: Its name where it was imported from.
            context: What was put before it in the prompt.
            recalled: Ids of the memories it was given.

        Raises:
            NotFoundError: No such conversation, or no such parent in it.
        """
        at = to_ms(said_at or self._now())
        with self._store.transaction():
            conversation = self.conversation(conversation_id)
            parent = conversation.leaf_id if isinstance(parent_id, _Leaf) else parent_id
            if parent is not None and self.get(parent).conversation_id != conversation_id:
                raise NotFoundError(f"Message {parent} is not in conversation {conversation_id}.")
            values = (conversation_id, parent, role, speaker, text, at, status, model, route, ref, context)
            cursor = self._store.execute(
                "INSERT INTO messages (conversation_id, parent_id, role, speaker, text, said_at, status, model,"
                " route, ref, context, recalled) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*values, json.dumps(list(recalled))),
            )
            id = int(cursor.lastrowid)
            self._store.execute(
                "UPDATE conversations SET leaf_id = ?, updated_at = max(updated_at, ?) WHERE id = ?",
                (id, at, conversation_id),
            )
            return self.get(id)

    def update(
        self,
        id: int,
        *,
        text: str | None = None,
        status: MessageStatus | None = None,
        model: str | None = None,
        route: str | None = None,
        context: str | None = None,
        recalled: Sequence[str] | None = None,
    ) -> None:
        """Change what is given. Only Mnemon's answers, while they grow, change their text.

        Raises:
            NotFoundError: No such message.
            InputError: The text of somebody else's words.
        """
        changes: dict[str, Any] = {
            name: value
            for name, value in (
                ("text", text),
                ("status", status),
                ("model", model),
                ("route", route),
                ("context", context),
                ("recalled", None if recalled is None else json.dumps(list(recalled))),
            )
            if value is not None
        }
        with self._store.transaction():
            message = self.get(id)
            if text is not None and message.role != "assistant":
                raise InputError("What somebody said is never changed.", hint="Say it anew, or forget it.")
            if changes:
                columns = ", ".join(f"{name} = :{name}" for name in changes)
                self._store.execute(f"UPDATE messages SET {columns} WHERE id = :id", {**changes, "id": id})

    def withdraw(self, id: int) -> None:
        """Remove an answer without words that nothing follows; the version before it, if any, is shown again."""
        with self._store.transaction():
            found = self._store.rows(
                "SELECT conversation_id, parent_id, (SELECT max(s.id) FROM messages AS s WHERE s.parent_id ="
                " m.parent_id AND s.id < m.id) AS before FROM messages AS m WHERE id = ? AND role = 'assistant' AND"
                " text = '' AND NOT EXISTS (SELECT 1 FROM messages WHERE parent_id = m.id)",
                (id,),
            )
            if found:
                row = found[0]
                self._store.execute(
                    "UPDATE conversations SET leaf_id = ? WHERE leaf_id = ?", (row["before"] or row["parent_id"], id)
                )
                self._store.execute("DELETE FROM messages WHERE id = ?", (id,))
                if row["before"]:
                    self.show(row["before"])

    def get(self, id: int) -> Message:
        """The message with that number.

        Raises:
            NotFoundError: There is none (any more).
        """
        rows = self._store.rows(f"{_MESSAGE} WHERE id = ?", (id,))
        if not rows:
            raise NotFoundError(f"There is no message m{id}.", hint="mnemon memory list shows what there is.")
        return _message(rows[0])

    def many(self, ids: Collection[int]) -> dict[int, Message]:
        """The messages with those numbers that exist, by number."""
        rows = self._store.rows(f"{_MESSAGE} WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),))
        return {row["id"]: _message(row) for row in rows}

    def branch(self, conversation_id: int) -> list[Message]:
        """The shown branch, oldest message first."""
        leaf = self.conversation(conversation_id).leaf_id
        return [] if leaf is None else self._upwards(leaf)

    def siblings(self, id: int) -> list[Message]:
        """The message and its alternatives (regenerated answers, edited questions), oldest first."""
        rows = self._store.rows(
            f"{_MESSAGE} WHERE conversation_id = (SELECT conversation_id FROM messages WHERE id = :id)"
            " AND parent_id IS (SELECT parent_id FROM messages WHERE id = :id) ORDER BY id",
            {"id": id},
        )
        if not rows:
            self.get(id)
        return [_message(row) for row in rows]

    def show(self, id: int) -> None:
        """Make the branch through this message the shown one, down to its newest end."""
        with self._store.transaction():
            message = self.get(id)
            self._store.execute(
                "WITH RECURSIVE below (id) AS (SELECT ? UNION ALL SELECT messages.id FROM messages, below"
                " WHERE messages.parent_id = below.id)"
                " UPDATE conversations SET leaf_id = (SELECT max(id) FROM below) WHERE id = ?",
                (id, message.conversation_id),
            )

    def around(self, id: int, before: int, after: int) -> list[Message]:
        """The message with up to ``before`` and ``after`` neighbours of its branch, oldest first."""
        self.get(id)
        earlier = self._upwards(id, before)
        later = self._store.rows(
            "WITH RECURSIVE below (id, depth) AS (SELECT ?, 0 UNION ALL"
            " SELECT (SELECT max(id) FROM messages WHERE parent_id = below.id), depth + 1 FROM below"
            " WHERE below.id IS NOT NULL AND depth < ?)"
            f" {_MESSAGE} WHERE id IN (SELECT id FROM below WHERE depth > 0) ORDER BY id",
            (id, after),
        )
        return earlier + [_message(row) for row in later]

    def pending_extraction(self, limit: int = -1) -> list[Message]:
        """The owner's messages from which facts have still to be taken, oldest first; all of them by default."""
        rows = self._store.rows(
            f"{_MESSAGE} WHERE extracted_at IS NULL AND role = 'owner' ORDER BY id LIMIT ?", (limit,)
        )
        return [_message(row) for row in rows]

    def awaits_extraction(self, id: int) -> bool:
        """Whether facts have still to be taken from this message."""
        return bool(self._store.tuples("SELECT 1 FROM messages WHERE id = ? AND extracted_at IS NULL", (id,)))

    def mark_extracted(self, id: int) -> None:
        """Facts were taken from it, or there were none."""
        with self._store.transaction():
            self._store.execute("UPDATE messages SET extracted_at = ? WHERE id = ?", (to_ms(self._now()), id))

    def recover(self) -> int:
        """After a crash: answers that were still growing are marked as stopped. Returns how many."""
        with self._store.transaction():
            cursor = self._store.execute("UPDATE messages SET status = 'stopped' WHERE status = 'generating'")
        return int(cursor.rowcount)

    def _upwards(self, id: int, before: int = 1 << 30) -> list[Message]:
        rows = self._store.rows(
            "WITH RECURSIVE above (id, depth) AS (SELECT ?, 0 UNION ALL SELECT messages.parent_id, depth + 1"
            " FROM messages, above WHERE messages.id = above.id AND messages.parent_id IS NOT NULL AND depth < ?)"
            f" {_MESSAGE} WHERE id IN (SELECT id FROM above) ORDER BY id",
            (id, before),
        )
        return [_message(row) for row in rows]


def _conversation(row: dict[str, Any]) -> Conversation:
    return Conversation(
        id=row["id"],
        title=row["title"],
        created_at=from_ms(row["created_at"]),
        updated_at=from_ms(row["updated_at"]),
        leaf_id=row["leaf_id"],
        origin=row["origin"],
        messages=row["messages"],
    )


def _message(row: dict[str, Any]) -> Message:
    recalled = tuple(json.loads(row["recalled"]))
    return Message(**{**row, "said_at": from_ms(row["said_at"]), "recalled": recalled})
