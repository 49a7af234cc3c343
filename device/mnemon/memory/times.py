"""Time in a question: "last spring", "in March", "two weeks ago" as days, held against what was said when.

A message bears on a span of time when it names a day in it, seen from the day it was said ("yesterday" said on 5 May
is 4 May), or when it was said then and names no other time. A question that asks when prefers messages that name a
time. A question without any time in it costs one regular expression.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from mnemon.memory.dates import DAYS, MONTHS, resolve

Span = tuple[date, date]
"""The first and the last day."""

_MONTH = "(?:" + "|".join(MONTHS) + ")"
_SHORT_MONTH = "(?:" + "|".join(name[:3] for name in MONTHS) + r")[a-z]{0,6}"
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_FEASTS = {"christmas eve": (12, 24, 0), "christmas": (12, 24, 2), "new year": (12, 31, 1), "halloween": (10, 31, 0)}
_FEAST = "(?:christmas eve|christmas|new year|halloween)"

_ANY = re.compile(
    rf"\b(?:{'|'.join(DAYS)}|today|tonight|yesterday|tomorrow|ago|(?:19|20)\d\d|{_FEAST}"
    r"|(?:last|next|this|past) (?:night|week|weekend|month|year|spring|summer|autumn|fall|winter)"
    rf"|(?:\d{{1,2}}(?:st|nd|rd|th)?(?: of)?|in|on|of|since|during|until|before|after|early|late|last|this|next)"
    rf" {_SHORT_MONTH}\b|{_SHORT_MONTH} \d{{1,2}}(?:st|nd|rd|th)?|on the \d{{1,2}}(?:st|nd|rd|th)"
    r"|\d{1,2}[./]\d{1,2}[./]\d{2,4}"
    r"|in (?:an?|two|three|four|five|six|\d+) (?:day|week|month|year)s?)\b",
    re.IGNORECASE,
)
_ASKS_WHEN = re.compile(
    r"\bwhen (?:did|was|were|is|are|will|do|does|had|have|has)\b|\b(?:what|which) (?:date|day|month|year)\b"
    r"|\bhow long ago\b",
    re.IGNORECASE,
)
_SPELT = re.compile(
    rf"(?P<around>(?:week|weekend|around)(?: of)? )?(?:the )?(?P<d>\d{{1,2}}) (?P<m>{_MONTH}) (?P<y>\d{{4}})\b"
    rf"|\b(?P<m2>{_MONTH}|{'|'.join(_SEASONS)})(?: of|,)? (?P<y2>(?:19|20)\d\d)\b"
    rf"|\b(?P<iso>(?:19|20)\d\d-\d\d-\d\d)\b|\b(?P<a>\d{{1,2}})[./](?P<b>\d{{1,2}})[./](?P<y3>(?:19|20)\d\d)\b"
    rf"|\b(?:in|of|since|during|until|before|after|early|late|last|this) (?P<m3>{_MONTH})\b(?! \d)"
    rf"|\b(?P<feast>{_FEAST})\b(?:[’']s)?(?: eve| day)?(?: (?P<y4>(?:19|20)\d\d))?"
    r"|\b(?P<y5>(?:19|20)\d\d)\b",
    re.IGNORECASE,
)
_OPEN = re.compile(r"\b(before|until|after|since)(?: (?:the|on|in))*\s*$", re.IGNORECASE)
_WIDE = timedelta(days=62)


@dataclass(frozen=True, slots=True)
class AskedTime:
    """What a question says of time.

    Attributes:
        spans: The days it names.
        when: It asks when something was or will be.
    """

    spans: tuple[Span, ...]
    when: bool


def asked_time(question: str, asked_on: date) -> AskedTime | None:
    """What ``question`` says of time, seen from the day it is asked; None when that is nothing."""
    when = bool(_ASKS_WHEN.search(question))
    spans = named(question, asked_on)
    return AskedTime(spans, when) if when or spans else None


@lru_cache(maxsize=4096)
def named(text: str, said_on: date) -> tuple[Span, ...]:
    """The days that ``text`` names, seen from the day it was said; a bare weekday or month is the last one."""
    if not _ANY.search(text) and not re.search(r"\d{4}-\d\d-\d\d", text):
        return ()
    try:
        spelt = resolve(text, said_on, past=True).text
    except (ValueError, OverflowError):  # a day before the year 1 or after 9999
        return ()
    found = []
    for match in _SPELT.finditer(spelt):
        for span in _spans(match, said_on):
            before = _OPEN.search(spelt[: match.start()]) or re.match(r"(before|until|after|since) ", match[0], re.I)
            found.append(_opened(span, before[1].lower()) if before else span)
    return tuple(found)


def bears(asked: AskedTime, text: str, said_on: date) -> float:
    """How far the time of a message fits what was asked, in [0, 1]."""
    told = named(text, said_on)
    if not asked.spans:
        return float(bool(told))
    best = 0.0
    for first, last in asked.spans:
        for start, end in told:
            if start <= last and first <= end:
                best = max(best, 1.0 if end - start <= max(_WIDE, last - first) else 0.5)
        if first <= said_on <= last:
            best = max(best, 0.5 if told else 1.0)
    return best


def _spans(match: re.Match[str], said_on: date) -> list[Span]:
    try:
        if match["d"]:
            day = date(int(match["y"]), _number(match["m"]), int(match["d"]))
            around = (match["around"] or "").lower()
            if around.startswith("around"):
                return [(day - timedelta(days=4), day + timedelta(days=4))]
            return [(day, day + timedelta(days=6 if around.startswith("week ") else 1 if around else 0))]
        if match["iso"]:
            day = date.fromisoformat(match["iso"])
            return [(day, day)]
        if match["a"]:  # 3/5/2026 is 3 May or March 5th
            pairs = {(int(match["a"]), int(match["b"])), (int(match["b"]), int(match["a"]))}
            days = [date(int(match["y3"]), month, day) for day, month in pairs if month <= 12]
            return [(day, day) for day in days]
        if match["m2"]:
            return [_month(int(match["y2"]), match["m2"].lower())]
        if match["m3"]:
            month = _number(match["m3"])
            return [_month(said_on.year - (month > said_on.month), match["m3"].lower())]
        if match["feast"]:
            month, first, more = _FEASTS[match["feast"].lower()]
            year = int(match["y4"]) if match["y4"] else said_on.year
            day = date(year, month, first)
            if not match["y4"] and day > said_on:
                day = date(year - 1, month, first)
            return [(day, day + timedelta(days=more))]
        year = int(match["y5"])
        return [(date(year, 1, 1), date(year, 12, 31))]
    except (ValueError, OverflowError):  # 31 February
        return []


def _month(year: int, name: str) -> Span:
    first = _SEASONS.get(name) or _number(name)
    months = 3 if name in _SEASONS else 1
    total = year * 12 + first - 1 + months - 1
    end_year, end_month = total // 12, total % 12 + 1
    return date(year, first, 1), date(end_year, end_month, calendar.monthrange(end_year, end_month)[1])


def _number(month: str) -> int:
    return MONTHS.index(month.lower()) + 1


def _opened(span: Span, which: str) -> Span:
    if which in ("before", "until"):
        return date.min, span[0] - timedelta(days=1) if which == "before" else span[1]
    return (span[1] + timedelta(days=1) if which == "after" else span[0]), date.max
