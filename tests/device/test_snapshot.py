"""Kept parts of the index: the same arrays as from the rows, gone when a row changes, never a reason to fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnemon.memory import snapshot, vectors
from mnemon.memory.embedding import DIMENSIONS
from mnemon.memory.memory import Memory
from mnemon.memory.store import Store

KEY = b"k" * 32


class ByWords:
    """Each text its own direction."""

    def embed(self, texts: Any) -> np.ndarray:
        rows = np.array(
            [np.random.default_rng(abs(hash(text)) % 2**32).normal(size=DIMENSIONS) for text in texts], np.float32
        )
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def embed_one(self, text: str) -> np.ndarray:
        return self.embed([text])[0]


def opened(path: Path) -> Memory:
    return Memory(Store.open(path, KEY), embedder=ByWords())  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three parts: few messages in each, since their numbers lie far apart."""
    with opened(tmp_path / "m.db") as memory:
        talk = memory.messages.start("talk")
        previous = None
        for number in (1, 2, 3, 4000, 4096, 4097, 5000, 9000, 9001, 12500):
            with memory.store.transaction():
                memory.store.execute(
                    "INSERT INTO messages (id, conversation_id, parent_id, role, speaker, text, said_at, status)"
                    " VALUES (?, ?, ?, 'other', ?, ?, ?, 'complete')",
                    (number, talk.id, previous, f"speaker {number % 2}", f"Words {number}, are they?", number * 1000),
                )
            previous = number
        memory._index.rows("message")
        assert memory._index.keep() == 3
    return tmp_path / "m.db"


def arrays(memory: Memory) -> dict[str, list[Any]]:
    rows = memory._index.rows("message")
    names = ("ids", "conversation", "said_at", "role", "length", "asks", "ends_asking", "live", "before", "after")
    found = {name: getattr(rows, name).tolist() for name in names}
    found["speaker"] = [memory._index.speakers[number] for number in rows.speaker]
    found["vectors"] = [rows.vectors.row(i).round(2).tolist() for i in range(len(rows))]
    return found


def without_parts(path: Path) -> dict[str, list[Any]]:
    with opened(path) as memory:
        memory.store.execute("DELETE FROM index_parts")
        return arrays(memory)


def close(one: dict[str, list[Any]], other: dict[str, list[Any]]) -> bool:
    vectors = [np.array(found.pop("vectors")) for found in (one, other)]
    return one == other and bool(np.abs(vectors[0] - vectors[1]).max() < 0.02)


def test_a_part_that_cannot_be_read_is_read_from_the_rows(path: Path) -> None:
    with opened(path) as memory:
        for data in (b"", b"short", b"\xff" * 5000):
            memory.store.execute("UPDATE index_parts SET data = ? WHERE part = 1", (data,))
            memory._index.clear()
            assert arrays(memory)["ids"][3:7] == [4000, 4096, 4097, 5000]


@pytest.mark.parametrize("exact_up_to", [20_000, 5])
def test_loaded_from_parts_it_is_the_same_index(
    path: Path, monkeypatch: pytest.MonkeyPatch, exact_up_to: int
) -> None:
    monkeypatch.setattr(vectors, "_EXACT_UP_TO", exact_up_to)
    with opened(path) as memory:
        assert snapshot.parts(memory.store, "message") == [0, 1, 2]
        loaded = arrays(memory)
    assert close(loaded, without_parts(path))


CHANGES: dict[str, Callable[[Memory], object]] = {
    "forgotten": lambda memory: memory.forget("m4097"),
    "a new vector": lambda memory: memory.index(memory.messages.get(4097)),
    "another parent": lambda memory: memory.store.execute("UPDATE messages SET parent_id = 1 WHERE id = 5000"),
    "another text": lambda memory: memory.store.execute("UPDATE messages SET text = 'else' WHERE id = 5000"),
    "deleted": lambda memory: memory.store.execute("DELETE FROM messages WHERE id = 4096"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_changes_a_row_removes_its_part(path: Path, what: str) -> None:
    with opened(path) as memory:
        CHANGES[what](memory)
        assert 1 not in snapshot.parts(memory.store, "message")
        assert 0 in snapshot.parts(memory.store, "message") or what == "forgotten"
    with opened(path) as memory:
        loaded = arrays(memory)
    assert close(loaded, without_parts(path))


def test_nothing_forgotten_is_in_a_part(path: Path) -> None:
    with opened(path) as memory:
        memory.forget("m2")
        memory._index.keep()
    with opened(path) as memory:
        kept = [snapshot.load(memory.store, "message", part) for part in snapshot.parts(memory.store, "message")]
        assert all(one is not None and 2 not in one.ids for one in kept)


def test_a_part_lacking_a_vector_is_not_kept(path: Path) -> None:
    with opened(path) as memory:
        memory.store.execute("DELETE FROM vectors WHERE ref = 3")
        (part,) = memory._index._read("message", 0, 4096)
        assert not snapshot.keep(memory.store, "message", 0, part)
    with opened(path) as memory:
        assert 3 in arrays(memory)["ids"]  # it got its vector again


def test_other_rules_for_questions_make_other_parts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "form", lambda: 7)
    with opened(path) as memory:
        assert snapshot.parts(memory.store, "message") == []
        memory.warm()
        assert snapshot.parts(memory.store, "message") == [0, 1, 2]
