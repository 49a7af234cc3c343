"""The memory as the rest of Mnemon sees it: one object that saves, finds and forgets."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mnemon.clock import Clock, utc_now
from mnemon.errors import StoreMissingError, WrongKeyError
from mnemon.memory import keys
from mnemon.memory.changes import Changes
from mnemon.memory.corrections import Corrections
from mnemon.memory.doubts import Doubts
from mnemon.memory.embedding import Embedder
from mnemon.memory.episodes import Episodes
from mnemon.memory.facts import Facts
from mnemon.memory.forgetting import Forgetting, Forgotten, Preview
from mnemon.memory.index import Index
from mnemon.memory.locks import exclusive
from mnemon.memory.messages import Messages
from mnemon.memory.passages import Passages
from mnemon.memory.ranking import Weights
from mnemon.memory.recall import Recall
from mnemon.memory.records import Fact, Message, Recalled
from mnemon.memory.selecting import with_what_belongs
from mnemon.memory.store import Store
from mnemon.paths import Home
from mnemon.settings import MemorySettings

if TYPE_CHECKING:
    import numpy as np


class Memory:
    """Everything that is remembered, in one encrypted file.

    Attributes:
        store: The file.
        messages: What was said.
        facts: What follows from it.
        changes: Which message changed what another one said.
        doubts: Facts that may not both hold.
        episodes: What the talks were about.
        corrections: What the owner put right, by the question that was answered wrongly.
        embedder: Loaded at first use.
    """

    def __init__(self, store: Store, *, embedder: Embedder | None = None, now: Clock = utc_now) -> None:
        self.store = store
        self.now = now
        self.embedder = embedder or Embedder()
        self.messages = Messages(store, self.now)
        self.facts = Facts(store, self.now)
        self.changes = Changes(store)
        self.doubts = Doubts(store, self.facts, self.now)
        self.episodes = Episodes(store, self.now)
        self.corrections = Corrections(store, self.messages, self.embedder, self.now)
        self._index = Index(store, self.embedder)
        self._passages = Passages(store, self.embedder)
        self._recall = Recall(self._index, self.embedder, self.messages, self.facts, self._passages)
        self._forgetting = Forgetting(store)
        self._after_forgetting: list[Callable[[], None]] = []

    @classmethod
    def open(
        cls,
        home: Home,
        settings: MemorySettings,
        *,
        passphrase: Callable[[], str] | None = None,
        now: Clock = utc_now,
    ) -> Memory:
        """Open the owner's memory; the first time, make it and its key.

        Raises:
            KeyLostError: There is a memory but no key for it.
            StoreMissingError: There is a key but its memory is gone.
            WrongKeyError: The key or the passphrase does not open it.
            StoreError: It is damaged, in use, or newer than this Mnemon.
            DiskError: It cannot be written.
        """
        home.create()
        if not home.store.exists():
            with exclusive(home.root):
                if not home.store.exists() and not home.store_new.exists() and keys.there(home):
                    raise StoreMissingError(
                        f"{home.store} is gone; its key is still there.",
                        hint="Put it back, restore a backup (mnemon memory restore PATH), or begin anew"
                        " (mnemon memory new).",
                    )
        refused: WrongKeyError | None = None
        for key, changing in keys.candidates(home, settings.key, create=True, passphrase=passphrase):
            try:
                store = Store.open(home.store, key)
            except WrongKeyError as error:
                refused = refused or error
                continue
            if changing:
                keys.settle(home)  # a change of key was cut short after the file had the new one
            else:
                keys.drop_abandoned(home)
            return cls(store, now=now)
        raise refused or WrongKeyError(f"No key opens {home.store}.", hint="Run mnemon doctor.")

    @classmethod
    def temporary(cls, *, embedder: Embedder | None = None, now: Clock = utc_now) -> Memory:
        """A memory that is never on a disk and ends with the program."""
        import secrets

        return cls(Store.open(None, secrets.token_bytes(32)), embedder=embedder, now=now)

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def index(self, *messages: Message) -> None:
        """Make messages findable by their meaning. Call it after they were added; once more after a text changed."""
        telling = [(message.id, message.text) for message in messages if message.text.strip()]
        self._index.add("message", telling)
        self._passages.add([id for id, _ in telling])

    def fill_keys(self) -> bool:
        """Make further keys of a few messages that lack them, unless an answer is being written.

        Returns:
            Whether there may be more to do now. False also while an answer is being written: try again after it.
        """
        return not self._passages.must_wait() and self._passages.fill()

    def index_facts(self, *facts: Fact) -> None:
        """Make facts findable by their meaning."""
        self._index.add("fact", [(fact.id, fact.text) for fact in facts])

    def recall(
        self,
        question: str,
        *,
        limit: int = 6,
        exclude: Collection[str] = (),
        at: datetime | None = None,
        within: int | None = None,
    ) -> list[Recalled]:
        """What was told that bears on ``question``, best first.

        Mnemon's own answers and the owner's plain questions are left out. What no longer holds at ``at`` (now by
        default) has ``valid`` False and ranks lower.

        Args:
            question: The owner's words.
            limit: At most so many.
            exclude: Ids not wanted, such as that of the question itself.
            at: The moment by which facts are judged.
            within: Only what was said in this conversation.
        """
        return self.changes.mark(self._recall.find(question, limit=limit, exclude=exclude, at=at, within=within))

    @property
    def weights(self) -> Weights:
        """What each part of a score counts for in :meth:`recall`; may be set, for measuring."""
        return self._recall.weights

    @weights.setter
    def weights(self, weights: Weights) -> None:
        self._recall.weights = weights

    def weighed(self, question: str, *, at: datetime | None = None) -> tuple[list[str], np.ndarray]:
        """See :meth:`mnemon.memory.recall.Recall.weighed`."""
        return self._recall.weighed(question, at=at)

    def search(self, words: str, *, limit: int = 10, everything: bool = True) -> list[Recalled]:
        """Memories for a person to look at: by default also questions and Mnemon's own answers."""
        return self._recall.find(words, limit=limit, everything=everything)

    def forget(self, *ids: str, source: bool | None = None) -> Forgotten:
        """Forget memories for good, with everything that rests on them.

        Args:
            ids: Such as ``"m12"`` (a message), ``"f3"`` (a fact) or ``"c2"`` (a conversation).
            source: Whether the messages a fact was taken from go with it. None: those that say nothing else.

        Raises:
            NotFoundError: One of them does not exist; then nothing is forgotten.
            InputError: One of them is not an id.
        """
        return self._took_out(self._forgetting.forget(with_what_belongs(self.store, ids, source=source)))

    def preview(self, *ids: str, source: bool | None = None) -> Preview:
        """What :meth:`forget` would take with it; nothing changes.

        Raises:
            NotFoundError: One of them does not exist.
            InputError: One of them is not an id.
        """
        return self._forgetting.preview(with_what_belongs(self.store, ids, source=source))

    def forget_conversation(self, id: int) -> Forgotten:
        """Forget a whole conversation.

        Raises:
            NotFoundError: There is none with that number.
        """
        return self._took_out(self._forgetting.forget([f"c{id}"]))

    def forget_everything(self) -> Forgotten:
        """Forget all conversations, facts and profile lines. Key and settings stay."""
        return self._took_out(self._forgetting.forget_everything())

    def is_forgotten(self, text: str, *, said_at: datetime | None = None) -> bool:
        """Was this text (of a message or a fact) forgotten, and not told anew since?"""
        return self._forgetting.is_forgotten(text, said_at=said_at)

    def holds(self, *ids: str) -> bool:
        """Whether all of these memories (``"m12"``, ``"f3"``) still exist."""
        for kind, table in (("m", "messages"), ("f", "facts")):
            numbers = {int(id[1:]) for id in ids if id.startswith(kind)}
            there = f"SELECT count(*) FROM {table} WHERE id IN (SELECT value FROM json_each(?))"
            if numbers and self.store.tuples(there, (json.dumps(list(numbers)),))[0][0] < len(numbers):
                return False
        return True

    def forgotten_so_far(self) -> tuple[int, int, bytes]:
        """A value that changes when something, or everything, is forgotten, also by another process."""
        return self._forgetting.so_far()

    def adopt_tombstone_key(self, key: bytes) -> None:
        """Read another memory's tombstones from now on (an import does); only where nothing was forgotten yet."""
        self._forgetting.adopt_key(key)

    def on_forget(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called after something was forgotten: for copies kept outside the file."""
        self._after_forgetting.append(callback)

    def warm(self) -> None:
        """Load embedder and index and look something up once, so that the first question does not wait for them."""
        self._passages.fill()
        self._recall.find("ready", limit=1)
        self._index.keep()

    def stats(self) -> dict[str, Any]:
        """How much there is."""

        def count(table: str, where: str = "1") -> int:
            return int(self.store.tuples(f"SELECT count(*) FROM {table} WHERE {where}")[0][0])

        return {
            "conversations": count("conversations"),
            "messages": count("messages"),
            "facts": count("facts", "valid_to IS NULL"),
            "facts_ended": count("facts", "valid_to IS NOT NULL"),
            "profile_lines": count("profile_lines"),
            "forgotten": count("tombstones"),
            "bytes": self.store.size(),
        }

    def close(self) -> None:
        """Close the file."""
        self.store.close()

    def _took_out(self, forgotten: Forgotten) -> Forgotten:
        self._index.drop("message", [*forgotten.messages, *forgotten.answers])
        self._index.drop("fact", forgotten.facts)
        for callback in self._after_forgetting:
            callback()
        return forgotten
