"""Is what was told found among thousands of other messages? No model reads, no judge scores.

No facts are taken from any message: each is found by its words and its meaning alone. Each question is asked by
``Memory.recall``, as an answer would. There are two kinds of others:

* ``statements``: whatever users say in a folder's dialogues, thousands of people's words as if one owner had said
  them all, each a conversation of its own. Many are as good an answer as the right one ("I play the piano." where
  the owner told "I play the oboe."), and no ranking can know which is meant.
* ``talks``: whole dialogues of that folder as a memory holds them, each message with who said it. Talks with an
  assistant are the owner's and Mnemon's; corpora of two people talking are imported talks between two others.
"""

from __future__ import annotations

import json
import lzma
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import Any

from mnemon.errors import InputError
from mnemon.evaluation import retrieval
from mnemon.evaluation.metrics import mean, percentile
from mnemon.evaluation.spoken import read_rows
from mnemon.memory.importers import Talk, Turn
from mnemon.memory.memory import Memory
from mnemon.memory.phrasing import is_plain_question
from mnemon.memory.records import MessageRole
from mnemon.voice import as_first_person

DEPTHS = {"first": 1, "first_three": 3, "first_ten": 10}
_BETWEEN_PEOPLE = ("self-dialogue", "synthetic-persona-chat", "topical-chat")
"""What a dialogue's ``source`` begins with where two people talk about their own lives."""
_SHORTEST = 12  # characters; "Yes, please." tells nothing
_BEGAN = datetime(2025, 1, 1, 8, tzinfo=UTC)


