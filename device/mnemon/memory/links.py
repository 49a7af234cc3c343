"""What ties the entries of an export together, besides who said what: further fields of its messages and facts.

A message may say which earlier ones it changed (``changes``) and which answer it puts right (``corrects``), a fact
which other one it may not hold beside (``doubts``) and on which days an answer said it (``uses``). They are fields
and no entries of their own, and each may be missing: a Mnemon that does not know them reads the rest, and this one
reads exports without them. Episodes do not travel; they are made again from the words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mnemon.memory.records import from_ms, to_ms

if TYPE_CHECKING:
    from mnemon.memory.store import Store

_FIRST_DAY = date(1970, 1, 1)
_FIRST_YEAR, _LAST_YEAR = 1000, 9000  # within what every time zone and every part of Mnemon can show

Numbers = Callable[[int], "int | None"]
"""The numbers in the file, and those here; None: it was forgotten."""


def moment(text: str) -> datetime:
    """The moment an export names.

    Raises:
        ValueError: It is none, has no time zone, or lies outside the years 1000 to 9000.
        TypeError: It is no text.
    """
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} names no time zone")
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise ValueError(f"the year {found.year} is out of range")
    return found


def iso(moment: datetime) -> str:
    """A moment as an export names it: ISO 8601 in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def number(value: Any) -> int:
    """A number of an entry.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{str(value)[:40]!r} is not the number of an entry")
    return value


def of_messages(store: Store) -> dict[int, dict[str, Any]]:
    """For each message that has some, its further fields."""
    found: dict[int, dict[str, Any]] = {}
    for newer, older in store.tuples("SELECT newer_id, older_id FROM changes ORDER BY newer_id, older_id"):
        found.setdefault(newer, {}).setdefault("changes", []).append(older)
    for message, answer, question, at in store.tuples(
        "SELECT message_id, answer_id, question_id, created_at FROM corrections ORDER BY message_id"
    ):
        found.setdefault(message, {})["corrects"] = {"answer": answer, "question": question, "at": iso(from_ms(at))}
    return found


def of_facts(store: Store) -> dict[int, dict[str, Any]]:
    """For each fact that has some, its further fields."""
    found: dict[int, dict[str, Any]] = {}
    for newer, older, at, settled in store.tuples(
        "SELECT newer_id, older_id, found_at, settled_at FROM doubts ORDER BY newer_id, older_id"
    ):
        found.setdefault(newer, {}).setdefault("doubts", []).append(
            {"older": older, "at": iso(from_ms(at)), "settled": None if settled is None else iso(from_ms(settled))}
        )
    for fact, day in store.tuples("SELECT fact_id, day FROM fact_uses ORDER BY fact_id, day"):
        uses = found.setdefault(fact, {}).setdefault("uses", [])
        uses.append((_FIRST_DAY + timedelta(days=day)).isoformat())
    return found


class Links:
    """The further fields of an export that is being read, kept until every number in it is known here."""

    def __init__(self) -> None:
        self._changes: list[tuple[int, int]] = []
        self._corrections: list[tuple[int, int, int, int]] = []
        self._doubts: list[tuple[int, int, int, int | None]] = []
        self._uses: list[tuple[int, int]] = []

    def note_message(self, line: Mapping[str, Any]) -> None:
        """Keep what a message says of others.

        Raises:
            KeyError, TypeError, ValueError: It is not what it should be; then nothing of it is kept.
        """
        id = number(line["id"])
        changes = [(number(older), id) for older in line.get("changes", ())]
        if (put_right := line.get("corrects")) is not None:
            correction = (id, number(put_right["answer"]), number(put_right["question"]), _ms(put_right["at"]))
            self._corrections.append(correction)
        self._changes += changes

    def note_fact(self, line: Mapping[str, Any]) -> None:
        """Keep what a fact says of another one, and of its use.

        Raises:
            KeyError, TypeError, ValueError: It is not what it should be; then nothing of it is kept.
        """
        id = number(line["id"])
        doubts = [
            (
                number(doubt["older"]),
                id,
                _ms(doubt["at"]),
                None if doubt["settled"] is None else _ms(doubt["settled"]),
            )
            for doubt in line.get("doubts", ())
        ]
        self._uses += [(id, (date.fromisoformat(day) - _FIRST_DAY).days) for day in line.get("uses", ())]
        self._doubts += doubts

    def save(self, store: Store, messages: Numbers, facts: Numbers) -> None:
        """Write them under the numbers that messages and facts have here.

        What names something that was forgotten, or is not in the file, is left out; what is there already stays, and
        a doubt that was settled in one of the two is settled.
        """
        store.execute_many(
            "INSERT OR IGNORE INTO changes (older_id, newer_id) VALUES (?, ?)",
            [
                (older, newer)
                for older, newer in ((messages(a), messages(b)) for a, b in self._changes)
                if older is not None and newer is not None and older != newer
            ],
        )
        for message, answer, question, at in self._corrections:
            here = [messages(id) for id in (message, answer, question)]
            if None not in here:
                store.execute(
                    "INSERT OR IGNORE INTO corrections (message_id, answer_id, question_id, created_at)"
                    " VALUES (?, ?, ?, ?)",
                    (*here, at),
                )
        for older_fact, newer_fact, found_at, settled_at in self._doubts:
            pair = (facts(older_fact), facts(newer_fact))
            if None not in pair and pair[0] != pair[1]:
                store.execute(
                    "INSERT INTO doubts (older_id, newer_id, found_at, settled_at) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (older_id, newer_id) DO UPDATE SET settled_at ="
                    " coalesce(settled_at, excluded.settled_at)",
                    (*pair, found_at, settled_at),
                )
        store.execute_many(
            "INSERT OR IGNORE INTO fact_uses (fact_id, day) VALUES (?, ?)",
            [(id, day) for id, day in ((facts(fact), day) for fact, day in self._uses) if id is not None],
        )


def _ms(text: str) -> int:
    return to_ms(moment(text))
