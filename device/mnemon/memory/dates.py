"""Days as people name them ("tomorrow", "next Tuesday", "on the 9th"), resolved against the day it was said.

What cannot be resolved for sure stays as it was said: a wrong date is worse than none. Recurring days ("every
Friday", "on Mondays") are left alone.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

MONTHS = tuple(name.lower() for name in calendar.month_name)[1:]
DAYS = tuple(name.lower() for name in calendar.day_name)
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?"
    r"|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_COUNT = r"(?:an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\d{1,3})"
_COUNTS = "one two three four five six seven eight nine ten eleven twelve".split()
DATE_PATTERN = (
    rf"(?:\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}\b(?:,? \d{{4}})?"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?\b(?:,? \d{{4}})?)"
)
"""A calendar date such as ``3 May``, ``the 3rd of May 2027`` or ``May 3rd`` (a piece of a regular expression)."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A text with its days spelt out, and the first of them."""

    text: str
    day: date | None = None


def spell(day: date) -> str:
    """``3 May 2027``."""
    return f"{day.day} {day:%B} {day.year}"


def resolve(text: str, said_on: date, *, past: bool = False, weekdays: bool = True) -> Resolved:
    """Spell out the days named in ``text`` as seen from ``said_on``.

    Args:
        past: It tells of something done, so a bare "Friday" is the last one; otherwise the next one.
        weekdays: Resolve a bare "on Friday" at all; "next Friday" always is.
    """
    first: list[date] = []

    def replaced(pattern: str, make: Callable[[re.Match[str]], tuple[str, date] | None], text: str) -> str:
        def one(match: re.Match[str]) -> str:
            made = make(match)
            if made is None:
                return match.group()
            first.append(made[1])
            return made[0]

        return re.sub(pattern, one, text, flags=re.IGNORECASE)

    shift = -1 if past else 1

    def calendar_date(match: re.Match[str]) -> tuple[str, date] | None:
        day = parse_date(match.group(), said_on, past=past)
        return (spell(day), day) if day else None

    def relative_day(match: re.Match[str]) -> tuple[str, date]:
        offset = _OFFSETS[" ".join(match["word"].lower().split())]
        day = said_on + timedelta(days=offset)
        part = {"tonight": " in the evening", "last night": " in the evening"}.get(match["word"].lower(), "")
        return f"on {spell(day)}{part}", day

    def weekday(match: re.Match[str]) -> tuple[str, date] | None:
        which = (match["which"] or "").lower()
        if not which and not weekdays:
            return None
        day = _weekday(DAYS.index(match["day"].lower()), which, said_on, past=past)
        return f"on {spell(day)}", day

    def of_month(match: re.Match[str]) -> tuple[str, date] | None:
        day = _day_of_month(int(match["n"]), said_on, shift)
        return (f"on {spell(day)}", day) if day else None

    def away(match: re.Match[str]) -> tuple[str, date] | None:
        forward = bool(match["in"])
        return _away(match["n"] or match["n2"], match["unit"] or match["unit2"], said_on, 1 if forward else -1)

    def span(match: re.Match[str]) -> tuple[str, date] | None:
        return _span(match["which"].lower(), match["unit"].lower(), said_on)

    text = replaced(rf"\b(?:on )?(?:the )?{DATE_PATTERN}", lambda m: _keep_on(m, calendar_date(m)), text)
    text = replaced(
        r"\b(?P<word>the day after tomorrow|the day before yesterday|tomorrow|yesterday|today|tonight|last night)\b",
        relative_day,
        text,
    )
    text = replaced(
        rf"(?<!every )(?<!each )\b(?:on )?(?:(?P<which>next|this|this coming|last) )?(?P<day>{_DAY})\b(?!s\b|['’])",
        weekday,
        text,
    )
    text = replaced(r"\bon the (?P<n>[1-3]?\d)(?:st|nd|rd|th)\b(?! of| floor)", of_month, text)
    text = replaced(
        rf"\b(?:(?P<in>in) (?P<n>{_COUNT}) (?P<unit>day|week|month|year)s?(?:['’] time)?"
        rf"|(?P<n2>{_COUNT}) (?P<unit2>day|week|month|year)s? ago)\b",
        away,
        text,
    )
    text = replaced(
        rf"\b(?:in |over |during )?(?P<which>next|last|this) "
        rf"(?P<unit>week|weekend|month|year|spring|summer|autumn|fall|winter|{_MONTH})\b",
        span,
        text,
    )
    return Resolved(text, first[0] if first else None)


