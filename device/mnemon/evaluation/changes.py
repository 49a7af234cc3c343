"""Life changes through the whole product: what was true is told, a month later what is true now; then both are asked.

Format (JSON Lines): ``first``, ``later``, ``ask_now`` with ``now_any``, ``ask_before`` with ``before_any``; ``kind``
is optional. Each row has an encrypted home of its own, opened anew for each of the three days.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

from mnemon.assistant import Assistant
from mnemon.evaluation.spoken import Progress, Row, matches_any, read_rows
from mnemon.runtime.chat_model import ChatModel

FIRST_DAY = datetime(2026, 3, 3, 18, 30, tzinfo=UTC)
BETWEEN = timedelta(days=30)
_PAST = re.compile(
    r"\b(?:before|may have changed|until|used to|no longer|not (?:any ?more|any longer)|changed|earlier"
    r"|previously|was|were|had|did)\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"“[^”]*”")


def run(path: Path | None = None, *, model: str | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """The rows of ``path``, or Mnemon's own hundred.

    Returns:
        Under ``present`` the share of questions about now answered with what holds, and how often something ended
        was told as if it held; under ``past`` the share of questions about before answered with what held then;
        ``by_kind`` the same for each kind, and every question with its answer under ``transcripts``.

    Raises:
        InputError: The file is missing or not JSON Lines.
    """
    rows = read_rows(path) if path else _own_rows()
    say = progress or (lambda *_: None)
    transcripts: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="mnemon-eval-") as root, Assistant(root, model=model) as owner:
        for i, row in enumerate(rows):
            say("asking", i, len(rows))
            transcripts.append(_live_through(row, owner.model))
    kinds = sorted({row["kind"] for row in transcripts})
    by_kind = {kind: _figures([row for row in transcripts if row["kind"] == kind]) for kind in kinds}
    return {**_figures(transcripts), "by_kind": by_kind, "transcripts": transcripts}


def _own_rows() -> list[Row]:
    text = resources.files("mnemon.evaluation").joinpath("life_changes.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _live_through(row: Row, model: ChatModel) -> Row:
    """Tell both, a month apart; another month later ask both in one conversation of a new session."""
    day = FIRST_DAY
    with tempfile.TemporaryDirectory(prefix="mnemon-eval-") as root:
        with Assistant(root, chat_model=model, now=lambda: day) as assistant:
            for text in (row["first"], row["later"]):
                assistant.ask(text)
                assistant.wait()
                day += BETWEEN
            facts = [
                {"text": fact.text, "holds": fact.valid_to is None, "origin": fact.origin}
                for fact in assistant.memory.facts.list(valid_only=False)
            ]
        with Assistant(root, chat_model=model, now=lambda: day) as assistant:
            chat = assistant.chat()
            now, before = chat.send(row["ask_now"]).finish(), chat.send(row["ask_before"]).finish()
    return {
        "kind": row.get("kind", "any"),
        **{name: row[name] for name in ("first", "later", "ask_now", "ask_before")},
        "now": now.text,
        "now_route": now.route,
        "before": before.text,
        "before_route": before.route,
        "facts": facts,
        "now_right": matches_any(now.text, row["now_any"]),
        "before_right": matches_any(before.text, row["before_any"]),
        "ended_as_present": _tells_as_present(now.text, row),
    }


def _tells_as_present(answer: str, row: Row) -> bool:
    """What held before is named in the answer about now, with neither the owner's new words nor a past tense."""
    around = answer.replace(row["later"].rstrip("."), "")
    ended = [value for value in row["before_any"] if not matches_any(value, row["now_any"])]
    own = [value for value in ended if not matches_any(row["ask_now"], [value])]
    return matches_any(around, own) and not _PAST.search(_QUOTED.sub("", around))


def _figures(transcripts: Sequence[Row]) -> dict[str, Any]:
    count = len(transcripts)

    def share(name: str) -> float:
        return round(sum(row[name] for row in transcripts) / count, 3) if count else 0.0

    return {
        "changes": count,
        "present": share("now_right"),
        "past": share("before_right"),
        "ended_as_present": share("ended_as_present"),
    }
