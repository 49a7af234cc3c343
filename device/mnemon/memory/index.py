"""What recall looks through: a matrix of vectors kept in step with the encrypted file, and the words in FTS5.

Vectors are stored as float16 (768 bytes a memory) and searched in memory, in eight bits where there are many:
a millisecond for 100,000 of them, where a search inside the encrypted file takes 100 ms and more.
Rows are appended as messages come, also those another process wrote; nothing is read before the first search.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from mnemon.memory import snapshot
from mnemon.memory.embedding import DIMENSIONS, Embedder
from mnemon.memory.phrasing import is_plain_question
from mnemon.memory.store import Store
from mnemon.memory.vectors import Vectors, quantized
from mnemon.voice import as_first_person

Kind = Literal["message", "fact"]
_KINDS: tuple[Kind, ...] = ("message", "fact")
_ROLES = ("owner", "assistant", "other")
OWNER, ASSISTANT, OTHER = range(3)

# A word in over 20,000 memories says next to nothing, and reading where they all are costs 5 ms.
_COMMON = 20_000
_TALK_GAP_MS = 3 * 3600 * 1000  # later than that it is another talk, even when it continues the same thread
_CHUNK = 2000
_LOADED = {
    "ids": "ids",
    "conversations": "conversation",
    "times": "said_at",
    "roles": "role",
    "speakers": "speaker",
    "lengths": "length",
    "asks": "asks",
    "ends_asking": "ends_asking",
}
"""Columns of a part and the arrays they become."""


@dataclass(slots=True)
class Rows:
    """Parallel arrays, one entry a memory, in the order of their ids.

    Attributes:
        before: Position of the message it follows in the same talk, or -1.
        after: Position of the newest message that follows it, or -1.
        role: 0 owner, 1 assistant, 2 other; facts have 0.
        asks: It is nothing but a question.
        ends_asking: Its last sentence is a question, so that the next message is likely the answer.
        live: It still exists; the rows of what was forgotten are blanked until the next load.
    """

    ids: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    vectors: Vectors = field(default_factory=Vectors)
    conversation: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    said_at: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    role: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int8))
    speaker: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    length: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    asks: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    ends_asking: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    live: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    before: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    after: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.ids)

    def position(self, id: int) -> int:
        """Where the memory with that number is, or -1."""
        at = int(np.searchsorted(self.ids, id))
        return at if at < len(self.ids) and self.ids[at] == id else -1

    def positions(self, ids: np.ndarray) -> np.ndarray:
        """Where those that are here are; the others are left out."""
        if not len(self.ids):
            return np.zeros(0, np.int64)
        first = self.ids[0]
        if self.ids[-1] - first == len(self.ids) - 1:  # nothing was ever forgotten: no need to look
            return np.asarray(ids[(ids >= first) & (ids <= self.ids[-1])] - first)
        at = np.searchsorted(self.ids, ids)
        at[at == len(self.ids)] = 0
        return np.asarray(at[self.ids[at] == ids])


class Index:
    """The searchable side of a store.

    Args:
        store: The encrypted file.
        embedder: Turns texts into vectors; loaded when there is something to embed.
    """

    def __init__(self, store: Store, embedder: Embedder) -> None:
        self._store = store
        self._embedder = embedder
        self.lock = threading.RLock()
        self._rows: dict[Kind, Rows] = {"message": Rows(), "fact": Rows()}
        self._postings: dict[tuple[Kind, str, int], np.ndarray | None] = {}
        self._seen: int | None = None
        self.speakers: list[str] = []
        self._speaker_number: dict[str, int] = {}

    def add(self, kind: Kind, items: Sequence[tuple[int, str]]) -> None:
        """Embed these texts and keep their vectors in the file."""
        if not items:
            return
        if (
            kind == "fact"
        ):  # "Where do I live?" is nearer to "I live in Leeds." (0.45) than to "The user lives …" (0.30)
            items = [(id, as_first_person(text)) for id, text in items]
        for start in range(0, len(items), _CHUNK):
            part = items[start : start + _CHUNK]
            vectors = self._embedder.embed([text for _, text in part]).astype(np.float16)
            values = [(kind, id, vector.tobytes()) for (id, _), vector in zip(part, vectors, strict=True)]
            table = "messages" if kind == "message" else "facts"
            with self._store.transaction():
                self._store.execute_many(
                    "INSERT INTO vectors (kind, ref, vector) SELECT ?1, ?2, ?3"
                    f" WHERE EXISTS (SELECT 1 FROM {table} WHERE id = ?2)"  # forgotten meanwhile: stays forgotten
                    " ON CONFLICT (kind, ref) DO UPDATE SET vector = excluded.vector",
                    values,
                )
        with self.lock:
            if self._seen is None:
                return
            rows = self._rows[kind]
            last = int(rows.ids[-1]) if len(rows) else 0
            if min(id for id, _ in items) > last:
                self._append(kind)
            elif all(rows.position(id) >= 0 for id, _ in items):
                for id, text in items:
                    rows.vectors.put(rows.position(id), self._embedder.embed_one(text))
                self._postings.clear()
            else:
                self.clear()  # an older message got its vector late: its place is in the middle

    def rows(self, kind: Kind) -> Rows:
        """The arrays, up to date with the file whoever wrote to it. Loads them at first use."""
        with self.lock:
            version = self._store.changes()
            if self._seen is None:
                self._heal()
            if version != self._seen:
                self._seen = version
                for each in ("message", "fact"):
                    self._drop_missing(each)
                    self._append(each)
            return self._rows[kind]

    def drop(self, kind: Kind, ids: Sequence[int]) -> None:
        """Take these out of memory; the file is the caller's business."""
        with self.lock:
            rows = self._rows[kind]
            gone = rows.positions(np.array(sorted(ids), np.int64))
            rows.vectors.blank(gone)
            rows.live[gone] = False
            self._postings.clear()

    def clear(self) -> None:
        """Forget what was loaded; the next search reads the file."""
        with self.lock:
            self._rows = {"message": Rows(), "fact": Rows()}
            self._postings.clear()
            self._seen = None

    def postings(self, kind: Kind, word: str, *, most: int = _COMMON) -> np.ndarray | None:
        """Positions of the memories with that word (stemmed, accents aside); None when over ``most`` have it."""
        with self.lock:
            key = (kind, word, most)
            if key not in self._postings:
                table = f"{kind}_words"
                quoted = '"' + word.replace('"', '""') + '"'
                count, listed = self._store.tuples(
                    f"SELECT count(*), group_concat(rowid) FROM"
                    f" (SELECT rowid FROM {table} WHERE {table} MATCH ? LIMIT ?)",
                    (quoted, most + 1),
                )[0]
                # As one text and read by numpy: 0.3 ms for 12,000 numbers, 1.2 as JSON and 4 as rows.
                ids = np.fromstring(listed, np.int64, sep=",") if 0 < count <= most else np.zeros(0, np.int64)
                self._postings[key] = None if count > most else self._rows[kind].positions(ids)
            return self._postings[key]

    def _append(self, kind: Kind) -> None:
        """Read the rows that came since the last time; ids only ever grow."""
        last = int(self._rows[kind].ids[-1]) if len(self._rows[kind]) else 0
        kept = [part for part in snapshot.parts(self._store, kind) if part << snapshot.PART_BITS > last or not last]
        if kept:
            coming = "SELECT count(*) FROM vectors WHERE kind = ? AND ref > ?"
            self._rows[kind].vectors.make_room(self._store.tuples(coming, (kind, last))[0][0])
        self._take(kind, self._since(kind, last, kept))

    def _since(self, kind: Kind, last: int, kept: Sequence[int]) -> Iterator[snapshot.Columns]:
        """The rows after ``last``, a part at a time: all parts of 100,000 rows at once took 80 MB."""
        for part in kept:
            first = part << snapshot.PART_BITS
            if last < first - 1:  # what lies between is read row by row
                yield from self._read(kind, last, first)
            found = snapshot.load(self._store, kind, part)
            yield from [found] if found else self._read(kind, first - 1, first + (1 << snapshot.PART_BITS))
            last = first + (1 << snapshot.PART_BITS) - 1
        yield from self._read(kind, last, 1 << 62)

    def _read(self, kind: Kind, after: int, before: int) -> Iterator[snapshot.Columns]:
        """The rows between these two numbers, both left out, a few thousand at a time."""
        # CROSS JOIN holds SQLite to this order: the other way round it sorts all rows for every few thousand.
        if kind == "message":
            sql = (
                "SELECT m.id, m.conversation_id, m.parent_id, m.role, m.speaker, m.said_at, m.text, v.vector"
                " FROM messages AS m CROSS JOIN vectors AS v ON v.kind = 'message' AND v.ref = m.id"
                " WHERE m.id > ? AND m.id < ? ORDER BY m.id LIMIT ?"
            )
        else:
            sql = (
                "SELECT f.id, 0, NULL, 'owner', '', f.valid_from, f.text, v.vector"
                " FROM facts AS f CROSS JOIN vectors AS v ON v.kind = 'fact' AND v.ref = f.id"
                " WHERE f.id > ? AND f.id < ? ORDER BY f.id LIMIT ?"
            )
        while found := self._store.tuples(sql, (after, before, 1 << snapshot.PART_BITS)):
            yield _columns(found)
            after = found[-1][0]

    def _take(self, kind: Kind, coming: Iterable[snapshot.Columns]) -> None:
        rows, old = self._rows[kind], len(self._rows[kind])
        loaded: dict[str, list[np.ndarray]] = {name: [getattr(rows, name)] for name in _LOADED.values()}
        parents = []
        for one in coming:
            if one.vectors.dtype == np.int8:
                rows.vectors.append_packed(one.vectors, one.scales)
            else:
                rows.vectors.append(one.vectors)
            for name, here in _LOADED.items():
                loaded[here].append(getattr(one, name).copy())  # not a view, which would keep the whole part
            numbers = np.array([self._number(name) for name in one.names], np.int32)
            loaded["speaker"][-1] = numbers[one.speakers]
            parents.append(one.parents.copy())
        if not parents:
            return
        for name, pieces in loaded.items():
            setattr(rows, name, np.concatenate(pieces))
        added = len(rows.ids) - old
        rows.live = np.append(rows.live, np.ones(added, bool))
        rows.before = np.append(rows.before, np.full(added, -1, np.int64))
        rows.after = np.append(rows.after, np.full(added, -1, np.int64))
        self._link(rows, old, np.concatenate(parents))
        for key in [key for key in self._postings if key[0] == kind]:
            del self._postings[key]

    def keep(self) -> int:
        """Put what was loaded into the file, as far as it is not there, so that the next start is quick.

        Returns:
            How many parts of 4,096 rows were put there.
        """
        kept = 0
        for kind in _KINDS:
            for part in snapshot.missing(self._store, kind):
                with self.lock:
                    self.rows(kind)
                    first, after = part << snapshot.PART_BITS, (part + 1) << snapshot.PART_BITS
                    found = list(self._read(kind, first - 1, after))
                for one in found:
                    one.vectors, one.scales = quantized(one.vectors.astype(np.float32))
                    kept += snapshot.keep(self._store, kind, part, one)
        return kept

    def _link(self, rows: Rows, start: int, follows: np.ndarray) -> None:
        at = np.minimum(np.searchsorted(rows.ids, follows), len(rows.ids) - 1)
        here = np.arange(start, len(rows.ids))
        same = (rows.ids[at] == follows) & (abs(rows.said_at[here] - rows.said_at[at]) < _TALK_GAP_MS)
        rows.before[here[same]] = at[same]
        rows.after[at[same]] = here[same]  # later ones win: the newest child

    def _drop_missing(self, kind: Kind) -> None:
        rows = self._rows[kind]
        if not len(rows):
            return
        table = "messages" if kind == "message" else "facts"
        there = np.array(json.loads(self._store.tuples(f"SELECT json_group_array(id) FROM {table}")[0][0]), np.int64)
        gone = rows.ids[rows.live & ~np.isin(rows.ids, there)]
        if len(gone):
            self.drop(kind, gone.tolist())

    def _heal(self) -> None:
        """Give a vector to what has none: a crash came between saving it and indexing it."""
        pairs: tuple[tuple[Kind, str, str], ...] = (
            ("message", "messages", "status != 'generating' AND"),
            ("fact", "facts", ""),
        )
        for kind, table, which in pairs:
            last = -1
            for part in [*snapshot.parts(self._store, kind), 1 << 49]:  # a kept part lacks no vector
                if (first := part << snapshot.PART_BITS) > last + 1:
                    missing = self._store.tuples(
                        f"SELECT id, text FROM {table} AS t WHERE {which} id > ? AND id < ? AND text != ''"
                        " AND NOT EXISTS (SELECT 1 FROM vectors WHERE kind = ? AND ref = t.id)",
                        (last, first, kind),
                    )
                    self.add(kind, missing)
                last = first + (1 << snapshot.PART_BITS) - 1

    def _number(self, speaker: str) -> int:
        number = self._speaker_number.get(speaker)
        if number is None:
            number = self._speaker_number[speaker] = len(self.speakers)
            self.speakers.append(speaker)
        return number


def _columns(found: list[tuple[Any, ...]]) -> snapshot.Columns:
    """Rows of the file as arrays."""
    ids, conversations, parents, roles, speakers, times, texts, blobs = zip(*found, strict=True)
    names = {name: number for number, name in enumerate(dict.fromkeys(speakers))}
    return snapshot.Columns(
        ids=np.array(ids, np.int64),
        conversations=np.array(conversations, np.int64),
        parents=np.array([parent or 0 for parent in parents], np.int64),
        times=np.array(times, np.int64),
        lengths=np.array([1 + text.count(" ") for text in texts], np.float32),
        scales=np.ones(len(found), np.float32),
        speakers=np.array([names[name] for name in speakers], np.int32),
        roles=np.array([_ROLES.index(role) for role in roles], np.int8),
        asks=np.array([is_plain_question(text) for text in texts], bool),
        ends_asking=np.array([text.rstrip().endswith("?") for text in texts], bool),
        vectors=np.frombuffer(b"".join(blobs), np.float16).reshape(len(found), DIMENSIONS),
        names=list(names),
    )
