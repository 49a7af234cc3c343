"""Which adapter holds, which ones came before it, and how to go back or to take an example out again.

A version is a lesson that the gate let through, together with the lessons it continues. Nothing but journals is kept:
the adapter is made from them when it is asked for, some milliseconds for a few thousand numbers.

What is exact. *Rollback* truncates: the adapter is byte for byte the one it was. *Forgetting* replays without the
steps that rest on the example: byte for byte the adapter of journals in which those steps were never written, with a
basis made from the other examples alone. What it cannot undo: the slopes of later steps were measured at a point to
which the forgotten ones had moved it. Who wants even that gone rolls back to a version before the example.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mnemon.clock import Clock, utc_now
from mnemon.errors import JournalError, LearningError, NotFoundError
from mnemon.learning.book import Book
from mnemon.learning.journal import Journal, replay
from mnemon.learning.spaces.making import again, traced
from mnemon.memory.records import from_ms, to_ms

if TYPE_CHECKING:
    from mnemon.learning.spaces.space import Space, Theta
    from mnemon.memory.store import Store
    from mnemon.runtime.adapters import Active, Adapter


@dataclass(frozen=True, slots=True)
class Version:
    """One version, as a person is shown it.

    Attributes:
        number: Its number; never given twice.
        at: When it was accepted.
        space: What was tuned.
        examples: How many examples it was learned from that are still there.
        kinds: How many of each kind there were.
        before: Held-out loss of what was in use before it, nats a token.
        after: Its own.
        general: By which share of itself the general set's loss grew.
        steps: Records of its lesson.
        evaluations: Measurements it took.
        seconds: How long the lesson took.
        curve: Loss at each look of the lesson, for a sparkline.
        continues: The version it goes on from; None: the base.
        active: It is the one in use.
        stale: An example of it was forgotten and it was not tested again: it is not used.
    """

    number: int
    at: datetime
    space: str
    examples: int
    kinds: dict[str, int]
    before: float
    after: float
    general: float
    steps: int
    evaluations: int
    seconds: float
    curve: tuple[float, ...]
    continues: int | None
    active: bool
    stale: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """What answers are made with.

    Attributes:
        version: Its number; None is the base model.
        adapters: For :meth:`~mnemon.runtime.chat_model.ChatModel.generate`.
        problem: Why the version in use is not used, one sentence; empty when it is, or there is none.
    """

    version: int | None
    adapters: Active
    problem: str = ""


class Versions:
    """The versions of one memory.

    Args:
        store: The encrypted file.
        now: The clock; tests set it.
        bank: Adapters that versions may mix; no journal holds them.
    """

    def __init__(self, store: Store, now: Clock = utc_now, bank: Sequence[Adapter] = ()) -> None:
        self._store, self._bank = store, bank
        self.book = Book(store, now)
        self._made: dict[tuple[int, int], Active] = {}

    def active(self, base: str | None) -> Standing:
        """What to answer with on the model whose file has the SHA-256 ``base``; never raises for a bad journal.

        None stands for whichever model it was learned on.
        """
        rows = self._store.tuples(
            "SELECT v.id, v.stale, v.lesson_id, (SELECT count(*) FROM learning_steps WHERE lesson_id = v.lesson_id)"
            " FROM learning_versions AS v WHERE v.active = 1"
        )
        if not rows:
            return Standing(None, ())
        number, stale, _, steps = rows[0]
        if stale:
            return Standing(None, (), "What it was learned from was forgotten in part; it has to be tested again.")
        try:
            if base is not None and self._journals(number)[0].header.base != base:
                return Standing(None, (), "What was learned fits another model; it is kept for that one.")
            key = (number, steps)
            if key not in self._made:
                space, theta = self.state(number)
                self._made = {key: space.apply(theta)}
            return Standing(number, self._made[key])
        except JournalError as error:
            return Standing(None, (), error.one_line())

    def state(self, number: int) -> tuple[Space, Theta]:
        """A version's space and theta.

        Raises:
            NotFoundError: There is no such version.
            JournalError: Its journal is damaged.
        """
        journals = self._journals(number)
        traces = self.book.traces(traced(journals[0].header), journals[0].header.base)
        return again(journals[0].header, list(traces.values()), self._bank), replay(journals)

    def export(self, number: int, base: str) -> Adapter:
        """A version as one adapter for the model ``base``, to be written as a file for other programs.

        Raises:
            NotFoundError: There is no such version.
            LearningError: It fits another model, is a mixture of several, or its journal is damaged.
        """
        if self._journals(number)[0].header.base != base:
            raise LearningError(
                f"Version {number} was learned on another model.",
                hint="Name that one with `mnemon --model`.",
            )
        space, theta = self.state(number)
        return space.export(theta)

    def history(self) -> list[Version]:
        """All versions, the oldest first."""
        rows = self._store.rows(
            "SELECT v.id, v.at, v.active, v.stale, l.report, l.continues,"
            " (SELECT count(*) FROM learning_steps WHERE lesson_id = l.id) AS steps"
            " FROM learning_versions AS v JOIN learning_lessons AS l ON l.id = v.lesson_id ORDER BY v.id"
        )
        return [self._version(row) for row in rows]

    def accept(self, lesson: int, report: dict[str, Any]) -> int:
        """Make a version of a lesson and use it from now on; its number. All or nothing.

        Raises:
            LearningError: Meanwhile the lesson was let go, or something that it learned from was forgotten.
        """
        with self._store.transaction():
            self._still_holds(lesson)
            self._store.execute("UPDATE learning_versions SET active = 0")
            self._store.execute(
                "UPDATE learning_lessons SET state = 'accepted', report = ? WHERE id = ?",
                (json.dumps(report), lesson),
            )
            number: int = self._store.execute(
                "INSERT INTO learning_versions (lesson_id, at, active) VALUES (?, ?, 1)",
                (lesson, to_ms(self.book.now())),
            ).lastrowid
        return number

    def rollback(self, to: int) -> None:
        """Use version ``to`` again (0: the base) and let go of those after it.

        Raises:
            NotFoundError: There is no such version.
        """
        with self._store.transaction():
            if to and not self._store.tuples("SELECT 1 FROM learning_versions WHERE id = ?", (to,)):
                raise NotFoundError(f"There is no version {to}.", hint="See `mnemon learn history`.")
            self._store.execute(
                "DELETE FROM learning_lessons WHERE id IN (SELECT lesson_id FROM learning_versions WHERE id > ?)",
                (to,),
            )
            self._store.execute("DELETE FROM learning_lessons WHERE state = 'running'")
            self._store.execute("UPDATE learning_versions SET active = (id = ?)", (to,))

    def forget(self, examples: Collection[str]) -> list[int]:
        """Take the steps that rest on these examples out of every journal. Versions that lose something are stale.

        The examples themselves are removed too, if they are still there. A lesson that is under way is let go.

        Returns:
            Numbers of the versions that are no longer what they were; :meth:`mnemon.learning.lesson.Lesson.retest`
            finds out whether they still help.
        """
        gone = set(examples)
        self._made = {}
        with self._store.transaction():
            self._store.execute(
                "DELETE FROM learning_examples WHERE id IN (SELECT value FROM json_each(?))",
                (json.dumps([int(id) for id in gone]),),
            )
            self._store.execute("DELETE FROM learning_lessons WHERE state IN ('running', 'failed')")
            changed = []
            for lesson, state in self._store.tuples("SELECT id, state FROM learning_lessons ORDER BY id"):
                try:
                    journal = self.book.journal(lesson)
                except JournalError:  # nothing can be made from it any more, and forgetting must not fail
                    self._store.execute("DELETE FROM learning_lessons WHERE id = ?", (lesson,))
                    continue
                if gone.isdisjoint(journal.header.examples):
                    continue
                without = journal.without(gone)
                if state == "rejected":
                    without.records.clear()  # nobody will ever replay it
                self.book.rewrite(lesson, without)
                changed.append(lesson)
            stale = {number for number in self._numbers() if {j for j, _ in self._chain(number)} & set(changed)}
            self._store.execute(
                "UPDATE learning_versions SET stale = 1 WHERE id IN (SELECT value FROM json_each(?))",
                (json.dumps(sorted(stale)),),
            )
        return sorted(stale)

    def settle(self) -> list[int]:
        """:meth:`forget` whatever is gone from the examples but still named by a journal; after any forgetting."""
        there = {str(row[0]) for row in self._store.tuples("SELECT id FROM learning_examples")}
        named: set[str] = set()
        for (lesson,) in self._store.tuples("SELECT id FROM learning_lessons"):
            try:
                journal = self.book.journal(lesson)
            except JournalError:
                continue
            used = {i for record in journal.records for i in record.examples}
            named |= {journal.header.examples[i] for i in used}
        gone = named - there
        return self.forget(gone) if gone else []

    def settled(self, number: int, *, keep: bool, report: dict[str, Any]) -> None:
        """A stale version was tested again: it is used once more, or let go with those that continue it."""
        if not keep:
            earlier = [other for other in self._numbers() if other < number]
            self.rollback(earlier[-1] if earlier else 0)
            return
        with self._store.transaction():
            self._store.execute("UPDATE learning_versions SET stale = 0 WHERE id = ?", (number,))
            lesson = self._chain(number)[-1][0]
            known = json.loads(
                self._store.tuples("SELECT report FROM learning_lessons WHERE id = ?", (lesson,))[0][0]
            )
            self._store.execute(
                "UPDATE learning_lessons SET report = ? WHERE id = ?", (json.dumps({**known, **report}), lesson)
            )

    def _still_holds(self, lesson: int) -> None:
        """Another process may have gone back or forgotten something while the lesson was held."""
        rows = self._store.tuples("SELECT continues FROM learning_lessons WHERE id = ?", (lesson,))
        in_use = self._store.tuples("SELECT id FROM learning_versions WHERE active = 1 AND stale = 0")
        if rows and (rows[0][0] is None or (rows[0][0],) in in_use):
            journal = self.book.journal(lesson)
            used = {journal.header.examples[i] for record in journal.records for i in record.examples}
            ids = json.dumps([int(id) for id in used])
            there = self._store.tuples(
                "SELECT count(*) FROM learning_examples WHERE id IN (SELECT value FROM json_each(?))", (ids,)
            )
            if there[0][0] == len(used):
                return
        raise LearningError(
            "While the lesson was held, something it rests on was forgotten, or another version was chosen.",
            hint="Hold another one: `mnemon learn run`.",
        )

    def _numbers(self) -> list[int]:
        return [int(row[0]) for row in self._store.tuples("SELECT id FROM learning_versions ORDER BY id")]

    def _chain(self, number: int) -> list[tuple[int, int]]:
        """Lessons of a version with the versions they made, the first one first."""
        found: list[tuple[int, int]] = []
        wanted: int | None = number
        while wanted is not None:
            rows = self._store.tuples(
                "SELECT l.id, l.continues FROM learning_versions AS v JOIN learning_lessons AS l"
                " ON l.id = v.lesson_id WHERE v.id = ?",
                (wanted,),
            )
            if not rows:
                raise NotFoundError(f"There is no version {wanted}.", hint="See `mnemon learn history`.")
            found.append((int(rows[0][0]), wanted))
            wanted = rows[0][1]
        return found[::-1]

    def _journals(self, number: int) -> Sequence[Journal]:
        journals = [self.book.journal(lesson) for lesson, _ in self._chain(number)]
        if any(journal.damaged for journal in journals):
            raise JournalError(
                f"The journal of version {number} is damaged.", hint="Go back: `mnemon learn rollback`."
            )
        return journals

    def _version(self, row: dict[str, Any]) -> Version:
        report = json.loads(row["report"])
        there = self._store.tuples(
            "SELECT count(*) FROM learning_examples WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(report.get("examples", [])),),
        )
        return Version(
            number=row["id"],
            at=from_ms(row["at"]),
            space=report.get("space", ""),
            examples=int(there[0][0]),
            kinds=report.get("kinds", {}),
            before=report.get("before", 0.0),
            after=report.get("after", 0.0),
            general=report.get("general", 0.0),
            steps=row["steps"],
            evaluations=report.get("evaluations", 0),
            seconds=report.get("seconds", 0.0),
            curve=tuple(report.get("curve", ())),
            continues=row["continues"],
            active=bool(row["active"]),
            stale=bool(row["stale"]),
        )
