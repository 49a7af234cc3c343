"""States of prompts that wait on disk: sealed, nameless, and absent rather than wrong."""

from __future__ import annotations

import os
import shutil
import tempfile
from types import SimpleNamespace

import pytest

from mnemon.runtime.spill import Spill


@pytest.fixture
def spill(tmp_path):
    made = Spill(tmp_path / "sessions", most_bytes=1000)
    yield made
    made.close()


def test_pieces_come_back_and_stand_nowhere(spill, tmp_path):
    first, second = spill.put(b"tea " * 20), spill.put(b"")
    assert spill.get(first) == b"tea " * 20
    assert spill.get(second) == b""
    if os.name != "nt":
        assert not list((tmp_path / "sessions").iterdir())
    spill._file.seek(0)
    assert b"tea" not in spill._file.read()


def test_what_is_damaged_or_forgotten_is_not_there(spill):
    kept, other = spill.put(b"one"), spill.put(b"two")
    spill._file.seek(0)
    spill._file.write(b"\xff")
    assert spill.get(kept) is None
    assert spill.get(other) == b"two"
    spill.forget(other)
    assert spill.get(other) is None
    assert spill.get(99) is None


def test_room_comes_back_with_the_last_piece(spill):
    kept = spill.put(bytes(900))
    assert spill.put(bytes(200)) == -1
    spill.forget(kept)
    assert spill.get(spill.put(bytes(900))) == bytes(900)


def test_a_disk_that_refuses(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    assert Spill(tmp_path / "file").put(b"piece") == -1

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    assert Spill(tmp_path).put(b"piece") == -1


def test_the_last_of_the_disk_is_left_to_the_memory(spill, monkeypatch):
    kept = spill.put(b"one")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=(64 << 20) + 2))
    assert spill.put(b"two") == -1
    assert spill.get(kept) == b"one"
    monkeypatch.undo()
    assert spill.get(spill.put(b"two")) == b"two"
