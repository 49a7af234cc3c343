"""Choosing what to forget: by words, by person, by time, and what belongs to what was chosen."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from mnemon.errors import InputError
from mnemon.memory import dates
from mnemon.memory.records import to_ms
from mnemon.memory.store import Store
from mnemon.words import FUNCTION_WORDS, content, content_words, plain_words, sentences

_SAYS_MORE = 3
"""A message with more telling words than this beyond the fact taken from it says something else as well."""

ORDINARY_NAMES = frozenset(
    """
    amber april art august autumn bill bob brandy carol chance chase christian cliff crystal daisy dale dawn dean
    destiny drew earnest eve faith flora frank gene ginger glen grace grant guy harmony hazel heath heather hope
    hunter iris ivy jack jasmine jay jewel john joy june lance laurel lily mark mason max may melody mercy miles
    misty nick olive pat patience pearl penny pepper ray reed rich rob robin rocky rose ruby rusty sandy skip sky
    sonny stew sue summer sunny terry tuesday victor violet wade ward will willow winter woody
    """.split()
)
"""Names that are words as well: only with a capital are they surely somebody."""


@dataclass(frozen=True, slots=True)
class Span:
    """Messages said from ``since`` (included) until ``before`` (not included); None: without end."""

    since: datetime | None = None
    before: datetime | None = None

    @property
    def bounds(self) -> tuple[int, int]:
        """In milliseconds since 1970 UTC."""
        return (to_ms(self.since) if self.since else -(1 << 62), to_ms(self.before) if self.before else 1 << 62)


def days_named(text: str, today: date) -> tuple[date, date]:
    """The first day a date names and the day after its last.

    Args:
        text: ``2026-03-01``, ``2026-03``, ``2026``, ``1 March 2026``, ``March 2026``, ``yesterday``, ``last month``,
            ``3 weeks ago``, ``last Tuesday``.
        today: From where it is seen; a day without a year is the last such day.

    Raises:
        InputError: It names none.
    """
    plain = " ".join(text.split())
    if found := re.fullmatch(r"(\d{4})(?:-(\d{1,2}))?(?:-(\d{1,2}))?", plain):
        year, month, day = (int(part) if part else None for part in found.groups())
    elif found := re.fullmatch(r"([a-z]+) (\d{4})", plain, re.IGNORECASE):
        year, month, day = int(found[2]), _month(found[1]), None
        if month is None:
            raise _no_date(text)
    elif re.fullmatch(r"(?:the )?last (?:week|month|year)|this (?:week|month|year)", plain, re.IGNORECASE):
        return _whole(plain.split()[-1].lower(), today, last="last" in plain.lower())
    else:
        resolved = dates.resolve(plain if not plain.isdigit() else "", today, past=True).day
        if resolved is None:
            raise _no_date(text)
        return resolved, resolved + timedelta(days=1)
    try:
        first = date(year or 0, 1 if month is None else month, 1 if day is None else day)
        if day:
            return first, first + timedelta(days=1)
        return first, date(first.year + (month in (None, 12)), (month or 12) % 12 + 1, 1)
    except (ValueError, OverflowError) as error:
        raise _no_date(text) from error


def span(since: str | None, to: str | None, before: str | None, now: datetime) -> Span:
    """The time between days as people name them; ``to`` is included, ``before`` is not.

    Raises:
        InputError: One of them names no day, or the end lies before the beginning.
    """
    today = now.astimezone().date()
    start = days_named(since, today)[0] if since else None
    end = days_named(to, today)[1] if to else days_named(before, today)[0] if before else None
    if start and end and end <= start:
        raise InputError("That time ends before it begins.", hint="Give the earlier day first.")
    return Span(_midnight(start) if start else None, _midnight(end) if end else None)


def by_time(store: Store, wanted: Span, *, with_facts: bool = False) -> set[str]:
    """All that was said in that time, by whomever, and facts written by hand in it.

    Args:
        with_facts: Name the facts taken from those messages too; they go with them in any case.
    """
    said = store.tuples("SELECT id FROM messages WHERE said_at >= ? AND said_at < ?", wanted.bounds)
    noted = store.tuples(
        "SELECT id FROM facts WHERE source_id IS NULL AND created_at >= ? AND created_at < ?", wanted.bounds
    )
    found = {f"m{row[0]}" for row in said} | {f"f{row[0]}" for row in noted}
    if with_facts:
        taken = store.tuples(
            "SELECT f.id FROM facts AS f JOIN messages AS m ON m.id = f.source_id"
            " WHERE m.said_at >= ? AND m.said_at < ?",
            wanted.bounds,
        )
        found |= {f"f{row[0]}" for row in taken}
    return found


def by_words(store: Store, wanted: str) -> set[str]:
    """Messages of people and facts with all the telling words of ``wanted``, in any order and grammatical form."""
    query = _query(wanted)
    stems = content(wanted)
    return {id for id, text, _ in _matching(store, query) if stems <= content(text)} if query else set()


def by_person(store: Store, name: str) -> set[str]:
    """What mentions a person, or was said by them: whole names in any case, possessives included.

    A name that is a word as well ("Will", "Hope") counts only with a capital, not in "I will" or "I hope".
    """
    plain = " ".join(name.split())
    if not plain:
        raise InputError("Whom?", hint="Give a name, such as --person Priya.")
    found = {id for id, text, _ in _matching(store, _query(plain) or '""') if mentions(text, plain)}
    speakers = [row[0] for row in store.tuples("SELECT DISTINCT speaker FROM messages WHERE speaker != ''")]
    of = [speaker for speaker in speakers if mentions(speaker, plain)]
    said = store.tuples(
        "SELECT id FROM messages WHERE speaker IN (SELECT value FROM json_each(?))", (json.dumps(of),)
    )
    about = store.tuples("SELECT id, subject FROM facts WHERE subject NOT IN ('', 'user')")
    found |= {f"f{id}" for id, subject in about if _whole_name(plain).search(subject)}
    return found | {f"m{row[0]}" for row in said}


def mentions(text: str, name: str) -> bool:
    """Whether ``text`` names that person."""
    for match in _whole_name(name).finditer(text):
        if name.lower() not in ORDINARY_NAMES or match.group()[0].isupper():
            return True
    return False


def with_what_belongs(store: Store, ids: Sequence[str], *, source: bool | None) -> list[str]:
    """These, the messages their facts rest on, and earlier wordings of a message that was edited.

    Args:
        source: Whether the messages of a fact go too; None: those that say nothing else.
    """
    facts = [int(id[1:]) for id in ids if re.fullmatch(r"f[1-9]\d{0,17}", id.strip().lower())]
    found = list(dict.fromkeys(id.strip().lower() for id in ids))
    if facts and source is not False:
        for id, text, said in _sources(store, facts):
            if source or not _says_more(store, id, said, text, set(facts)):
                found.append(f"m{id}")
    messages = [int(id[1:]) for id in found if re.fullmatch(r"m[1-9]\d{0,17}", id)]
    rows = store.tuples(
        "SELECT other.id, other.text, one.text FROM messages AS one JOIN messages AS other ON other.id != one.id"
        " AND other.conversation_id = one.conversation_id AND other.parent_id IS one.parent_id"
        " AND other.role = 'owner' WHERE one.role = 'owner' AND one.id IN (SELECT value FROM json_each(?))",
        (json.dumps(messages),),
    )
    found += [f"m{id}" for id, other, one in rows if _same_said(one, other)]
    return list(dict.fromkeys(found))


def _sources(store: Store, facts: Collection[int]) -> list[tuple[int, str, str]]:
    """Message, the fact's words, the message's words; for each message that says one of these facts."""
    return store.tuples(
        "SELECT m.id, f.text, m.text FROM facts AS f JOIN (SELECT id AS fact_id, source_id AS message_id FROM facts"
        " UNION SELECT fact_id, message_id FROM fact_mentions) AS said ON said.fact_id = f.id"
        " JOIN messages AS m ON m.id = said.message_id WHERE f.id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(facts)),),
    )


def _says_more(store: Store, message: int, said: str, fact: str, doomed: set[int]) -> bool:
    """Whether a message says more than the facts that go: another fact rests on it, or it has words to spare."""
    rest = store.tuples(
        "SELECT id, text FROM facts WHERE source_id = ?1 OR id IN"
        " (SELECT fact_id FROM fact_mentions WHERE message_id = ?1)",
        (message,),
    )
    if any(id not in doomed for id, _ in rest):
        return True
    known = content(fact) | {word for id, text in rest if id in doomed for word in content(text)}
    spare = [word for word in content_words(said) if word not in known and word not in FUNCTION_WORDS]
    untouched = [part for part in sentences(said) if content_words(part) and not content(part) & known]
    return bool(untouched) or len(spare) > _SAYS_MORE


def _same_said(one: str, other: str) -> bool:
    left, right = content(one), content(other)
    return bool(left & right) and 2 * len(left & right) >= min(len(left), len(right))


def _matching(store: Store, query: str) -> list[tuple[str, str, Any]]:
    said = store.tuples(
        "SELECT 'm' || id, text, said_at FROM messages WHERE role != 'assistant' AND id IN"
        " (SELECT rowid FROM message_words WHERE message_words MATCH ?)",
        (query,),
    )
    known = store.tuples(
        "SELECT 'f' || id, text, valid_from FROM facts WHERE id IN"
        " (SELECT rowid FROM fact_words WHERE fact_words MATCH ?)",
        (query,),
    )
    return [*said, *known]


def _query(wanted: str) -> str:
    """FTS5 stems by itself ("diets" finds "diet"); what it finds is looked at again word by word."""
    telling = [word for word in plain_words(wanted) if content(word)] or plain_words(wanted)
    return " AND ".join(f'"{word}"' for word in dict.fromkeys(telling))


def _whole_name(name: str) -> re.Pattern[str]:
    parts = r"\s+".join(re.escape(part) for part in name.split())
    return re.compile(rf"(?<![^\W_])(?<![^\W_]['’-]){parts}(?:['’]s|s['’])?(?![^\W_]|-[^\W_])", re.IGNORECASE)


def _month(word: str) -> int | None:
    found = [i + 1 for i, month in enumerate(dates.MONTHS) if len(word) >= 3 and month.startswith(word.lower())]
    return found[0] if found else None


def _whole(unit: str, today: date, *, last: bool) -> tuple[date, date]:
    if unit == "week":
        monday = today - timedelta(days=today.weekday() + 7 * last)
        return monday, monday + timedelta(days=7)
    if unit == "year":
        return date(today.year - last, 1, 1), date(today.year - last + 1, 1, 1)
    first = today.replace(day=1)
    if last:
        first = (first - timedelta(days=1)).replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1)


def _midnight(day: date) -> datetime:
    """The beginning of that day where the owner is."""
    try:
        return datetime.combine(day, time.min).astimezone()
    except (OverflowError, OSError, ValueError):  # the year 1 has no local time
        return datetime.combine(day, time.min, UTC)


def _no_date(text: str) -> InputError:
    return InputError(f"{text!r} names no day.", hint="Write 2026-03-01, March 2026, yesterday or 3 weeks ago.")
