"""Forgetting through the whole product: things are told, the owner asks to forget one in their own words, and then
nothing of it may be left while everything else must be.

Format (JSON Lines): ``tell`` (a list), ``forget`` (the request), ``gone`` (texts that must be nowhere), ``stay_tell``
(told too) and ``stay_any`` (texts of it that must still be there). All rows live in one encrypted home, so that each
request meets the words of all the others; each row has a conversation of its own.

The owner of the evaluation confirms as a person would: of what is offered it takes the lines that were told under
``tell`` and leaves the others. How often the first list could have been confirmed as it stood is counted apart.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from mnemon.answering.forget_requests import Proposal
from mnemon.assistant import Assistant
from mnemon.evaluation.spoken import Progress, Row, matches_any, read_rows
from mnemon.turns import ForgetProposed, TurnFinished


def run(path: Path, *, model: str | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """The rows of ``path``.

    Returns:
        ``offered``: share of requests whose every line was offered; ``confirmed_as_is``: share for which a plain yes
        was exactly right; ``gone`` and ``stays``: shares of rows of which nothing is left, and whose other words are
        there and found; ``nothing_else_lost``: share of all other messages that are still there; ``transcripts``.

    Raises:
        InputError: The file is missing or not JSON Lines.
    """
    rows = read_rows(path)
    say = progress or (lambda *_: None)
    transcripts: list[Row] = []
    kept: list[str] = []
    with tempfile.TemporaryDirectory(prefix="mnemon-eval-") as root:
        talks: list[int] = []
        with Assistant(root, model=model) as assistant:
            for i, row in enumerate(rows):
                say("telling", i, len(rows))
                chat = assistant.chat()
                talks.append(chat.conversation_id)
                for text in (row["stay_tell"], *row["tell"]):
                    chat.send(text).finish()
            assistant.wait()
        with Assistant(root, model=model) as assistant:  # the next day
            for i, row in enumerate(rows):
                say("forgetting", i, len(rows))
                transcripts.append(_ask_to_forget(assistant, talks[i], row))
            assistant.wait()
        with Assistant(root, model=model) as assistant:
            assistant.wait()
            left = _everything(assistant)
            kept = [
                message.text
                for talk in talks
                for message in assistant.memory.messages.branch(talk)
                if message.role == "owner"
            ]
            for i, (row, transcript) in enumerate(zip(rows, transcripts, strict=True)):
                say("looking", i, len(rows))
                others = "\n".join(
                    text for other in rows if other is not row for text in (*other["tell"], other["stay_tell"])
                )
                gone = [text for text in row["gone"] if not matches_any(f"{others}\n{row['stay_tell']}", [text])]
                transcript["left_over"] = [text for text in gone if matches_any(left, [text])]
                found = assistant.recall(row["stay_tell"], limit=3)
                there = row["stay_tell"] in kept and any(one.text == row["stay_tell"] for one in found)
                transcript["stays"] = there and matches_any(left, row["stay_any"])
    return {**_figures(transcripts, rows, kept), "transcripts": transcripts}


def _ask_to_forget(assistant: Assistant, conversation: int, row: Row) -> Row:
    proposal: Proposal | None = None
    answer = ""
    for event in assistant.chat(conversation).send(row["forget"]):
        if isinstance(event, ForgetProposed):
            proposal = event.proposal
        elif isinstance(event, TurnFinished):
            answer = event.answer.text
    sure = proposal.sure if proposal else ()
    perhaps = proposal.perhaps if proposal else ()
    chosen = [line.id for line in (*sure, *perhaps) if line.text in row["tell"]]
    if proposal:
        assistant.forget_as_asked(proposal, chosen)
    return {
        "told": row["tell"],
        "forget": row["forget"],
        "answer": answer,
        "sure": [line.text for line in sure],
        "perhaps": [line.text for line in perhaps],
        "offered": {line.text for line in (*sure, *perhaps)} >= set(row["tell"]),
        "as_is": {line.text for line in sure} == set(row["tell"]),
    }


def _everything(assistant: Assistant) -> str:
    """All that any row of any table says, those of the word indexes included."""
    store = assistant.memory.store
    return "\n".join(
        value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        for table in store.db.table_names()
        if table != "vectors"
        for row in store.tuples(f'SELECT * FROM "{table}"')  # noqa: S608
        for value in row
    )


def _figures(transcripts: list[Row], rows: list[Row], kept: list[str]) -> dict[str, Any]:
    def share(count: int, of: int) -> float:
        return round(count / of, 3) if of else 0.0

    expected = [row["stay_tell"] for row in rows]
    return {
        "requests": len(rows),
        "offered": share(sum(row["offered"] for row in transcripts), len(rows)),
        "confirmed_as_is": share(sum(row["as_is"] for row in transcripts), len(rows)),
        "gone": share(sum(not row["left_over"] for row in transcripts), len(rows)),
        "stays": share(sum(row["stays"] for row in transcripts), len(rows)),
        "nothing_else_lost": share(sum(text in kept for text in expected), len(expected)),
    }
