"""Retention rules: what the owner wants forgotten by itself after so many days.

A rule is a name and a number of days in the settings, ``"topic health, doctor, hospital" = 90``. What it means is
decided by words alone, never by meaning: forgetting by a guess, with nobody looking, would take the wrong things.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mnemon.errors import NotFoundError, SettingsError
from mnemon.memory.forgetting import Preview
from mnemon.memory.records import from_ms, to_ms
from mnemon.memory.selecting import Span, by_person, by_time, by_words

if TYPE_CHECKING:
    from mnemon.memory.memory import Memory

_KINDS = ("topic", "person", "kind", "imported")


@dataclass(frozen=True, slots=True)
class Rule:
    """What is forgotten after how many days.

    Attributes:
        text: As in the settings.
        kind: ``topic`` (words, any of them), ``person`` (a name), ``kind`` (what a fact says of its subject, such as
            ``address``) or ``imported`` (what came from other programs).
        names: The words, names or kinds.
        days: At least 1.
    """

    text: str
    kind: str
    names: tuple[str, ...]
    days: int


@dataclass(frozen=True, slots=True)
class Run:
    """One time a rule forgot something."""

    at: datetime
    rule: str
    messages: int
    facts: int


class Retention:
    """The owner's rules, applied to a memory.

    Args:
        memory: The owner's.
        rules: As in the settings: what, and after how many days.

    Raises:
        SettingsError: A rule cannot be understood.
    """

    def __init__(self, memory: Memory, rules: Mapping[str, int]) -> None:
        self._memory = memory
        self.rules = [parse(text, days) for text, days in rules.items()]

    def due(self) -> list[tuple[Rule, Preview]]:
        """What each rule would forget now; nothing changes."""
        return [(rule, self._memory.preview(*self._ids(rule))) for rule in self.rules]

    def apply(self) -> list[Run]:
        """Forget what is due and record how much; what a rule found nothing for is not recorded."""
        runs = []
        for rule in self.rules:
            try:
                ids = self._ids(rule)
                gone = self._memory.forget(*ids) if ids else None
            except NotFoundError:  # the owner, or another process, forgot it this moment
                continue
            if gone is None:
                continue
            run = Run(self._memory.now(), rule.text, len(gone.messages), len(gone.facts))
            with self._memory.store.transaction():
                self._memory.store.execute(
                    "INSERT INTO retention_runs (ran_at, rule, messages, facts) VALUES (?, ?, ?, ?)",
                    (to_ms(run.at), run.rule, run.messages, run.facts),
                )
            runs.append(run)
        return runs

    def history(self, *, limit: int = 50) -> list[Run]:
        """What rules forgot, newest first."""
        rows = self._memory.store.tuples(
            "SELECT ran_at, rule, messages, facts FROM retention_runs ORDER BY id DESC LIMIT ?", (limit,)
        )
        return [Run(from_ms(at), rule, messages, facts) for at, rule, messages, facts in rows]

    def _ids(self, rule: Rule) -> list[str]:
        store = self._memory.store
        before = self._memory.now() - timedelta(days=rule.days)
        old = by_time(store, Span(before=before), with_facts=True)
        if rule.kind == "topic":
            meant = set().union(*(by_words(store, name) for name in rule.names))
        elif rule.kind == "person":
            meant = set().union(*(by_person(store, name) for name in rule.names))
        elif rule.kind == "kind":
            marks = ", ".join("?" * len(rule.names))
            rows = store.tuples(f"SELECT id FROM facts WHERE attribute IN ({marks})", rule.names)
            meant = {f"f{row[0]}" for row in rows}
        else:
            rows = store.tuples(
                "SELECT m.id FROM messages AS m JOIN conversations AS c ON c.id = m.conversation_id"
                " WHERE c.origin != 'mnemon'"
            )
            meant = {f"m{row[0]}" for row in rows}
        return sorted(old & meant, key=lambda id: (id[0], int(id[1:])))


def check(rules: Mapping[str, int]) -> None:
    """Refuse rules that cannot be understood, before anything rests on them.

    Raises:
        SettingsError: One of them does not say what, or after how many days.
    """
    for text, days in rules.items():
        parse(text, days)


def parse(text: str, days: int) -> Rule:
    """A rule from the settings.

    Raises:
        SettingsError: It does not say what, or after how many days.
    """
    kind, _, rest = " ".join(text.split()).partition(" ")
    kind = kind.lower().rstrip(":")
    names = tuple(name.strip().lower() for name in rest.split(",") if name.strip())
    if kind not in _KINDS or (kind == "imported") == bool(names) or days < 1:
        raise SettingsError(
            f'memory.retention: "{text}" = {days} is no rule.',
            hint='Write "topic health, doctor" = 90, "person Dario" = 30, "kind address" = 365 or "imported" = 400.',
        )
    return Rule(text, kind, names, days)
