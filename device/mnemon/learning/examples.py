"""What is learned from: what the owner did with an answer.

Examples are kept in the encrypted memory. Each names the messages and facts it rests on and goes with the first of
them that is forgotten or reworded; a trigger sees to it, whoever removes them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal, cast, get_args

from mnemon.errors import InputError
from mnemon.memory.records import from_ms, to_ms
from mnemon.runtime.chat_model import ChatMessage

if TYPE_CHECKING:
    from mnemon.memory.store import Store

Kind = Literal["accepted", "edited", "picked", "praised", "blamed", "rewritten", "asked"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_COLUMNS = "id, prompt, chosen, rejected, kind, conversation, at"


@dataclass(frozen=True, slots=True)
class Example:
    """One thing the owner did with an answer.

    Attributes:
        id: Its number as text, given by :meth:`Examples.add`.
        prompt: What the model had read when it answered.
        chosen: The answer the owner wants; empty when they only said which one they do not want.
        rejected: The one they do not want instead; None when there was no other.
        kind: What they did; ``asked`` is made from a past conversation, not from something they did.
        conversation: Examples are held out by conversation.
        memories: Ids of the messages and facts it rests on (``m12``, ``f3``): it goes when one of them is forgotten.
        at: When.
    """

    id: str
    prompt: tuple[ChatMessage, ...]
    chosen: str
    rejected: str | None
    kind: Kind
    conversation: str
    memories: tuple[str, ...]
    at: datetime


class Examples:
    """The examples of one memory.

    Args:
        store: The encrypted file.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, example: Example) -> Example:
        """Keep an example; what the owner said before about the same prompt in that conversation gives way to it.

        Returns:
            The example with its id.

        Raises:
            InputError: It has no prompt or no answer, or a memory that is no message or fact.
        """
        if not example.prompt or not (example.chosen.strip() or (example.rejected or "").strip()):
            raise InputError("An example needs a prompt and an answer.", hint="Give both.")
        prompt = json.dumps([[m.role, m.content] for m in example.prompt])
        with self._store.transaction():
            self._store.execute(
                "DELETE FROM learning_examples WHERE prompt = ? AND conversation = ?"
                " AND (? != 'asked' OR kind = 'asked')",
                (prompt, example.conversation, example.kind),
            )
            number = self._store.execute(
                "INSERT INTO learning_examples (prompt, chosen, rejected, kind, conversation, at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    prompt,
                    example.chosen,
                    example.rejected,
                    example.kind,
                    example.conversation,
                    to_ms(example.at),
                ),
            ).lastrowid
            for memory in dict.fromkeys(example.memories):
                if memory[:1] not in ("m", "f") or not memory[1:].isdecimal():
                    raise InputError(f"{memory!r} is not the id of a message or fact.", hint="Ids look like m12.")
                self._store.execute(
                    "INSERT INTO learning_sources (example_id, kind, ref) VALUES (?, ?, ?)",
                    (number, memory[0], int(memory[1:])),
                )
        return replace(example, id=str(number))

    def all(self) -> list[Example]:
        """Every example, the oldest first."""
        return self._where("1")

    def of(self, *kinds: Kind) -> list[Example]:
        """Those of some kinds, the oldest first."""
        return self._where("kind IN (SELECT value FROM json_each(?))", json.dumps(kinds))

    def count(self) -> int:
        """How many there are."""
        return int(self._store.tuples("SELECT count(*) FROM learning_examples")[0][0])

    def remove(self, ids: Collection[str]) -> None:
        """Take examples out; steps that used them are the versions' matter."""
        self._store.execute(
            "DELETE FROM learning_examples WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps([int(id) for id in ids]),),
        )

    def _where(self, condition: str, *values: str) -> list[Example]:
        with self._store.transaction():
            rows = self._store.tuples(
                f"SELECT {_COLUMNS} FROM learning_examples WHERE {condition} ORDER BY id",  # noqa: S608
                values,
            )
            sources: dict[int, list[str]] = {}
            for id, memory in self._store.tuples(
                "SELECT example_id, kind || ref FROM learning_sources ORDER BY kind, ref"
            ):
                sources.setdefault(id, []).append(memory)
        return [_example(row, sources.get(row[0], ())) for row in rows]


def _example(row: tuple[object, ...], memories: Sequence[str]) -> Example:
    id, prompt, chosen, rejected, kind, conversation, at = row
    return Example(
        str(id),
        tuple(ChatMessage(role, content) for role, content in json.loads(cast(str, prompt))),
        cast(str, chosen),
        cast("str | None", rejected),
        cast(Kind, kind),
        cast(str, conversation),
        tuple(memories),
        from_ms(cast(int, at)),
    )
