"""What was forgotten is gone from between the rows too, whatever comes in the way."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from no_embedder import NoEmbedder
from plain_pages import plain_pages

from mnemon import Assistant
from mnemon.errors import DiskFullError
from mnemon.memory import scrubbing
from mnemon.memory.memory import Memory
from mnemon.memory.store import Store
from mnemon.runtime.scripted import ScriptedModel

KEY = b"k" * 32
COUNT = 120


def filled(path: Path, seed: int = 0) -> tuple[Memory, list[str]]:
    """Messages that grew after they were saved, as answers do: their rows moved from page to page."""
    memory = Memory(Store.open(path, KEY, busy_ms=100), embedder=NoEmbedder())  # type: ignore[arg-type]
    talk = memory.messages.start()
    chance = random.Random(seed)
    said = [
        memory.messages.add(talk.id, "owner", f"Word{i}q is here." + " again" * chance.randrange(40))
        for i in range(COUNT)
    ]
    order = list(said)
    chance.shuffle(order)
    for message in order:
        memory.messages.update(message.id, context=f"Word{message.id - 1}q " + "and more " * chance.randrange(200))
    return memory, [m.memory_id for m in said]


def left(path: Path, forgotten: range) -> list[int]:
    pages = plain_pages(path, KEY).lower()
    return [i for i in forgotten if f"word{i}q".encode() in pages]


HALF = range(0, COUNT, 2)


@pytest.mark.parametrize("seed", [2, 3])  # of six, those in which deleting alone leaves one
def test_rows_that_moved_leave_no_copies(tmp_path: Path, seed: int) -> None:
    memory, ids = filled(tmp_path / "memory.db", seed)
    with memory:
        memory.forget(*(ids[i] for i in HALF))
        assert left(tmp_path / "memory.db", HALF) == []
        assert not scrubbing.is_due(memory.store)
        assert memory.store.problems() == []
        assert len(left(tmp_path / "memory.db", range(1, COUNT, 2))) == COUNT // 2


def test_a_large_file_is_written_anew_in_the_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And at the next start, when the program ended before."""
    monkeypatch.setattr(scrubbing, "AT_ONCE_BYTES", 0)
    path = tmp_path / "home" / "memory.db"
    with Assistant(tmp_path / "home", chat_model=ScriptedModel([])) as assistant:
        key = assistant.memory.store.key
    with Store.open(path, key) as store:
        memory = Memory(store, embedder=NoEmbedder())  # type: ignore[arg-type]
        talk = memory.messages.start()
        said = [memory.messages.add(talk.id, "owner", f"Word{i}q is here.") for i in range(COUNT)]
        memory.forget(*(m.memory_id for m in said[::2]))
        assert scrubbing.is_due(store)
    with Assistant(tmp_path / "home", chat_model=ScriptedModel([])) as assistant:
        assistant.catch_up()
        assistant.wait()
        assert not scrubbing.is_due(assistant.memory.store)
        assistant.forget(said[1].memory_id)
        assistant.wait()
        assert not scrubbing.is_due(assistant.memory.store)
        assert b"word1q" not in plain_pages(path, key).lower()


def test_another_process_that_reads_delays_it(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    memory, ids = filled(path)
    with memory, Store.open(path, KEY, busy_ms=10) as other:
        other.execute("BEGIN")
        other.tuples("SELECT count(*) FROM messages")
        memory.forget(*(ids[i] for i in HALF))
        assert scrubbing.is_due(memory.store)
        other.execute("COMMIT")
        assert scrubbing.scrub(memory.store)
        assert left(path, HALF) == []


def test_a_full_disk_leaves_it_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, ids = filled(tmp_path / "memory.db")
    execute = Store.execute

    def full(store: Store, sql: str, params: Any = ()) -> Any:
        if sql == "VACUUM":
            raise DiskFullError("No space is left.", hint="Free some.")
        return execute(store, sql, params)

    with memory:
        with monkeypatch.context() as patch:
            patch.setattr(Store, "execute", full)
            assert memory.forget(ids[0]).messages == (1,)
            assert scrubbing.is_due(memory.store)
        assert scrubbing.scrub(memory.store)


def test_who_finishes_leaves_the_mark_of_a_later_forgetting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "memory.db"
    memory, ids = filled(path)
    execute = Store.execute
    with memory, Store.open(path, KEY) as other:

        def meanwhile(store: Store, sql: str, params: Any = ()) -> Any:
            done = execute(store, sql, params)
            if sql == "VACUUM":
                with other.transaction():
                    scrubbing.mark(other)
            return done

        monkeypatch.setattr(Store, "execute", meanwhile)
        memory.forget(ids[0])
        assert scrubbing.is_due(memory.store)


def test_a_temporary_memory_has_nothing_to_write_anew() -> None:
    with Memory.temporary(embedder=NoEmbedder()) as memory:  # type: ignore[arg-type]
        talk = memory.messages.start()
        memory.forget(memory.messages.add(talk.id, "owner", "gone").memory_id)
        assert not scrubbing.is_due(memory.store)
