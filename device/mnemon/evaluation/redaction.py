"""What would leave of messages: is all that is private gone, and all that must stay still there?

Format (JSON Lines): ``text``, ``memory`` (told facts), ``private`` (a list of ``value``, ``class``, ``known``) and
``keep`` (texts that must still be there). Each row has a memory of its own. Health counts as private, as by default.

A private value has left when it stands in what would leave as whole words, in any case, outside of a ``keep`` text.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from mnemon.evaluation.spoken import Row, read_rows
from mnemon.memory.memory import Memory
from mnemon.privacy.guard import Guard


def run(path: Path) -> dict[str, Any]:
    """The rows of ``path``.

    Returns:
        ``removed``: share of private values that would not leave (``known``: those in memory, ``by_pattern``: the
        others, ``by_kind``); ``kept``: share of texts that stay; ``exact``: share of messages that come back as they
        were; ``transcripts``.

    Raises:
        InputError: The file is missing or not JSON Lines.
    """
    transcripts = [_row(row) for row in read_rows(path)]
    private = [value for row in transcripts for value in row["private"]]
    keep = [text for row in transcripts for text in row["keep"]]
    kinds = Counter(value["class"] for value in private)
    return {
        "messages": len(transcripts),
        "private": len(private),
        "removed": _share(value["gone"] for value in private),
        "known": _share(value["gone"] for value in private if value["known"]),
        "by_pattern": _share(value["gone"] for value in private if not value["known"]),
        "by_kind": {kind: _share(v["gone"] for v in private if v["class"] == kind) for kind in sorted(kinds)},
        "kept": _share(text["stays"] for text in keep),
        "exact": _share(row["exact"] for row in transcripts),
        "refused": sum(row["decision"] == "refuse" for row in transcripts),
        "transcripts": transcripts,
    }


def _row(row: Row) -> Row:
    memory = Memory.temporary()
    try:
        for told in row.get("memory", ()):
            memory.facts.add(told, origin="owner")
        outgoing = Guard(memory).prepare(row["text"])
    finally:
        memory.close()
    allowed = outgoing.text
    for text in row["keep"]:
        allowed = re.sub(_whole(text), " ", allowed)
    return {
        "text": row["text"],
        "outgoing": outgoing.text,
        "decision": outgoing.decision.answer,
        "exact": outgoing.restorer.restore(outgoing.text) == row["text"],
        "private": [{**v, "gone": not re.search(_whole(v["value"]), allowed, re.IGNORECASE)} for v in row["private"]],
        "keep": [{"text": t, "stays": bool(re.search(_whole(t), outgoing.text, re.IGNORECASE))} for t in row["keep"]],
    }


def _whole(text: str) -> str:
    return rf"(?<![^\W_]){re.escape(text)}(?![^\W_])"


def _share(found: Any) -> float:
    values = [bool(one) for one in found]
    return round(sum(values) / len(values), 3) if values else 0.0
