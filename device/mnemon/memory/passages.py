"""Further keys that lead to a message: its sentences one by one, and it together with what it replies to.

A long message says one thing of interest among five others, and its own vector is their mean; a short one ("By the
lake.") means little without the question before it. So each message is also found by the best of its sentences, and
by what was said before it and itself in one text. These vectors stay in the file, in eight bits: they are read for
the short list of a search only, some 10 µs a message, and cost no memory.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence

import numpy as np

from mnemon.memory.embedding import DIMENSIONS, Embedder
from mnemon.memory.store import Store
from mnemon.memory.vectors import dots
from mnemon.words import sentences

_MOST_SENTENCES = 8
_FILLED = 16  # messages that get their keys late in one step, which a turn that begins just then has to wait for
_LOOKED_AT = 1000
_ANSWERS_LOOKED_AT = 100  # an answer that is growing is among the newest messages
_TALK_GAP_MS = 3 * 3600 * 1000
_ROW = DIMENSIONS + 4
_BATCH = 500


class Passages:
    """The keys of the messages in a store.

    Args:
        store: The encrypted file.
        embedder: Turns texts into vectors.
    """

    def __init__(self, store: Store, embedder: Embedder) -> None:
        self._store = store
        self._embedder = embedder
        self._below: int | None = None  # messages from here on were seen to by fill
        self._filling = threading.Lock()

    def add(self, ids: Sequence[int]) -> None:
        """Make the keys of these messages anew. A message with one sentence that replies to nobody
        has none, nor has an answer of Mnemon's."""
        for start in range(0, len(ids), _BATCH):
            self._add(ids[start : start + _BATCH])

    def fill(self) -> bool:
        """Make the keys of a few messages that have none: a crash came between, or they were saved before there were
        keys. Until then they are found by their own vectors. From the newest down, each call goes on where the last
        one ended; what a killed program left undone is found anew at the next start.

        Returns:
            Whether there may be more to do.
        """
        with self._filling:
            if self._below is None:
                self._below = 1 + self._store.tuples("SELECT coalesce(max(id), 0) FROM messages")[0][0]
            last = max(0, self._below - _LOOKED_AT)
            missing = self._store.tuples(
                "SELECT id FROM messages AS m WHERE id < ? AND id >= ?"
                " AND NOT EXISTS (SELECT 1 FROM passages WHERE message_id = m.id)"
                " AND status != 'generating' AND text != '' ORDER BY id DESC LIMIT ?",
                (self._below, last, _FILLED),
            )
            ids = [row[0] for row in missing]
            self.add(ids)
            self._below = ids[-1] if len(ids) == _FILLED else last
            return self._below > 0

    def must_wait(self) -> bool:
        """Whether an answer is being written, in this program or another one: filling is for idle time."""
        growing = (
            "SELECT 1 FROM messages WHERE status = 'generating' AND id > (SELECT max(id) FROM messages) - ? LIMIT 1"
        )
        return bool(self._store.tuples(growing, (_ANSWERS_LOOKED_AT,)))

    def read_ahead(self, ids: np.ndarray) -> None:
        """Have the keys of these messages decrypted into the file's cache: 8 µs a page, and three keys to a page."""
        self._store.tuples(
            "SELECT count(windows) FROM passages WHERE message_id IN (SELECT value FROM json_each(?))",
            (json.dumps(ids.tolist()),),
        )

    def cosines(self, ids: np.ndarray, own: np.ndarray, meaning: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each message the cosine of its best sentence, and that of it with what it replies to.

        Args:
            ids: Messages in ascending order, (n,).
            own: The cosines of their own vectors, which stand in where there is no key, (n,).
            meaning: The question's vector.

        Returns:
            Two float32 arrays of the shape (n,).
        """
        best, window = own.copy(), own.copy()
        found = self._store.tuples(
            "SELECT message_id, windows, vectors FROM passages"
            " WHERE message_id IN (SELECT value FROM json_each(?)) AND vectors != x''",
            (json.dumps(ids.tolist()),),
        )
        if not found:
            return best, window
        at = np.searchsorted(ids, np.array([row[0] for row in found], np.int64))
        counts = np.array([len(row[2]) // _ROW for row in found], np.int64)
        raw = np.frombuffer(b"".join(row[2] for row in found), np.uint8).reshape(-1, _ROW)
        scales = np.ascontiguousarray(raw[:, :4]).view(np.float32).ravel()
        cosines = dots(raw[:, 4:].view(np.int8).astype(np.float32), meaning) * scales
        of = np.repeat(at, counts)
        is_window = np.zeros(len(of), bool)
        is_window[(np.cumsum(counts) - counts)[np.array([row[1] for row in found]) == 1]] = True
        window[of[is_window]] = cosines[is_window]
        best[of[~is_window]] = -1
        np.maximum.at(best, of[~is_window], cosines[~is_window])
        return best, window

    def _add(self, ids: Sequence[int]) -> None:
        rows = self._store.tuples(
            "SELECT m.id, m.text, m.parent_id, p.text, p.role, p.speaker, m.role, m.speaker, m.said_at - p.said_at"
            " FROM messages AS m LEFT JOIN messages AS p ON p.id = m.parent_id"
            " WHERE m.id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(ids)),),
        )
        texts: list[str] = []
        keys: list[tuple[int, int | None, bool, int]] = []
        for id, text, parent, before, before_role, before_speaker, role, speaker, gap in rows:
            joined = role != "assistant" and replies(before, (before_role, before_speaker), (role, speaker), gap)
            # Mnemon's own answers are recalled for nobody; where a person searches them, their own vector does.
            parts = sentences(text) if role != "assistant" else []
            # What asks tells nothing that could be found.
            parts = [part for part in parts if not part.rstrip().endswith("?")][:_MOST_SENTENCES] * (len(parts) > 1)
            of_message = [f"{before} {text}"] * joined + parts
            keys.append((id, parent, joined, len(of_message)))
            texts += of_message
        in_bytes = packed(self._embedder.embed(texts))
        values, start = [], 0
        for id, parent, joined, count in keys:
            values.append((id, joined, b"".join(in_bytes[start : start + count]), parent))
            start += count
        with self._store.transaction():
            self._store.execute_many(
                "INSERT INTO passages (message_id, windows, vectors) SELECT ?1, ?2, ?3"
                # Forgotten meanwhile, it or what it replies to: stays forgotten.
                " WHERE EXISTS (SELECT 1 FROM messages WHERE id = ?1 AND parent_id IS ?4)"
                " ON CONFLICT (message_id) DO UPDATE SET windows = excluded.windows, vectors = excluded.vectors",
                values,
            )


def replies(before: str | None, to: tuple[str | None, str | None], by: tuple[str, str], gap_ms: int | None) -> bool:
    """Whether a message bears on the one before it: somebody else said that, just now.

    Notes told one after the other are no dialogue, and what Mnemon says makes one only when it asks.
    """
    if not before or gap_ms is None or to == by or abs(gap_ms) >= _TALK_GAP_MS:
        return False
    return to[0] != "assistant" or before.rstrip().endswith("?")


def packed(vectors: np.ndarray) -> list[bytes]:
    """Each row of float32 as its factor and its numbers in eight bits, as it lies in the file."""
    scales = np.maximum(np.abs(vectors).max(axis=1, initial=0.0), 1e-9).astype(np.float32) / np.float32(127)
    rows = np.rint(vectors / scales[:, None]).astype(np.int8)
    return [scale.tobytes() + row.tobytes() for scale, row in zip(scales, rows, strict=True)]
