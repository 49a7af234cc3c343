"""The cases a chat model is measured on by itself, and the prompt of each as the product lays it out.

Format (JSON Lines): ``task`` (one of :data:`TASKS`), ``notes`` (facts in view), ``episodes`` (pairs of a day and
"The user said: …"), ``turns`` (pairs of ``user`` or ``assistant`` and words), ``question`` (the message to extract
from; for a profile the facts as they are listed, or nothing: then they are taken from the notes), ``must_all``,
``must_any`` and ``must_not`` (what the answer has to hold, or must not), ``lines`` (the facts to extract) and
``values`` (names, numbers and days the case is about: they tell which words are names). All but ``task`` may be left
out where they are empty.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from mnemon.errors import InputError
from mnemon.memory import extraction
from mnemon.memory.records import Message, Recalled, Source
from mnemon.profile import composition
from mnemon.runtime import prompt
from mnemon.runtime.chat_model import ChatMessage, ModelInfo

Task = Literal[
    "recall",
    "unknown",
    "update",
    "extraction",
    "in_conversation",
    "acknowledge",
    "list",
    "dated",
    "profile",
    "hard",
    "smalltalk",
    "meta",
]
TASKS: tuple[Task, ...] = get_args(Task)
TOLD: frozenset[Task] = frozenset(
    ("recall", "unknown", "update", "extraction", "in_conversation", "acknowledge", "list", "dated", "profile")
)
"""Tasks whose answers are about the owner in every sentence."""

TODAY = date(2026, 11, 21)
"""The day that models which read it are told: always the same, so that two runs are alike."""
ANSWER_TOKENS = 96
_OURS = "built_in_cases.jsonl"
_NEEDED: frozenset[Task] = frozenset(("recall", "update", "in_conversation", "acknowledge", "list", "dated"))
_EPISODE = re.compile(r"(?P<who>.{1,60}?) said: (?P<said>.+?)(?P<over> \(no longer so\))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Case:
    """One case; see the module for its fields."""

    task: Task
    question: str
    notes: tuple[str, ...] = ()
    episodes: tuple[tuple[date, str], ...] = ()
    turns: tuple[tuple[Literal["user", "assistant"], str], ...] = ()
    must_all: tuple[str, ...] = ()
    must_any: tuple[str, ...] = ()
    must_not: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    values: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything in the case that an answer may rest on."""
        return (*self.notes, *(said for _, said in self.episodes), *(said for _, said in self.turns), self.question)

    @property
    def listed(self) -> list[str]:
        """For a profile: the facts as they are given to the model."""
        return [line.strip().removeprefix("- ") for line in self.question.splitlines() or self.notes if line.strip()]

    @property
    def memories(self) -> list[Recalled]:
        """Its notes and episodes as what was recalled."""
        facts = [
            Recalled(f"f{i}", "fact", note.removeprefix("- "), 1.0, 1.0, 1.0, None)
            for i, note in enumerate(self.notes, 1)
        ]
        return facts + [_episode(i, day, text) for i, (day, text) in enumerate(self.episodes, 1)]


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked for a case.

    Attributes:
        grammar: GBNF that the answer has to match, for tasks that have one in the product.
    """

    messages: tuple[ChatMessage, ...]
    max_tokens: int = ANSWER_TOKENS
    grammar: str | None = None


@dataclass(frozen=True, slots=True)
class Cases:
    """The cases of a file, and its SHA-256: figures can be compared where that is the same."""

    cases: tuple[Case, ...]
    sha256: str


def read_cases(path: Path | None = None) -> Cases:
    """The cases of a file, or those that come with Mnemon.

    Raises:
        InputError: The file is missing, is not JSON Lines, holds no case, or a line of it is wrong.
    """
    name, hint = _OURS, "Reinstall mnemon, or name a file with --cases."
    if path is not None:
        name, hint = str(path), "Check the path."
    source = path or resources.files("mnemon.evaluation").joinpath(_OURS)
    try:
        data = source.read_bytes()
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The cases in {name} cannot be read: {error}.", hint=hint) from error
    cases: list[Case] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                cases.append(_case(json.loads(line)))
            except (ValueError, TypeError) as error:
                raise InputError(f"Line {number} of {name} is no case: {error}.", hint="Mend the line.") from error
    if not cases:
        raise InputError(f"There is no case in {name}.", hint=hint)
    return Cases(tuple(cases), hashlib.sha256(data).hexdigest())


def request(case: Case, info: ModelInfo) -> Request:
    """The prompt of a case for the model ``info`` describes.

    Every note is shown, however many: a case says what is in view, the model's own limit does not.
    """
    if case.task == "extraction":
        messages = (ChatMessage("system", extraction.SYSTEM), ChatMessage("user", case.question.strip()))
        return Request(messages, extraction.MAX_TOKENS, extraction.GRAMMAR)
    if case.task == "profile":
        listed = "\n".join(map(prompt.fact_line, case.listed))
        return Request(
            (ChatMessage("system", composition.SYSTEM), ChatMessage("user", listed)), composition.MAX_TOKENS
        )
    memories = case.memories
    history = [
        _message(number, "owner" if role == "user" else "assistant", said)
        for number, (role, said) in enumerate(case.turns, 1)
    ]
    question = _message(len(history) + 1, "owner", case.question)
    limit = max(1, len(memories))
    if info.memory_placement == "message":
        notes = prompt.notes(memories, datetime.combine(TODAY, time(12)), limit=limit)
        question = replace(question, context=notes)
    shown = replace(info, memory_limit=limit)
    return Request(tuple(prompt.lay_out(shown, history, question, memories, "")))


def _case(row: Any) -> Case:
    if not isinstance(row, Mapping):
        raise TypeError("it is no object")
    task = row.get("task")
    if task not in TASKS:
        raise ValueError(f"its task {task!r} is none of {', '.join(TASKS)}")
    case = Case(
        task=task,
        question=_text(row.get("question", ""), "question"),
        notes=_texts(row, "notes"),
        episodes=tuple((date.fromisoformat(day), said) for day, said in _pairs(row, "episodes")),
        turns=tuple((_role(role), said) for role, said in _pairs(row, "turns")),
        must_all=_texts(row, "must_all"),
        must_any=_texts(row, "must_any"),
        must_not=_texts(row, "must_not"),
        lines=tuple(line for line in _texts(row, "lines") if line != "NONE"),
        values=_texts(row, "values"),
    )
    if task == "profile":
        if not case.notes:
            raise ValueError("a profile needs notes")
    elif not case.question.strip():
        raise ValueError("it has no question")
    if task in _NEEDED and not (case.must_all or case.must_any):
        raise ValueError("it has neither must_all nor must_any, so that any answer would be right")
    return case


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"its {key} is no text: {value!r}")
    return value


def _texts(row: Mapping[str, Any], key: str) -> tuple[str, ...]:
    values = row.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) and value.strip() for value in values):
        raise TypeError(f"its {key} is no list of texts: {values!r}")
    return tuple(values)


def _pairs(row: Mapping[str, Any], key: str) -> list[tuple[str, str]]:
    pairs = row.get(key, [])
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair) for pair in pairs
    ):
        raise TypeError(f"its {key} is no list of pairs of texts: {pairs!r}")
    return [(first, second) for first, second in pairs]


def _role(role: str) -> Literal["user", "assistant"]:
    if role == "user":
        return "user"
    if role == "assistant":
        return "assistant"
    raise ValueError(f"{role!r} is neither user nor assistant")


def _message(number: int, role: Literal["owner", "assistant"], text: str) -> Message:
    return Message(number, 1, number - 1 or None, role, "", text, datetime.combine(TODAY, time(12)).astimezone())


def _episode(number: int, day: date, text: str) -> Recalled:
    found = _EPISODE.fullmatch(text.strip())
    who, said = (found["who"], found["said"]) if found else ("The user", text.strip())
    by_owner: Sequence[str] = ("The user", "You")
    source = Source(
        message_id=f"m{number}",
        conversation_id=number,
        speaker="" if who in by_owner else who,
        role="owner" if who in by_owner else "other",
        said_at=datetime.combine(day, time(12)).astimezone(),
        text=said,
    )
    return Recalled(f"m{number}", "message", said, 1.0, 1.0, 1.0, source, valid=not (found and found["over"]))
