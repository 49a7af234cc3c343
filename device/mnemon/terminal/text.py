"""Small helpers for words and days as people read them."""

from __future__ import annotations

import re
from datetime import datetime

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

ROUTES = {"local": "said", "quoted": "quoted", "unknown": "not known", "cloud": "cloud", "edited": "in your words"}
"""How an answer came about, in the words the app uses."""

ROUTE_SENTENCES = {
    "edited": "In your words: you wrote this answer.",
    "local": "Said by the model, in its own words.",
    "quoted": "Quoted: these are your own words.",
    "unknown": "Not known: nothing near enough was found.",
    "cloud": "From the cloud: a bigger model's words.",
}


def plain(text: str) -> str:
    """``text`` without what could steer the terminal: control and direction characters become ``\ufffd``.

    Line ends of every kind become ``\\n``; tabs stay.
    """
    return _CONTROL.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str, limit: int = 100) -> str:
    """``text`` on one line of at most ``limit`` characters."""
    line = " ".join(plain(text).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def day(moment: datetime) -> str:
    """The day in the owner's time zone, such as ``2 March 2026``."""
    local = moment.astimezone()
    return f"{local.day} {local:%B %Y}"


def day_and_time(moment: datetime) -> str:
    """Day and time in the owner's time zone, such as ``2 March 2026, 10:32``."""
    return f"{day(moment)}, {moment.astimezone():%H:%M}"


def when(moment: datetime) -> str:
    """The time alone for what was said today, else with its day: a day on every line is noise."""
    local = moment.astimezone()
    return f"{local:%H:%M}" if local.date() == datetime.now(local.tzinfo).date() else day_and_time(moment)


def size(count: int) -> str:
    """Bytes as people say them: ``31 MB``, ``1.4 GB`` (powers of ten)."""
    if count >= 1_000_000_000:
        return f"{count / 1_000_000_000:.1f} GB"
    return f"{count / 1_000_000:.0f} MB" if count >= 1_000_000 else f"{count / 1000:.0f} kB"


def code_blocks(markdown: str) -> list[str]:
    """The contents of the code blocks of ``markdown``, in order, an unfinished last one included."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").parse(markdown)
    return [token.content for token in tokens if token.type in ("fence", "code_block")]
