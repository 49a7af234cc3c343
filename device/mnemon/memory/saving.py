"""Conversations into the tables: what is new of them, what was there, and what was forgotten and stays so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import MutableSequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from mnemon.memory.importers import Talk, Turn
from mnemon.memory.records import to_ms

if TYPE_CHECKING:
    from mnemon.memory.memory import Memory


MOST_TOLD = 20


@dataclass(slots=True)
class Imported:
    """What an import added.

    Attributes:
        already_there: Messages and facts that were in memory before.
        forgotten: Messages and facts left out because they were forgotten.
        problems: Entries that cannot be used.
        told: One line for each of the first of those.
    """

    format: str = ""
    conversations: int = 0
    messages: int = 0
    facts: int = 0
    profile_lines: int = 0
    already_there: int = 0
    forgotten: int = 0
    problems: int = 0
    told: list[str] = field(default_factory=list)

    def problem(self, where: str, why: str) -> None:
        """Note what cannot be used; the first twenty are told one by one, the rest counted."""
        self.problems += 1
        if len(self.told) < MOST_TOLD:
            self.told.append(f"{where} {why}")


class Places(Protocol):
    """Where the turns of a conversation went: its message (None: it was forgotten), and where children go on."""

    def get(self, key: str, /) -> tuple[int | None, int | None] | None:
        """Of the turn with that key; None when there was none."""

    def __setitem__(self, key: str, value: tuple[int | None, int | None], /) -> None: ...


class Saver:
    """Puts conversations into the tables, or what is new of them.

    Args:
        memory: Where to.
        done: Counts what was done.
        touched: Gets the new messages that are to be made findable.
    """

    def __init__(self, memory: Memory, done: Imported, touched: MutableSequence[int]) -> None:
        self.memory, self.done, self.touched = memory, done, touched

    def save(self, talk: Talk, existing: int | None = None) -> None:
        """Save a whole one."""
        places: dict[str, tuple[int | None, int | None]] = {}
        saving = self.begin(talk, places, existing)
        for turn in talk.turns:
            saving.take(turn)
        saving.finish()

    def begin(self, talk: Talk, places: Places, existing: int | None = None) -> Saving:
        """Begin one whose turns come one after the other: a million of them need not be there at once."""
        return Saving(self, talk, places, existing)


class Saving:
    """One conversation on its way into the tables; see :meth:`Saver.begin`."""

    def __init__(self, saver: Saver, talk: Talk, places: Places, existing: int | None) -> None:
        self._memory, self._done, self._touched = saver.memory, saver.done, saver.touched
        self._store, self._talk, self._places = saver.memory.store, talk, places
        if existing is None and (same := self._memory.messages.find_origin(talk.origin, talk.ref)):
            existing = same.id
        self._there = self._fingerprints(existing) if existing is not None else {}
        self._conversation = existing
        self._last: int | None = None
        self._last_said = 0

    def take(self, turn: Turn) -> int | None:
        """Save one turn, after the one it follows.

        Returns:
            The message it became; None: it was forgotten.
        """
        parent = self._places.get(turn.parent) if turn.parent is not None else None
        above = parent[1] if parent else None  # the message it follows, or the nearest kept one above that
        known = self._there.get(_fingerprint(turn.role, to_ms(turn.said_at), turn.text)) if self._there else None
        if known is not None:
            self._done.already_there += 1
            self._places[turn.key] = known, known
            return known
        # An answer to what was forgotten repeats it more often than not, and says nothing alone.
        orphan = turn.role == "assistant" and parent is not None and parent[0] is None
        if orphan or self._memory.is_forgotten(turn.text, said_at=turn.said_at):
            self._done.forgotten += 1
            self._places[turn.key] = None, above
            return None
        if self._conversation is None:
            self._conversation = self._start(self._talk)
        new = self._add(self._conversation, above, turn)
        self._places[turn.key] = new, new
        self._last, self._last_said = new, max(self._last_said, to_ms(turn.said_at))
        return new

    def finish(self) -> None:
        """No more turns come."""
        if self._conversation is not None and self._last is not None:
            leaf = self._places.get(self._talk.leaf) if self._talk.leaf else None
            self._store.execute(
                "UPDATE conversations SET leaf_id = ?, updated_at = max(updated_at, ?) WHERE id = ?",
                ((leaf and leaf[1]) or self._last, self._last_said, self._conversation),
            )

    def _start(self, talk: Talk) -> int:
        self._done.conversations += 1
        title = "" if self._memory.is_forgotten(talk.title) else talk.title
        return self._memory.messages.start(
            title, origin=talk.origin, origin_ref=talk.ref, created_at=talk.created_at
        ).id

    def _fingerprints(self, conversation: int) -> dict[bytes, int]:
        rows = self._store.tuples(
            "SELECT role, said_at, text, id FROM messages WHERE conversation_id = ?", (conversation,)
        )
        return {_fingerprint(role, said_at, text): id for role, said_at, text, id in rows}

    def _add(self, conversation: int, parent: int | None, turn: Turn) -> int:
        # Straight into the table: Messages.add counts the conversation each time, which is slow for a long one.
        cursor = self._store.execute(
            "INSERT INTO messages (conversation_id, parent_id, role, speaker, text, said_at, status, model, route,"
            " ref, context, recalled, extracted_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                conversation,
                parent,
                turn.role,
                turn.speaker,
                turn.text,
                to_ms(turn.said_at),
                turn.status,
                turn.model,
                turn.route,
                turn.ref,
                turn.context,
                json.dumps(list(turn.recalled)),
                to_ms(datetime.now(UTC)) if turn.extracted else None,
            ),
        )
        self._done.messages += 1
        if turn.role != "assistant":
            self._touched.append(int(cursor.lastrowid))
        return int(cursor.lastrowid)


def _fingerprint(role: str, said_at: int, text: str) -> bytes:
    return hashlib.sha256(f"{role}\0{said_at}\0{text}".encode()).digest()
