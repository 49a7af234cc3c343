"""A conversation as a Markdown file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mnemon.memory.records import Message
from mnemon.terminal.text import ROUTES, day_and_time


def to_markdown(title: str, messages: Sequence[Message]) -> str:
    """The branch that is shown, oldest message first, ready for any Markdown reader."""
    parts = [f"# {' '.join(title.split()) or 'Conversation'}"]
    for message in messages:
        notes = [day_and_time(message.said_at)]
        if message.role == "assistant":
            who = "Mnemon"
            notes += [ROUTES[message.route]] if message.route in ROUTES else []
            notes += [message.status] if message.status in ("stopped", "failed") else []
        else:
            who = "You" if message.role == "owner" else message.speaker or "Somebody"
        parts += [f"**{who}** ({', '.join(notes)})", message.text.strip() or "*(empty)*"]
    return "\n\n".join(parts) + "\n"


def suggested_path(title: str, folder: Path | None = None) -> Path:
    """A file name made from ``title`` that does not exist yet in ``folder`` (default: where Mnemon was started)."""
    folder = folder or Path.cwd()
    words = "".join(c if c.isalnum() else " " for c in title).split()[:8]
    stem = "-".join(words).lower()[:60] or "conversation"
    path = folder / f"{stem}.md"
    number = 2
    while path.exists():
        path = folder / f"{stem}-{number}.md"
        number += 1
    return path
