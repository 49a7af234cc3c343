"""Lessons and their steps in the encrypted memory: one row a step, on the disk before the next one begins.

A row is committed with an fsync (WAL, ``synchronous=FULL``), so that a kill at any moment loses at most the step
that was under way; the file's own pages are authenticated and encrypted, and each record depends on all before it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mnemon.clock import Clock, utc_now
from mnemon.errors import JournalError, LearningError
from mnemon.learning.journal import Codec, Header, Journal, Record
from mnemon.learning.spaces.steering_basis import Trace
from mnemon.memory.records import to_ms

if TYPE_CHECKING:
    from mnemon.memory.store import Store

State = Literal["running", "accepted", "rejected", "failed"]


@dataclass(slots=True)
class Page:
    """A lesson being written: its header, and the records so far.

    Attributes:
        id: Of its row.
        header: What it is about.
        records: In the order they were written.
    """

    book: Book
    id: int
    header: Header
    records: list[Record] = field(default_factory=list)
    _codec: Codec = field(init=False)

    def __post_init__(self) -> None:
        self._codec = Codec(self.header)
        for record in self.records:
            self._codec.encode(record)

    def write(self, record: Record) -> None:
        """Append a record; on disk when this returns.

        Raises:
            DiskFullError: No space is left; nothing was written.
            LearningError: Meanwhile the lesson was let go, by a rollback or by forgetting.
            StoreError: The memory cannot be written.
        """
        before = self._codec.check
        data = self._codec.encode(record)
        try:
            with self.book.store.transaction():
                written = self.book.store.execute(
                    "INSERT INTO learning_steps (lesson_id, number, record)"
                    " SELECT id, ?, ? FROM learning_lessons WHERE id = ?",
                    (len(self.records), data, self.id),
                ).rowcount
                if not written:
                    raise LearningError(
                        "The lesson was let go: something was forgotten, or another version was chosen.",
                        hint="Hold another one: `mnemon learn run`.",
                    )
        except BaseException:
            self._codec.check = before
            raise
        self.records.append(record)

    def cut(self, count: int) -> None:
        """Keep the first ``count`` records."""
        with self.book.store.transaction():
            self.book.store.execute(
                "DELETE FROM learning_steps WHERE lesson_id = ? AND number >= ?", (self.id, count)
            )
        del self.records[count:]
        self.__post_init__()

    def end(self, state: State, report: dict[str, Any]) -> None:
        """Say what it came to. A version is made elsewhere, in the same transaction where there is one."""
        with self.book.store.transaction():
            self.book.store.execute(
                "UPDATE learning_lessons SET state = ?, report = ? WHERE id = ?",
                (state, json.dumps(report), self.id),
            )

    def tear_out(self) -> None:
        """Leave nothing of it."""
        with self.book.store.transaction():
            self.book.store.execute("DELETE FROM learning_lessons WHERE id = ?", (self.id,))


class Book:
    """All lessons of one memory.

    Args:
        store: The encrypted file.
        now: The clock; tests set it.
    """

    def __init__(self, store: Store, now: Clock = utc_now) -> None:
        self.store = store
        self.now = now

    def begin(self, header: Header, continues: int | None = None) -> Page:
        """A new lesson.

        Args:
            header: What it is about.
            continues: The version whose theta it begins with; None begins with the base.
        """
        with self.store.transaction():
            number = self.store.execute(
                "INSERT INTO learning_lessons (began_at, header, continues, state) VALUES (?, ?, ?, 'running')",
                (to_ms(self.now()), header.encoded(), continues),
            ).lastrowid
        return Page(self, number, header)

    def unfinished(self) -> list[tuple[Page, int | None]]:
        """Lessons that were cut off, each with the version it continues; a damaged tail has been cut."""
        found = []
        for id, continues in self.store.tuples(
            "SELECT id, continues FROM learning_lessons WHERE state = 'running' ORDER BY id"
        ):
            try:
                journal = self.journal(id)
            except JournalError:
                continue
            page = Page(self, id, journal.header, journal.records)
            if journal.damaged:
                page.cut(len(journal.records))
            found.append((page, continues))
        return found

    def journal(self, lesson: int) -> Journal:
        """What was written of a lesson.

        Raises:
            JournalError: There is no such lesson, or its header is damaged.
        """
        header = self.store.tuples("SELECT header FROM learning_lessons WHERE id = ?", (lesson,))
        if not header:
            raise JournalError(f"There is no lesson {lesson}.", hint="See `mnemon learn history`.")
        records = self.store.tuples(
            "SELECT record FROM learning_steps WHERE lesson_id = ? ORDER BY number", (lesson,)
        )
        return Journal.read(header[0][0], [row[0] for row in records])

    def rewrite(self, lesson: int, journal: Journal) -> None:
        """Put a journal in the place of a lesson's."""
        codec = Codec(journal.header)
        with self.store.transaction():
            self.store.execute(
                "UPDATE learning_lessons SET header = ? WHERE id = ?", (journal.header.encoded(), lesson)
            )
            self.store.execute("DELETE FROM learning_steps WHERE lesson_id = ?", (lesson,))
            self.store.execute_many(
                "INSERT INTO learning_steps (lesson_id, number, record) VALUES (?, ?, ?)",
                [(lesson, number, codec.encode(record)) for number, record in enumerate(journal.records)],
            )

    def traces(self, examples: Sequence[str], base: str) -> dict[str, Trace]:
        """Traces of those of the examples that have one, by id, in the order of their ids."""
        import numpy as np

        rows = self.store.tuples(
            "SELECT example_id, exponent, data, layers FROM learning_traces WHERE base = ? AND example_id IN"
            " (SELECT value FROM json_each(?)) ORDER BY example_id",
            (bytes.fromhex(base), json.dumps([int(id) for id in examples])),
        )
        return {
            str(id): Trace(np.frombuffer(data, "<i2").astype(np.int16).reshape(layers, -1), exponent)
            for id, exponent, data, layers in rows
        }

    def keep_trace(self, example: str, base: str, trace: Trace) -> None:
        """Keep the trace of an example; it goes when the example goes."""
        self.store.execute(
            "INSERT OR REPLACE INTO learning_traces (example_id, base, exponent, layers, data)"
            " SELECT id, ?, ?, ?, ? FROM learning_examples WHERE id = ?",
            (bytes.fromhex(base), trace.exponent, len(trace.data), trace.data.astype("<i2").tobytes(), int(example)),
        )

    def reports(self) -> list[tuple[State, dict[str, Any]]]:
        """How every lesson that was judged ended, the oldest first."""
        rows = self.store.tuples(
            "SELECT state, report FROM learning_lessons WHERE state IN ('accepted', 'rejected') ORDER BY id"
        )
        return [(state, json.loads(report)) for state, report in rows]
