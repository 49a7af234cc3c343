"""The arrays of the index, kept in the encrypted file so that opening 100,000 memories does not read 100,000 rows.

A part holds all rows whose numbers share the same 4,096: only whole parts are kept, the rest is read row by row.
Triggers of the database remove a part as soon as one of its rows changes, comes or goes, so what was forgotten is not
in one, and a part that is there agrees with the rows.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from mnemon.errors import MnemonError
from mnemon.memory import phrasing
from mnemon.memory.embedding import DIMENSIONS
from mnemon.memory.store import Store

PART_BITS = 12
_HEAD = struct.Struct("<II")  # rows, bytes of the speakers' names
_COLUMNS: tuple[tuple[str, type], ...] = (
    ("ids", np.int64),
    ("conversations", np.int64),
    ("parents", np.int64),
    ("times", np.int64),
    ("lengths", np.float32),
    ("scales", np.float32),
    ("speakers", np.int32),
    ("roles", np.int8),
    ("asks", np.bool_),
    ("ends_asking", np.bool_),
)


@dataclass(slots=True)
class Columns:
    """Some rows of the index, a parallel array for each of their traits.

    Attributes:
        parents: The message each one follows, or 0.
        lengths: In words.
        speakers: Numbers into ``names``.
        vectors: Eight-bit rows; times ``scales`` they have length 1.
    """

    ids: np.ndarray
    conversations: np.ndarray
    parents: np.ndarray
    times: np.ndarray
    lengths: np.ndarray
    scales: np.ndarray
    speakers: np.ndarray
    roles: np.ndarray
    asks: np.ndarray
    ends_asking: np.ndarray
    vectors: np.ndarray
    names: list[str]


@cache
def form() -> int:
    """A number that is another one when what is kept, or how questions are told from tales, has changed."""
    source = phrasing.__file__
    rules = Path(source).read_bytes() if source else b""
    return zlib.crc32(rules + repr(_COLUMNS).encode())


def pack(columns: Columns) -> bytes:
    """As kept in the file."""
    names = json.dumps(columns.names).encode()
    pieces = [np.ascontiguousarray(getattr(columns, name), kind).tobytes() for name, kind in _COLUMNS]
    vectors = np.ascontiguousarray(columns.vectors, np.int8).tobytes()
    return b"".join([_HEAD.pack(len(columns.ids), len(names)), names, *pieces, vectors])


def unpack(data: bytes) -> Columns:
    """What :func:`pack` made.

    Raises:
        ValueError: It is not that.
    """
    rows, length = _HEAD.unpack_from(data)
    at = _HEAD.size + length
    arrays: dict[str, np.ndarray] = {}
    for name, kind in _COLUMNS:
        arrays[name] = np.frombuffer(data, kind, rows, at)
        at += arrays[name].nbytes
    vectors = np.frombuffer(data, np.int8, rows * DIMENSIONS, at).reshape(rows, DIMENSIONS)
    return Columns(**arrays, vectors=vectors, names=json.loads(data[_HEAD.size : _HEAD.size + length]))


def parts(store: Store, kind: str) -> list[int]:
    """The numbers of the parts that are kept, in order."""
    return [
        row[0]
        for row in store.tuples(
            "SELECT part FROM index_parts WHERE kind = ? AND form = ? ORDER BY part", (kind, form())
        )
    ]


def load(store: Store, kind: str, part: int) -> Columns | None:
    """One part; None when it went meanwhile or is not what it should be."""
    rows = store.tuples("SELECT data FROM index_parts WHERE kind = ? AND part = ? AND form = ?", (kind, part, form()))
    try:
        return unpack(rows[0][0]) if rows else None
    except (ValueError, struct.error):
        return None


def missing(store: Store, kind: str) -> list[int]:
    """The parts that could be kept and are not: those that no new row can join."""
    table = "messages" if kind == "message" else "facts"
    last = store.tuples(f"SELECT coalesce(max(id), 0) FROM {table}")[0][0]
    kept = set(parts(store, kind))
    return [part for part in range(last >> PART_BITS) if part not in kept]


def keep(store: Store, kind: str, part: int, columns: Columns) -> bool:
    """Put one part into the file, if it has every row it should have. Returns whether it was put there.

    A disk that refuses is no misfortune here: the part is made anew another time.
    """
    table, which = ("messages", "status != 'generating' AND ") if kind == "message" else ("facts", "")
    try:
        with store.transaction():
            there = store.tuples(
                f"SELECT id FROM {table} WHERE {which}text != '' AND id >= ? AND id < ? ORDER BY id",
                (part << PART_BITS, (part + 1) << PART_BITS),
            )
            if [row[0] for row in there] != columns.ids.tolist():
                return False
            store.execute(
                "INSERT OR REPLACE INTO index_parts (kind, part, form, data) VALUES (?, ?, ?, ?)",
                (kind, part, form(), pack(columns)),
            )
    except MnemonError:
        return False
    return True
