"""The whole product on what people say: told, asked in other words, never told, and free chats with written rules.

Everything goes through the real path: an encrypted home in a temporary folder, the model that is configured, and
for questions about what was told a new process each, as if it were the next day.

Formats (JSON Lines): ``told`` rows hold ``tell``, ``ask`` and ``answer_any``; ``untold`` rows hold ``ask``; ``chats``
rows hold ``turns`` with ``user``, ``kind``, ``must_any`` and ``must_not``. Matching ignores case; an expected text
that begins or ends with a digit must not be part of a longer number.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from mnemon import words
from mnemon.answering.gate import is_broken, says_unknown
from mnemon.assistant import Assistant
from mnemon.errors import InputError

Progress = Callable[[str, int, int], None]
Row = dict[str, Any]
PROCESS_SECONDS = 120


def read_rows(path: Path) -> list[Row]:
    """The rows of a JSON Lines file.

    Raises:
        InputError: It is missing or not JSON Lines.
    """
    try:
        return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read as JSON Lines: {error}.", hint="Check the path.") from error


def run(folder: Path, *, model: str | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """All that lies in ``folder``: ``told-facts.jsonl`` with ``untold.jsonl``, and ``free-chats.jsonl``.

    Returns:
        The figures, and under ``transcripts`` every question with its answer.
    """
    report = ask_told(
        read_rows(folder / "told-facts.jsonl"), read_rows(folder / "untold.jsonl"), model=model, progress=progress
    )
    chats = free_chats(read_rows(folder / "free-chats.jsonl"), model=model, progress=progress)
    report["transcripts"] += chats.pop("transcripts")
    return {**report, "free_chats": chats}


def run_told(*, model: str | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Mnemon's own forty told facts of ten kinds and ten questions nothing told answers."""
    text = resources.files("mnemon.evaluation").joinpath("told_facts.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    told = [row for row in rows if row["tell"]]
    return ask_told(told, [row for row in rows if not row["tell"]], model=model, progress=progress)


def ask_told(
    told: Sequence[Row], untold: Sequence[Row], *, model: str | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Tell everything first, then ask each question in a new process.

    ``invented`` counts answers to untold questions that neither say "I don't know" nor quote words that were told.
    """
    say = progress or (lambda *_: None)
    transcripts: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="mnemon-eval-") as root:
        with Assistant(root, model=model) as assistant:
            for i, row in enumerate(told):
                say("telling", i, len(told))
                transcripts.append({"user": row["tell"], "answer": assistant.ask(row["tell"]).text})
        ranks: list[int] = []
        right = 0
        for i, row in enumerate(told):
            say("asking", i, len(told))
            answer = _ask_in_new_process(root, row["ask"], model)
            texts = [memory["source"]["text"] for memory in answer["recalled"] if memory["source"]]
            ranks.append(texts.index(row["tell"]) + 1 if row["tell"] in texts else 0)
            passed = matches_any(answer["answer"], row["answer_any"])
            right += passed
            transcripts.append(_transcript(row, answer, passed=passed, rank=ranks[-1]))
        unknown = invented = 0
        for i, row in enumerate(untold):
            say("asking what was never told", i, len(untold))
            answer = _ask_in_new_process(root, row["ask"], model)
            text = answer["answer"]
            unknown += says_unknown(text)
            quotes = any(" ".join(t["tell"].split()).rstrip(".") in text for t in told)
            made_up = not says_unknown(text) and not quotes
            invented += made_up
            transcripts.append(_transcript(row, answer, passed=not made_up))
    return {
        "told_facts": {
            "questions": len(told),
            "recalled_first": _share(sum(rank == 1 for rank in ranks), len(told)),
            "recalled_first_three": _share(sum(0 < rank <= 3 for rank in ranks), len(told)),
            "answered": _share(right, len(told)),
        },
        "untold": {
            "questions": len(untold),
            "says_unknown": _share(unknown, len(untold)),
            "nothing_invented": _share(len(untold) - invented, len(untold)),
        },
        "transcripts": transcripts,
    }


def free_chats(chats: Sequence[Row], *, model: str | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Every chat in a home of its own; turns with rules are scored, and every answer is checked for breakage."""
    say = progress or (lambda *_: None)
    scored: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    broken: list[str] = []
    transcripts: list[Row] = []
    turns = 0
    for i, row in enumerate(chats):
        say("chatting", i, len(chats))
        with tempfile.TemporaryDirectory(prefix="mnemon-eval-") as root, Assistant(root, model=model) as assistant:
            chat = assistant.chat()
            for turn in row["turns"]:
                answer = chat.send(turn["user"]).finish()
                assistant.wait()
                turns += 1
                if looks_broken(answer.text):
                    broken.append(answer.text)
                verdict = _follows_rules(answer.text, turn)
                if verdict is not None:
                    scored[turn["kind"]] += 1
                    passed[turn["kind"]] += verdict
                transcripts.append(
                    _transcript(turn, answer.as_dict(), passed=verdict) | {"chat": row["id"], "kind": turn["kind"]}
                )
    return {
        "chats": len(chats),
        "turns": turns,
        "passed": _share(sum(passed.values()), sum(scored.values())),
        "by_kind": {kind: {"scored": n, "passed": _share(passed[kind], n)} for kind, n in sorted(scored.items())},
        "broken": broken,
        "transcripts": transcripts,
    }


def matches_any(text: str, expected: Iterable[str]) -> bool:
    """Whether one of ``expected`` occurs in ``text``."""
    return any(_pattern(wanted).search(text) for wanted in expected)


def looks_broken(text: str) -> bool:
    """Whether an answer is empty, shows role markers, or says the same thing over and over."""
    if not text.strip() or is_broken(text):
        return True
    tokens = [w.lower() for w in words.words(text)]
    runs: dict[tuple[str, ...], int] = defaultdict(int)
    for i in range(len(tokens) - 2):
        runs[tuple(tokens[i : i + 3])] += 1
    return any(n > 3 for n in runs.values())


def _follows_rules(text: str, turn: Row) -> bool | None:
    if not turn["must_any"] and not turn["must_not"]:
        return None
    return (not turn["must_any"] or matches_any(text, turn["must_any"])) and not matches_any(text, turn["must_not"])


def _pattern(wanted: str) -> re.Pattern[str]:
    before = r"(?<!\d)" if wanted[:1].isdigit() else ""
    after = r"(?!\d)" if wanted[-1:].isdigit() else ""
    return re.compile(before + re.escape(wanted) + after, re.IGNORECASE)


def _ask_in_new_process(root: str, question: str, model: str | None) -> Row:
    command = [sys.executable, "-m", "mnemon", "ask", question, "--json"]
    if model:
        command += ["--model", model]
    done = subprocess.run(  # noqa: S603 (our own interpreter, a list, no shell)
        command,
        env={**os.environ, "MNEMON_HOME": root},
        capture_output=True,
        text=True,
        timeout=PROCESS_SECONDS,
        check=False,
    )
    if done.returncode:
        raise InputError(f"`mnemon ask` ended with {done.returncode}: {done.stderr.strip()}", hint="Try it by hand.")
    answer: Row = json.loads(done.stdout)
    return answer


def _transcript(row: Row, answer: Row, *, passed: bool | None, rank: int | None = None) -> Row:
    return {
        "user": row.get("ask") or row.get("user"),
        "answer": answer["answer"],
        "route": answer["route"],
        "reason": answer["route_reason"],
        "passed": passed,
        **({} if rank is None else {"rank": rank}),
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 3) if whole else 0.0
