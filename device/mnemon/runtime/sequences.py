"""Which conversation has which sequence of the key-value cache, and where it goes when others need the room.

Everything here runs in the owner thread, except :meth:`Sequences.conversation`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mnemon.errors import ModelError
from mnemon.runtime.sessions import SavedSession, SessionFiles

if TYPE_CHECKING:
    from mnemon.runtime.engine import Engine

_MOST_KNOWN = 64
"""Conversations whose past answers are kept as tokens, though their cache is gone."""


@dataclass(slots=True, eq=False)
class Conversation:
    """What is kept of one conversation between two answers.

    Attributes:
        name: None for a single request, of which nothing is kept.
        answers: Past answers by their text, as the tokens they were generated as.
        dropped: Messages that had left the window.
        sequence: Where its keys and values are, or -1.
        saved: Read from disk and still to be put back.
        unsaved: It has changed since it was written to disk.
        base: While adapters decode an answer, how many tokens before it the base model decoded; else None.
    """

    name: str | None
    answers: dict[str, list[int]] = field(default_factory=dict)
    dropped: int = 0
    sequence: int = -1
    saved: SavedSession | None = None
    unsaved: bool = False
    base: int | None = None
    used: float = 0.0
    on_disk: bool = False

    @property
    def lasting(self) -> bool:
        """Whether it may be written to disk."""
        return self.name is not None and not self.name.startswith("~")


class Lodger(Protocol):
    """Somebody who has cells too, in sequences of its own, as long as no conversation needs them."""

    @property
    def cells(self) -> int:
        """How many."""

    def give_way(self) -> bool:
        """Leave them all; False when there are none."""


class Sequences:
    """Hands out the engine's sequences, the first ``count``; the conversation used longest ago gives way."""

    def __init__(self, engine: Engine, files: SessionFiles | None, *, count: int) -> None:
        self._engine = engine
        self._files = files
        self._disk = ThreadPoolExecutor(1, "mnemon-sessions") if files else None
        self._holders: list[Conversation | None] = [None] * count
        self._known: dict[str, Conversation] = {}
        self.lodger: Lodger | None = None

    def __len__(self) -> int:
        return len(self._holders)

    def conversation(self, name: str | None) -> Conversation:
        """What is known of a conversation, read from disk the first time. May be called from any thread."""
        if name is None:
            return Conversation(None)
        known = self._known.get(name)
        if known is None:
            known = Conversation(name)
            if self._files and known.lasting and (saved := self._files.load(name)):
                known.answers = {text: list(tokens) for text, tokens in saved.answers.items()}
                known.dropped, known.saved, known.on_disk = saved.dropped, saved, True
            known = self._known.setdefault(name, known)
            for old in [c for c in self._known.values() if c.sequence < 0][: max(0, len(self._known) - _MOST_KNOWN)]:
                if old is not known and old.name is not None:
                    self._known.pop(old.name, None)
        return known

    def place(self, kept: Conversation, tokens: Sequence[int], more: int) -> int:
        """A sequence for the conversation, with room for its prompt and ``more`` tokens where that can be had."""
        if kept.sequence < 0:
            if None not in self._holders:
                self._evict(min((c for c in self._holders if c), key=lambda c: c.used))
            kept.sequence = self._holders.index(None)
            self._holders[kept.sequence] = kept
            self._put_back(kept, tokens)
        self.only_base(kept)
        kept.used = time.monotonic()
        engine = self._engine
        while self._free + len(engine.tokens(kept.sequence)) < len(tokens) + more:
            if not self.make_room(kept.sequence):
                break
        return kept.sequence

    def make_room(self, sequence: int) -> bool:
        """Take its cells from the lodger, else from the conversation used longest ago, not from ``sequence``.

        Returns:
            False when there is none.
        """
        if self.lodger is not None and self.lodger.give_way():
            return True
        others = [c for i, c in enumerate(self._holders) if c and i != sequence]
        if not others:
            return False
        self._evict(min(others, key=lambda c: c.used))
        return True

    @property
    def cells(self) -> int:
        """Cells that conversations take."""
        return sum(len(self._engine.tokens(i)) for i in range(len(self._holders)))

    def lend_more(self, *, needed: bool) -> bool:
        """Take its cells from the conversation used longest ago, for the lodger; False when there is none.

        Args:
            needed: Nothing goes without; else only those give way that are on disk, and not the one used last.
        """
        held = sorted((c for c in self._holders if c), key=lambda c: c.used)
        if not needed:
            held = [c for c in held[:-1] if self._files and c.lasting]
        if held:
            self._evict(held[0])
        return bool(held)

    @property
    def _free(self) -> int:
        return self._engine.cells - self.cells - (self.lodger.cells if self.lodger else 0)

    def only_base(self, kept: Conversation) -> None:
        """Take away what adapters decoded: a conversation's history is what the base model makes of it."""
        if kept.base is not None and kept.sequence >= 0:
            self._engine.truncate(kept.sequence, kept.base)
        kept.base = None

    def release(self, kept: Conversation, dropped: int, generated: tuple[str, list[int]] | None) -> None:
        """An answer is over: keep the conversation for the next one, or nothing when it has no name."""
        if kept.name is None:
            self._drop(kept)
            return
        self.only_base(kept)
        kept.dropped = dropped
        kept.unsaved = kept.sequence >= 0
        kept.used = time.monotonic()
        if generated is not None:
            text, tokens = generated
            kept.answers[text] = tokens

    @property
    def unsaved(self) -> bool:
        """Whether something has to be written to disk."""
        return self._files is not None and any(c and c.unsaved and c.lasting for c in self._holders)

    def save(self) -> None:
        """Start writing every conversation that has changed."""
        for kept in self._holders:
            if kept:
                self._save(kept)

    def forget(self, name: str) -> None:
        """Drop a conversation, in memory and on disk."""
        kept = self._known.pop(name, None)
        if kept is not None:
            kept.unsaved = False
            self._drop(kept)
        if self._files and self._disk:
            self._disk.submit(self._files.forget, name).result()  # after a save that may be under way

    def forget_all(self) -> None:
        """Drop all conversations, in memory and on disk."""
        for name in list(self._known):
            self.forget(name)
        if self._files and self._disk:
            self._disk.submit(self._files.forget_all).result()

    def close(self) -> None:
        """Write what has changed and wait until it is on disk."""
        if self._disk:
            self.save()
            self._disk.shutdown()

    def _evict(self, kept: Conversation) -> None:
        self.only_base(kept)
        self._save(kept)
        self._drop(kept)

    def _drop(self, kept: Conversation) -> None:
        if kept.sequence >= 0:
            self._engine.drop(kept.sequence)
            self._holders[kept.sequence] = None
            kept.sequence = -1

    def _save(self, kept: Conversation) -> None:
        if not (self._files and self._disk and kept.unsaved and kept.lasting and kept.name and kept.sequence >= 0):
            return
        kept.unsaved = False
        tokens = list(self._engine.tokens(kept.sequence))
        if tokens:
            try:
                state = self._engine.save(kept.sequence)
            except (ModelError, MemoryError):
                return  # it saves time, nothing else: the thread that owns the model must not end for it
            kept.on_disk = True
            session = SavedSession(tokens, dict(kept.answers), kept.dropped, state)
            self._disk.submit(self._files.save, kept.name, session)

    def _put_back(self, kept: Conversation, tokens: Sequence[int]) -> None:
        """Restore keys and values that were saved, if they still are of use for ``tokens``."""
        saved, kept.saved = kept.saved, None
        if saved is None and kept.on_disk and kept.name and self._files and self._disk:
            saved = self._disk.submit(self._files.load, kept.name).result()
        if saved is None or not saved.tokens or list(saved.tokens[:1]) != list(tokens[:1]):
            return
        while self._free < len(saved.tokens) and self.make_room(kept.sequence):
            pass
        with contextlib.suppress(ValueError):
            self._engine.restore(kept.sequence, saved.state, saved.tokens)
