"""Conversations into the tables: what is new of them, what was there, and what was forgotten and stays so."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

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


class Saver:
    """Puts one conversation into the tables, or what is new of it."""

    def __init__(self, memory: Memory, done: Imported, touched: list[int]) -> None:
        self._memory, self._store, self._done, self._touched = memory, memory.store, done, touched

    def save(self, talk: Talk, existing: int | None = None) -> dict[str, int | None]:
        """Returns, for each turn's key, the message it became; None: it was forgotten."""
        if existing is None and (same := self._memory.messages.find_origin(talk.origin, talk.ref)):
            existing = same.id
        # Where children of a turn go on: its message, or its nearest kept ancestor.
        places: dict[str, int | None] = {}
        ids: dict[str, int | None] = {}
        there = self._there(existing) if existing is not None else {}
        conversation, added = existing, list[Turn]()
        for turn in talk.turns:
            above = places.get(turn.parent) if turn.parent is not None else None
            known = there.get(_fingerprint(turn.role, to_ms(turn.said_at), turn.text))
            if known is not None:
                self._done.already_there += 1
                places[turn.key] = ids[turn.key] = known
                continue
            # An answer to what was forgotten repeats it more often than not, and says nothing alone.
            orphan = turn.role == "assistant" and turn.parent is not None and ids.get(turn.parent, 0) is None
            if orphan or self._memory.is_forgotten(turn.text, said_at=turn.said_at):
                self._done.forgotten += 1
                places[turn.key], ids[turn.key] = above, None
                continue
            if conversation is None:
                conversation = self._start(talk)
            places[turn.key] = ids[turn.key] = self._add(conversation, above, turn)
            added.append(turn)
        if conversation is not None and added:
            leaf = places.get(talk.leaf) if talk.leaf else None
            self._finish(conversation, leaf or places[added[-1].key], added)
        return ids

    def _start(self, talk: Talk) -> int:
        self._done.conversations += 1
        title = "" if self._memory.is_forgotten(talk.title) else talk.title
        return self._memory.messages.start(
            title, origin=talk.origin, origin_ref=talk.ref, created_at=talk.created_at
        ).id

    def _there(self, conversation: int) -> dict[bytes, int]:
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

    def _finish(self, conversation: int, leaf: int | None, added: list[Turn]) -> None:
        self._store.execute(
            "UPDATE conversations SET leaf_id = ?, updated_at = max(updated_at, ?) WHERE id = ?",
            (leaf, max(to_ms(turn.said_at) for turn in added), conversation),
        )


def _fingerprint(role: str, said_at: int, text: str) -> bytes:
    return hashlib.sha256(f"{role}\0{said_at}\0{text}".encode()).digest()
