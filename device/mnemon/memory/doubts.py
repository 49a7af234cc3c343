"""Two facts that may not both hold, when nothing said which: kept as a doubt until the owner settles it.

Both hold meanwhile. A doubt is settled by the owner's choice, by telling one of the two once more, by a correction,
or by itself when one of them ends or is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnemon.clock import Clock, utc_now
from mnemon.errors import InputError, NotFoundError
from mnemon.memory.facts import Facts
from mnemon.memory.records import Fact, to_ms

if TYPE_CHECKING:
    from mnemon.memory.store import Store

SETTLED = "settled by the owner"

UNCHANGING = frozenset(("birthday", "birthplace", "hometown", "blood type"))
"""What a life does not change: two values are a slip of the tongue, and only its owner knows which one."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Two facts, the one told first first; ``d4`` to people."""

    id: int
    older: Fact
    newer: Fact

    @property
    def memory_id(self) -> str:
        """The id people and programs use: ``d4``."""
        return f"d{self.id}"


class Doubts:
    """The open doubts of one memory.

    Args:
        store: The encrypted file.
        facts: What the doubts are between.
        now: The clock; tests set it.
    """

    def __init__(self, store: Store, facts: Facts, now: Clock = utc_now) -> None:
        self._store = store
        self._facts = facts
        self._now = now

    def raise_between(self, older_id: int, newer_id: int) -> None:
        """Note that the two may not both hold. Once settled it is not raised again."""
        self._store.execute(
            "INSERT OR IGNORE INTO doubts (older_id, newer_id, found_at) VALUES (?, ?, ?)",
            (older_id, newer_id, to_ms(self._now())),
        )

    def open(self) -> list[Doubt]:
        """The open ones, newest first."""
        rows = self._store.tuples(
            "SELECT doubts.id, older_id, newer_id FROM doubts JOIN facts AS o ON o.id = older_id"
            " JOIN facts AS n ON n.id = newer_id"
            " WHERE settled_at IS NULL AND o.valid_to IS NULL AND n.valid_to IS NULL ORDER BY doubts.id DESC"
        )
        return [Doubt(int(id), self._facts.get(older), self._facts.get(newer)) for id, older, newer in rows]

    def of_fact(self, fact_id: int) -> list[Doubt]:
        """The open ones about a fact."""
        return [doubt for doubt in self.open() if fact_id in (doubt.older.id, doubt.newer.id)]

    def settle(self, id: int, *, holds: int | None) -> None:
        """Settle a doubt.

        Args:
            holds: The fact that is right; the other one ends. None: both are.

        Raises:
            NotFoundError: There is no open doubt with that number.
            InputError: The fact is neither of the two.
        """
        with self._store.transaction():
            doubt = next((one for one in self.open() if one.id == id), None)
            if doubt is None:
                raise NotFoundError(f"There is no open doubt d{id}.", hint="Run mnemon memory list --conflicts.")
            if holds is not None:
                if holds not in (doubt.older.id, doubt.newer.id):
                    raise InputError(
                        f"f{holds} is not in doubt d{id}.",
                        hint=f"Name {doubt.older.memory_id}, {doubt.newer.memory_id} or both.",
                    )
                wrong, right = (doubt.older, doubt.newer) if holds == doubt.newer.id else (doubt.newer, doubt.older)
                self._facts.end(wrong.id, at=self._now(), superseded_by=right.id, reason=SETTLED)
            self._store.execute("UPDATE doubts SET settled_at = ? WHERE id = ?", (to_ms(self._now()), id))