def run(
    told: Path,
    count: int,
    folder: Path | None = None,
    *,
    as_talks: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Put what is told among ``count`` other messages and ask for it.

    Args:
        told: JSON Lines with ``tell`` and ``ask``.
        folder: Where other messages come from: its files of dialogues, see :func:`dialogues`. None: Mnemon's own.
        as_talks: They are whole talks, see :func:`talks`; needs a folder.

    Returns:
        ``told`` and ``others`` (how many), the shares of questions whose message is the ``first``, among the
        ``first_three`` and the ``first_ten``, and ``ms`` (p50 and p95 of one search).

    Raises:
        InputError: A file cannot be read, or there are not so many other messages.
    """
    rows = read_rows(told)
    if not rows or not all("tell" in row and "ask" in row for row in rows):
        raise InputError(f"{told} has rows without tell and ask.", hint="Check the path.")
    tells = [row["tell"] for row in rows]
    others: Sequence[Talk]
    if as_talks:
        if folder is None:
            raise InputError("Whole talks need a folder of dialogues.", hint="Name it.")
        others = talks(folder, count)
    else:
        others = alone(_some(statements(folder) if folder else own_statements(), count))
    ranks: list[int] = []
    times: list[float] = []
    with Memory.temporary() as memory:
        retrieval.save(memory, mixed(others, alone(tells, "told")))
        memory.warm()
        for number, row in enumerate(rows):
            started = time.perf_counter()
            recalled = memory.recall(row["ask"], limit=max(DEPTHS.values()))
            times.append((time.perf_counter() - started) * 1000)
            texts = [found.source.text for found in recalled if found.source]
            ranks.append(texts.index(row["tell"]) + 1 if row["tell"] in texts else 0)
            if progress:
                progress(number + 1, len(rows))
    shares = {name: round(mean([0 < rank <= depth for rank in ranks]), 3) for name, depth in DEPTHS.items()}
    ms = {"p50": round(percentile(times, 0.5), 2), "p95": round(percentile(times, 0.95), 2)}
    messages = sum(len(talk.turns) for talk in others)
    return {"told": len(rows), "others": messages, **shares, "ms": ms}


def dialogues(folder: Path) -> Iterator[dict[str, Any]]:
    """The dialogues of a folder: the rows of ``*.jsonl`` and ``*.jsonl.xz`` that hold ``messages``.

    Raises:
        InputError: There is no such file, or one is damaged.
    """
    files = sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.xz")])
    if not files:
        raise InputError(f"There is no *.jsonl or *.jsonl.xz in {folder}.", hint="Check the path.")
    for path in files:
        try:
            with (lzma.open if path.suffix == ".xz" else open)(path, "rt", encoding="utf-8") as file:
                for line in file:
                    row = json.loads(line)
                    if "messages" not in row:
                        break  # a file of prose
                    row["messages"] = [(said["role"], said["content"].strip()) for said in row["messages"]]
                    yield row
        except (OSError, EOFError, lzma.LZMAError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} cannot be read: {error}.", hint="Get the file again.") from error


def statements(folder: Path) -> Iterator[str]:
    """What the users of a folder's dialogues say; see :func:`dialogues` for what it raises."""
    for row in dialogues(folder):
        yield from (text for role, text in row["messages"] if role == "user")


def talks(folder: Path, count: int) -> list[Talk]:
    """Dialogues of a folder, drawn by chance, each file's as likely as another's, until there are ``count`` messages
    or a few more.

    Raises:
        InputError: As :func:`dialogues`, and when there are not so many.
    """
    chance = random.Random(5)
    by_source: dict[str, list[tuple[bool, list[tuple[str, str]]]]] = {}
    for row in dialogues(folder):
        source = str(row.get("source", "")).split("/")[0]
        by_source.setdefault(source, []).append((source.startswith(_BETWEEN_PEOPLE), row["messages"]))
    sources = list(by_source.values())
    for several in sources:
        chance.shuffle(several)
    found: list[Talk] = []
    messages = 0
    while messages < count:
        sources = [several for several in sources if several]
        if not sources:
            raise InputError(
                f"There are only {messages:,} other messages.", hint="Ask for fewer, or name a larger folder."
            )
        between, said = chance.choice(sources).pop()
        talk = _talk(str(len(found)), [(role, text) for role, text in said if text], between=between)
        messages += len(talk.turns)
        found.append(talk)
    return found


def own_statements() -> Iterator[str]:
    """Made-up facts in the first person: those of Mnemon's own cases, alone and then two in one breath."""
    text = resources.files("mnemon.evaluation").joinpath("built_in_cases.jsonl").read_text("utf-8")
    notes = dict.fromkeys(note for line in text.splitlines() for note in json.loads(line).get("notes", ()))
    facts = [as_first_person(note) for note in notes]
    yield from facts
    chance = random.Random(3)
    chance.shuffle(facts)
    yield from (f"{one} {other}" for one, other in combinations(facts, 2))


def _some(texts: Iterator[str], count: int) -> list[str]:
    """``count`` different statements; from a folder of millions no more are read than a fair choice needs."""
    pool: dict[str, None] = {}
    for text in texts:
        if len(text) >= _SHORTEST and not is_plain_question(text):
            pool[text.strip()] = None
        if len(pool) >= count * 100:
            break
    if len(pool) < count:
        raise InputError(
            f"There are only {len(pool):,} other messages.", hint="Ask for fewer, or name a larger folder."
        )
    return random.Random(5).sample(list(pool), count)


def alone(texts: Sequence[str], name: str = "other") -> list[Talk]:
    """Each text a talk of its own, the owner's."""
    return [_talk(f"{name}-{number}", [("user", text)], between=False) for number, text in enumerate(texts)]


def mixed(others: Sequence[Talk], told: Sequence[Talk]) -> Iterator[Talk]:
    """All of them in an order that chance decides, one every half hour."""
    together = [*others, *told]
    random.Random(5).shuffle(together)
    for number, talk in enumerate(together):
        talk.created_at = _BEGAN + timedelta(minutes=30 * number)
        talk.turns = [
            replace(turn, said_at=talk.created_at + timedelta(seconds=second))
            for second, turn in enumerate(talk.turns)
        ]
        yield talk


def _talk(name: str, said: Sequence[tuple[str, str]], *, between: bool) -> Talk:
    turns: list[Turn] = []
    for number, (who, text) in enumerate(said):
        role: MessageRole = "other" if between else "owner" if who == "user" else "assistant"
        speaker = f"{'ab'[who != 'user']}{name}" if between else ""
        turns.append(Turn(str(number), str(number - 1) if number else None, role, text, _BEGAN, speaker))
    return Talk("among", name, "", _BEGAN, turns)
