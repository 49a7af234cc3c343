"""Bi-temporal facts: what was true, from when until when, and the words it rests on.

A fact is never overwritten. A correction ends it (``valid_to``, ``superseded_by``, ``reason``) and begins another;
only forgetting removes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from mnemon.clock import Clock, utc_now
from mnemon.errors import InputError, NotFoundError
from mnemon.memory.dates import spell
from mnemon.memory.records import Fact, FactOrigin, from_ms, to_ms
from mnemon.memory.rehearsal import Rehearsal

if TYPE_CHECKING:
    from mnemon.memory.store import Store

_FactsById: TypeAlias = "dict[int, list[Fact]]"  # inside the class, list is a method

MAX_FACT_CHARACTERS = 1000
"""A fact is a sentence; what is longer is a message."""

EDITED = "edited by the owner"


class Facts:
    """The facts of one memory.

    Args:
        store: The encrypted file.
        now: The clock; tests set it.

    Attributes:
        rehearsal: How strong they are.
    """

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        self._store = store
        self._now = now
        self.rehearsal = Rehearsal(store, now)

    def add(
        self,
        text: str,
        *,
        subject: str = "user",
        attribute: str = "",
        value: str = "",
        source_id: int | None = None,
        origin: FactOrigin,
        valid_from: datetime | None = None,
    ) -> Fact:
        """Save a fact that holds from ``valid_from`` (now when left out) until something ends it.

        Args:
            source_id: The message it was taken from; may be None only for what the owner wrote by hand.

        Raises:
            InputError: The text is empty or too long, or the source is missing.
            NotFoundError: There is no message ``source_id``.
        """
        text = _sentence(text)
        if source_id is None and origin in ("pattern", "model"):
            raise InputError(f"The fact {text!r} names no message it was taken from.", hint="Give its source.")
        now = self._now()
        with self._store.transaction():
            if source_id is not None and not self._store.rows("SELECT 1 FROM messages WHERE id = ?", (source_id,)):
                raise NotFoundError(f"There is no message m{source_id}.", hint="Run mnemon memory list.")
            cursor = self._store.execute(
                "INSERT INTO facts (text, subject, attribute, value, source_id, origin, valid_from, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    text,
                    subject.strip().lower() or "user",
                    attribute.strip().lower(),
                    value.strip(),
                    source_id,
                    origin,
                    to_ms(valid_from or now),
                    to_ms(now),
                ),
            )
            return self.get(int(cursor.lastrowid))

    def get(self, id: int) -> Fact:
        """The fact with that id, ended ones included.

        Raises:
            NotFoundError: There is none.
        """
        found = self._store.rows("SELECT * FROM facts WHERE id = ?", (id,))
        if not found:
            raise NotFoundError(f"There is no fact f{id}.", hint="Run mnemon memory list.")
        return _fact(found[0])

    def list(self, *, valid_only: bool = True, subject: str | None = None, limit: int | None = None) -> list[Fact]:
        """Facts, newest first.

        Args:
            valid_only: Leave out those that have ended.
            subject: Only those about it, such as ``user`` or ``sister anna``.
            limit: At most so many.
        """
        conditions, params = ["1"], list[Any]()
        if valid_only:
            conditions.append("(valid_to IS NULL OR valid_to > ?)")
            params.append(to_ms(self._now()))
        if subject is not None:
            conditions.append("subject = ?")
            params.append(subject.lower())
        params.append(-1 if limit is None else limit)
        sql = f"SELECT * FROM facts WHERE {' AND '.join(conditions)} ORDER BY valid_from DESC, id DESC LIMIT ?"
        return [_fact(row) for row in self._store.rows(sql, params)]

    def of_messages(self, ids: Iterable[int]) -> _FactsById:
        """For each message the facts it says, newest first, ended ones and re-said ones included.

        Messages that say none are left out.
        """
        rows = self._store.rows(
            "SELECT said.message_id AS said_in, facts.* FROM facts JOIN ("
            " SELECT id AS fact_id, source_id AS message_id FROM facts WHERE source_id IS NOT NULL"
            " UNION SELECT fact_id, message_id FROM fact_mentions) AS said ON said.fact_id = facts.id"
            " WHERE said.message_id IN (SELECT value FROM json_each(?)) ORDER BY facts.id DESC",
            (json.dumps([int(id) for id in ids]),),
        )
        found: _FactsById = {}
        for row in rows:
            found.setdefault(int(row.pop("said_in")), []).append(_fact(row))
        return found

    def end(self, id: int, *, at: datetime, superseded_by: int | None = None, reason: str = "") -> Fact:
        """Say that a fact held until ``at``. A fact never ends before it began; ending it twice moves nothing.

        Args:
            superseded_by: The fact that took its place.
            reason: Why, in words for the owner.

        Raises:
            NotFoundError: There is no such fact.
        """
        with self._store.transaction():
            fact = self.get(id)
            if fact.valid_to is not None:
                return fact
            self._store.execute(
                "UPDATE facts SET valid_to = ?, superseded_by = ?, reason = ? WHERE id = ?",
                (max(to_ms(at), to_ms(fact.valid_from)), superseded_by, reason, id),
            )
            return self.get(id)

    def why(self, fact: Fact) -> str:
        """Why a fact ended, in words for its owner: ``because on 3 May 2026 you said: “…”``; empty while it holds.

        Read from what took its place, so that nothing of that outlives its forgetting.
        """
        if fact.valid_to is None:
            return ""
        rows = self._store.tuples(
            "SELECT text, said_at FROM messages WHERE id = coalesce("
            " (SELECT source_id FROM facts WHERE id = ?), (SELECT max(newer_id) FROM changes WHERE older_id = ?))",
            (fact.superseded_by, fact.source_id),
        )
        if not rows or fact.reason:
            return fact.reason
        text, said_at = rows[0]
        return f"because on {spell(from_ms(said_at).astimezone().date())} you said: “{' '.join(text.split())}”"

    def take_back(self, message_id: int, *, at: datetime, reason: str) -> None:
        """The owner took a message back: what it alone says ends; what another message says too goes on to hold."""
        with self._store.transaction():
            self._store.execute("DELETE FROM fact_mentions WHERE message_id = ?", (message_id,))
            self._store.execute("DELETE FROM changes WHERE newer_id = ?", (message_id,))
            alone = self._store.tuples(
                "SELECT id FROM facts WHERE source_id = ? AND id NOT IN (SELECT fact_id FROM fact_mentions)",
                (message_id,),
            )
            for (id,) in alone:
                self.end(id, at=at, reason=reason)

    def edit(self, id: int, text: str) -> Fact:
        """Replace a fact by what the owner writes: the old one ends now, and one of origin ``owner`` begins.

        The new one rests on the owner's hand and not on a message. Index it with ``memory.index_facts``.

        Raises:
            InputError: The text is empty or too long.
            NotFoundError: There is no such fact.
        """
        text = _sentence(text)
        with self._store.transaction():
            old = self.get(id)
            if text == old.text and old.valid_to is None:
                return old
            new = self.add(
                text,
                subject=old.subject,
                attribute=old.attribute,
                value=_value_after_edit(old, text),
                origin="owner",
            )
            self.end(old.id, at=new.valid_from, superseded_by=new.id, reason=EDITED)
            return new

    def mention(self, id: int, message_id: int) -> None:
        """Note that ``message_id`` says the same again: the fact is stronger, not doubled."""
        self._store.execute(
            "INSERT OR IGNORE INTO fact_mentions (fact_id, message_id)"
            " SELECT id, ? FROM facts WHERE id = ? AND source_id IS NOT ?",
            (message_id, id, message_id),
        )

    def mentions(self, ids: Iterable[int]) -> dict[int, int]:
        """How many further messages say each of these facts; those said once only are left out."""
        rows = self._store.rows(
            "SELECT fact_id, count(*) AS times FROM fact_mentions"
            " WHERE fact_id IN (SELECT value FROM json_each(?)) GROUP BY fact_id",
            (json.dumps([int(id) for id in ids]),),
        )
        return {int(row["fact_id"]): int(row["times"]) for row in rows}


def _fact(row: dict[str, Any]) -> Fact:
    return Fact(
        id=row["id"],
        text=row["text"],
        subject=row["subject"],
        attribute=row["attribute"],
        value=row["value"],
        source_id=row["source_id"],
        origin=row["origin"],
        valid_from=from_ms(row["valid_from"]),
        valid_to=None if row["valid_to"] is None else from_ms(row["valid_to"]),
        superseded_by=row["superseded_by"],
        reason=row["reason"],
    )


def _sentence(text: str) -> str:
    sentence = " ".join(text.split())
    if not sentence:
        raise InputError("A fact needs words.", hint="Write a sentence, such as: The user's dog is called Biscuit.")
    if len(sentence) > MAX_FACT_CHARACTERS:
        raise InputError(
            f"A fact of {len(sentence)} characters is too long.", hint=f"Keep it under {MAX_FACT_CHARACTERS}."
        )
    return sentence


def _value_after_edit(old: Fact, text: str) -> str:
    """What now stands where the old value stood; empty when the sentence around it changed too."""
    before, found, after = old.text.partition(old.value) if old.value else ("", "", "")
    if found and text.startswith(before) and text.endswith(after) and len(text) > len(before) + len(after):
        return text[len(before) : len(text) - len(after)]
    return ""