def parse_date(text: str, said_on: date, *, past: bool = False) -> date | None:
    """The day a calendar date names. Without a year: the next such day, or with ``past`` the last one."""
    number = re.search(r"\b(\d{1,2})(?:st|nd|rd|th)?\b", text)
    month = re.search(rf"\b{_MONTH}\b", text, re.IGNORECASE)
    year = re.search(r"\b(\d{4})\b", text)
    if not number or not month:
        return None
    index = _month_index(month.group())
    if year:
        return _date(int(year[1]), index, int(number[1]))
    day = _date(said_on.year, index, int(number[1]))
    if day is None:
        return None
    if not past and day < said_on:
        return _date(day.year + 1, index, day.day)
    if past and day > said_on:
        return _date(day.year - 1, index, day.day)
    return day


_OFFSETS = {
    "the day after tomorrow": 2,
    "tomorrow": 1,
    "today": 0,
    "tonight": 0,
    "yesterday": -1,
    "last night": -1,
    "the day before yesterday": -2,
}


def _keep_on(match: re.Match[str], made: tuple[str, date] | None) -> tuple[str, date] | None:
    return (f"on {made[0]}", made[1]) if made and match.group().lower().startswith("on ") else made


def _month_index(name: str) -> int:
    return next(i for i, month in enumerate(MONTHS, 1) if month.startswith(name.lower()[:3]))


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _weekday(index: int, which: str, said_on: date, *, past: bool) -> date:
    ahead = (index - said_on.weekday()) % 7
    if which == "last" or (past and not which):
        return said_on - timedelta(days=(said_on.weekday() - index) % 7 or 7)
    if which == "next":
        # "Next Tuesday" said on a Monday is the one of the week after: the one tomorrow would be "this Tuesday".
        monday = said_on - timedelta(days=said_on.weekday()) + timedelta(days=7)
        return monday + timedelta(days=index)
    return said_on + timedelta(days=ahead or (0 if which else 7))


def _day_of_month(number: int, said_on: date, shift: int) -> date | None:
    year, month = said_on.year, said_on.month
    for _ in range(12):
        day = _date(year, month, number)
        if day and (day >= said_on if shift > 0 else day <= said_on):
            return day
        year, month = _month_after(year, month, shift)
    return None


def _month_after(year: int, month: int, months: int) -> tuple[int, int]:
    total = year * 12 + month - 1 + months
    return total // 12, total % 12 + 1


def _away(count: str, unit: str, said_on: date, sign: int) -> tuple[str, date] | None:
    word = count.lower()
    number = int(word) if word.isdigit() else 1 if word in ("a", "an") else _COUNTS.index(word) + 1
    unit = unit.lower()
    try:
        if unit == "day":
            day = said_on + timedelta(days=sign * number)
            return f"on {spell(day)}", day
        if unit == "week":
            day = said_on + timedelta(weeks=sign * number)
            return f"around {spell(day)}", day
        months = number * (12 if unit == "year" else 1)
        year, month = _month_after(said_on.year, said_on.month, sign * months)
        day = date(year, month, 1)
    except (ValueError, OverflowError):
        return None
    return (f"in {day.year}" if unit == "year" else f"in {day:%B} {day.year}"), day


_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}


def _span(which: str, unit: str, said_on: date) -> tuple[str, date] | None:
    step = {"next": 1, "this": 0, "last": -1}[which]
    if unit in ("week", "weekend"):
        monday = said_on - timedelta(days=said_on.weekday()) + timedelta(weeks=step)
        if unit == "weekend":
            return f"on the weekend of {spell(monday + timedelta(days=5))}", monday + timedelta(days=5)
        return f"in the week of {spell(monday)}", monday
    if unit == "month":
        day = date(*_month_after(said_on.year, said_on.month, step), 1)
        return f"in {day:%B} {day.year}", day
    if unit == "year":
        return f"in {said_on.year + step}", date(said_on.year + step, 1, 1)
    season = _SEASONS.get(unit)
    month = season or _month_index(unit)
    year = said_on.year
    if step == 1 and month <= said_on.month:
        year += 1
    if step == -1 and month + (2 if season else 0) >= said_on.month:
        year -= 1
    day = date(year, month, 1)
    return f"in {unit if season else format(day, '%B')} {year}", day
