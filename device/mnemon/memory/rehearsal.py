"""How strong a fact is: repeated mention and use strengthen it, disuse fades it, nothing deletes it.

The short- and long-term memories of MaLP (arXiv 2309.11696), which promotes what is rehearsed, with the strength of
ACT-R's base-level learning (Anderson & Schooler 1991): every rehearsal, a message that says it or a day on which an
answer used it, leaves a trace that decays with the square root of its age.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import numpy as np

from mnemon.clock import Clock, utc_now
from mnemon.memory.records import to_ms

if TYPE_CHECKING:
    from mnemon.memory.store import Store

Level = Literal["working", "short-term", "long-term"]

_DAY_MS = 86_400_000
_DECAY = 0.5
WORKING_DAYS = 1.0
"""What was said or used within a day is at hand."""
LONG_TERM_REHEARSALS = 3
"""What was said or used on so many days is kept for long."""


class Rehearsal:
    """Mentions and uses of facts.

    Args:
        store: The encrypted file.
        now: The clock; tests set it.
    """

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        self._store = store
        self._now = now

    def use(self, ids: Iterable[int], at: datetime | None = None) -> None:
        """Note that an answer said what these facts say; once a day is enough. Unknown ids are left out."""
        day = to_ms(at or self._now()) // _DAY_MS
        self._store.execute(
            "INSERT OR IGNORE INTO fact_uses (fact_id, day) SELECT id, ? FROM facts"
            " WHERE id IN (SELECT value FROM json_each(?))",
            (day, json.dumps([int(id) for id in ids])),
        )

    def strength(self, ids: Sequence[int], at: datetime | None = None) -> np.ndarray:
        """For each fact a float32 in [0, 1), 0 for an unknown one: told just now 0.5, told once a year ago 0.05.

        Args:
            at: The moment it is judged by; now by default. What comes later does not count.
        """
        traces = self._traces(ids, at)
        total = np.array(
            [sum((1.0 + age) ** -_DECAY for age in traces.get(int(id), ())) for id in ids], dtype=np.float32
        )
        return np.asarray(total / (1.0 + total), dtype=np.float32)

    def level(self, id: int, at: datetime | None = None) -> Level:
        """Where a fact stands: at hand, of late, or learned by repetition."""
        ages = self._traces([id], at).get(id, [])
        if len({int(age) for age in ages}) >= LONG_TERM_REHEARSALS:
            return "long-term"
        return "working" if ages and min(ages) <= WORKING_DAYS else "short-term"

    def _traces(self, ids: Sequence[int], at: datetime | None) -> dict[int, list[float]]:
        """The age in days of every rehearsal of each fact."""
        now = to_ms(at or self._now())
        rows = self._store.tuples(
            "WITH wanted AS (SELECT value AS id FROM json_each(?))"
            " SELECT facts.id, coalesce(messages.said_at, facts.created_at) FROM facts"
            "  LEFT JOIN messages ON messages.id = facts.source_id WHERE facts.id IN wanted"
            " UNION ALL SELECT fact_id, said_at FROM fact_mentions JOIN messages ON messages.id = message_id"
            "  WHERE fact_id IN wanted"
            " UNION ALL SELECT fact_id, day * ? FROM fact_uses WHERE fact_id IN wanted",
            (json.dumps([int(id) for id in ids]), _DAY_MS),
        )
        traces: dict[int, list[float]] = {}
        for id, moment in rows:
            if moment <= now:
                traces.setdefault(int(id), []).append((now - moment) / _DAY_MS)
        return traces
