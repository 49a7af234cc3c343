"""The profile: at most twelve lines about the owner, kept up to date from the facts that hold now.

A composed line rests on its facts and goes when one of them ends or is forgotten. A line the owner wrote or edited
stays as it is until the owner changes it; a line the owner took away does not come back for the same facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mnemon.errors import InputError, NotFoundError
from mnemon.memory.records import Fact, from_ms, to_ms
from mnemon.profile import composition

if TYPE_CHECKING:
    from mnemon.memory.memory import Memory
    from mnemon.runtime.chat_model import ChatModel

MAX_LINES = 12
MAX_LINE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class ProfileLine:
    """One line of the profile.

    Attributes:
        by_hand: The owner wrote or edited it; a refresh leaves it alone.
        fact_ids: The facts it rests on; may be empty for a line written by hand.
    """

    id: int
    text: str
    by_hand: bool
    fact_ids: tuple[int, ...]
    updated_at: datetime


class Profile:
    """The profile of one memory's owner."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def lines(self) -> list[ProfileLine]:
        """The lines that hold now, in order, the owner's own first."""
        valid = {fact.id: fact for fact in self._memory.facts.list()}
        return [line for line in self._rows() if line.text and self._holds(line, valid)]

    def text(self) -> str:
        """The lines for the system prompt, one a line; empty when nothing is known."""
        return "\n".join(line.text for line in self.lines())

    def refresh(self, model: ChatModel | None) -> list[ProfileLine]:
        """Bring the composed lines in step with the facts. Lines whose facts did not change are left as they are.

        Args:
            model: Words the new lines; what it says beyond their facts is thrown away. None: they are joined by rule.
        """
        facts = self._memory.facts.list()
        valid = {fact.id: fact for fact in facts}
        rows = self._rows()
        by_hand = [line for line in rows if line.by_hand]
        covered = {fact_id for line in by_hand for fact_id in line.fact_ids}
        kept = {frozenset(line.fact_ids): line for line in rows if not line.by_hand and self._holds(line, valid)}
        wanted = [fact for fact in facts if fact.id not in covered and not fact.attribute.startswith("past ")]
        room = MAX_LINES - sum(1 for line in by_hand if line.text)
        chunks = _most_told(composition.chunks(wanted), self._memory.facts.mentions(valid), max(room, 0))
        texts: list[tuple[composition.Composed, datetime | None]] = []
        for chunk in chunks:
            old = kept.get(frozenset(fact.id for fact in chunk))
            if old is not None:
                texts.append((composition.Composed(old.text, old.fact_ids), old.updated_at))
            else:  # the model may take seconds: no transaction is open meanwhile
                texts.append((composition.compose(chunk, model), None))
        now = datetime.now(UTC)
        with self._memory.store.transaction():
            still = {fact.id for fact in self._memory.facts.list()}
            # A line edited or removed while the model wrote is the owner's now, with its facts.
            still -= {fact_id for line in self._rows() if line.by_hand for fact_id in line.fact_ids}
            self._memory.store.execute("DELETE FROM profile_lines WHERE by_hand = 0")
            for position, (line, updated_at) in enumerate(texts):
                if still.issuperset(line.fact_ids):
                    self._insert(line.text, position, line.fact_ids, by_hand=False, at=updated_at or now)
        return self.lines()

    def edit(self, line_id: int, text: str) -> ProfileLine:
        """Change a line; it is the owner's from then on. Its facts are not told elsewhere in the profile.

        Raises:
            InputError: The text is empty or too long.
            NotFoundError: There is no such line.
        """
        text = _checked(text)
        with self._memory.store.transaction():
            line = self._line(line_id)
            self._memory.store.execute(
                "UPDATE profile_lines SET text = ?, by_hand = 1, updated_at = ? WHERE id = ?",
                (text, to_ms(datetime.now(UTC)), line.id),
            )
            return self._line(line_id)

    def add(self, text: str) -> ProfileLine:
        """Add a line of the owner's own.

        Raises:
            InputError: The text is empty or too long, or the profile is full of such lines.
        """
        text = _checked(text)
        with self._memory.store.transaction():
            own = [line for line in self._rows() if line.by_hand and line.text]
            if len(own) >= MAX_LINES:
                raise InputError(
                    f"The profile has {MAX_LINES} lines of yours already.", hint="Edit or remove one of them."
                )
            return self._line(self._insert(text, len(own), (), by_hand=True, at=datetime.now(UTC)))

    def remove(self, line_id: int) -> None:
        """Take a line away. Its facts stay known, but no line is made from them again.

        Raises:
            NotFoundError: There is no such line.
        """
        with self._memory.store.transaction():
            line = self._line(line_id)
            if line.fact_ids:  # an empty line of the owner's keeps its place: a refresh sees these facts as covered
                self._memory.store.execute(
                    "UPDATE profile_lines SET text = '', by_hand = 1, updated_at = ? WHERE id = ?",
                    (to_ms(datetime.now(UTC)), line_id),
                )
            else:
                self._memory.store.execute("DELETE FROM profile_lines WHERE id = ?", (line_id,))

    def _holds(self, line: ProfileLine, valid: dict[int, Fact]) -> bool:
        if line.by_hand:
            return True
        facts = [valid[fact_id] for fact_id in line.fact_ids if fact_id in valid]
        # A forgotten fact takes its link along: what the line says beyond its remaining facts gives it away.
        return len(facts) == len(line.fact_ids) > 0 and composition.says_only(line.text, facts)

    def _line(self, line_id: int) -> ProfileLine:
        for line in self._rows():
            if line.id == line_id and (line.text or not line.by_hand):
                return line
        raise NotFoundError(f"The profile has no line {line_id}.", hint="mnemon profile show lists them.")

    def _rows(self) -> list[ProfileLine]:
        links: dict[int, list[int]] = {}
        for row in self._memory.store.rows("SELECT line_id, fact_id FROM profile_sources ORDER BY fact_id"):
            links.setdefault(row["line_id"], []).append(row["fact_id"])
        return [
            ProfileLine(
                row["id"],
                row["text"],
                bool(row["by_hand"]),
                tuple(links.get(row["id"], ())),
                from_ms(row["updated_at"]),
            )
            for row in self._memory.store.rows("SELECT * FROM profile_lines ORDER BY by_hand DESC, position, id")
        ]

    def _insert(self, text: str, position: int, facts: Sequence[int], *, by_hand: bool, at: datetime) -> int:
        cursor = self._memory.store.execute(
            "INSERT INTO profile_lines (text, position, by_hand, updated_at) VALUES (?, ?, ?, ?)",
            (text, position, int(by_hand), to_ms(at)),
        )
        line_id = int(cursor.lastrowid)
        self._memory.store.execute_many(
            "INSERT INTO profile_sources (line_id, fact_id) VALUES (?, ?)", [(line_id, fact_id) for fact_id in facts]
        )
        return line_id


def _most_told(chunks: list[list[Fact]], mentions: dict[int, int], room: int) -> list[list[Fact]]:
    """When there are more lines than room: those whose facts are told most and are newest, in their old order."""
    weight = [
        (sum(1 + mentions.get(fact.id, 0) for fact in chunk), max(fact.id for fact in chunk)) for chunk in chunks
    ]
    best = sorted(range(len(chunks)), key=lambda index: weight[index], reverse=True)[:room]
    return [chunks[index] for index in sorted(best)]


def _checked(text: str) -> str:
    text = " ".join(text.split())
    if not text:
        raise InputError("A line of the profile needs words.", hint="Write a sentence, or remove the line.")
    if len(text) > MAX_LINE_CHARACTERS:
        raise InputError(
            f"A line of {len(text)} characters is too long.", hint=f"Keep it under {MAX_LINE_CHARACTERS}."
        )
    return text
