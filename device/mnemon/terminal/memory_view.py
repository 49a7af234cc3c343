"""What an answer rests on, looked up for the memory panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mnemon.errors import NotFoundError
from mnemon.memory.records import Fact, Message

if TYPE_CHECKING:
    from mnemon.memory.memory import Memory


@dataclass(frozen=True, slots=True)
class Entry:
    """One memory: the words it comes from, and what was taken from them.

    Attributes:
        message: The message it comes from; None for a fact the owner wrote by hand.
        facts: Facts taken from the message, or the one fact itself; ended ones included.
    """

    id: str
    message: Message | None
    facts: tuple[Fact, ...]
    conflicts: dict[int, str] = field(default_factory=dict)
    """For a fact in doubt, the words of the one it contradicts."""


def look_up(memory: Memory, ids: Sequence[str]) -> list[Entry]:
    """The memories named by ``ids`` (``m12``, ``f3``), in that order; forgotten ones are left out."""
    entries = []
    for memory_id in ids:
        number = int(memory_id[1:])
        try:
            if memory_id.startswith("m"):
                message = memory.messages.get(number)
                facts = memory.facts.of_messages([number]).get(number, [])
                entries.append(Entry(memory_id, message, tuple(facts)))
            else:
                fact = memory.facts.get(number)
                source = memory.messages.get(fact.source_id) if fact.source_id else None
                entries.append(Entry(memory_id, source, (fact,)))
        except NotFoundError:
            continue
    return [replace(entry, conflicts=_conflicts(memory, entry)) for entry in entries]


def settle(memory: Memory, fact: Fact) -> bool:
    """``fact`` is right wherever it is in doubt; False when it is not."""
    doubts = memory.doubts.of_fact(fact.id)
    for doubt in doubts:
        memory.doubts.settle(doubt.id, holds=fact.id)
    return bool(doubts)


def _conflicts(memory: Memory, entry: Entry) -> dict[int, str]:
    return {
        fact.id: (doubt.newer if fact.id == doubt.older.id else doubt.older).text
        for fact in entry.facts
        if fact.valid_to is None
        for doubt in memory.doubts.of_fact(fact.id)
    }
