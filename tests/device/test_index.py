"""The matrix in memory stays in step with the file, whoever writes to it."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from mnemon.memory import vectors
from mnemon.memory.embedding import DIMENSIONS
from mnemon.memory.index import Index, Rows
from mnemon.memory.messages import Messages
from mnemon.memory.records import Message
from mnemon.memory.store import Store

KEY = b"k" * 32
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


class HashingEmbedder:
    """Words as random directions: texts with the same words are near. Counts what it was asked for."""

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.embedded += texts
        rows = np.zeros((len(texts), DIMENSIONS), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split():
                row += np.random.default_rng(zlib.crc32(word.encode())).normal(size=DIMENSIONS)
            row /= max(float(np.linalg.norm(row)), 1e-9)
        return rows

    def embed_one(self, text: str) -> np.ndarray:
        return self.embed([text])[0]


class Desk:
    """One process: a connection of its own to the same file."""

    def __init__(self, path: Path) -> None:
        self.store = Store.open(path, KEY)
        self.messages = Messages(self.store, lambda: START)
        self.embedder = HashingEmbedder()
        self.index = Index(self.store, self.embedder)  # type: ignore[arg-type]

    def say(self, conversation: int, text: str, minutes: float = 0, role: str = "owner") -> Message:
        said = self.messages.add(
            conversation,
            role,
            text,
            said_at=START + timedelta(minutes=minutes),  # type: ignore[arg-type]
        )
        self.index.add("message", [(said.id, said.text)])
        return said


@pytest.fixture
def desks(tmp_path: Path) -> Iterator[list[Desk]]:
    both = [Desk(tmp_path / "memory.db"), Desk(tmp_path / "memory.db")]
    yield both
    for desk in both:
        desk.store.close()


def test_nothing_there(desks: list[Desk]) -> None:
    rows = desks[0].index.rows("message")
    assert len(rows) == 0
    assert rows.position(1) == -1
    assert list(desks[0].index.postings("message", "dog")) == []
    assert list(desks[0].index.postings("message", 'a"b*')) == []


def test_what_another_process_wrote_and_forgot_is_seen(desks: list[Desk]) -> None:
    here, there = desks
    talk = here.messages.start()
    first = here.say(talk.id, "the dog")
    assert list(there.index.rows("message").ids) == [first.id]
    second = there.say(talk.id, "the cat")
    assert list(here.index.rows("message").ids) == [first.id, second.id]
    assert here.embedder.embedded == ["the dog"]  # the other's vector was read, not made again
    assert list(here.index.postings("message", "cats")) == [1]
    there.store.execute("DELETE FROM messages WHERE id = ?", (first.id,))
    rows = here.index.rows("message")
    assert list(rows.live) == [False, True]
    assert not rows.vectors.row(0).any()
    assert list(here.index.postings("message", "dog")) == []


def test_appending_reads_only_what_is_new(desks: list[Desk]) -> None:
    here = desks[0]
    talk = here.messages.start()
    for i in range(150):
        here.say(talk.id, f"number {i}")
    rows = here.index.rows("message")
    assert len(rows) == 150
    here.say(talk.id, "one more")
    assert len(here.index.rows("message")) == len(rows.vectors) == 151
    vector = here.embedder.embed_one("number 77")
    assert int(rows.vectors.cosines(vector).argmax()) == 77


def test_a_vector_lost_in_a_crash_is_made_again(desks: list[Desk]) -> None:
    here = desks[0]
    talk = here.messages.start()
    said = here.messages.add(talk.id, "owner", "never indexed")
    here.messages.add(talk.id, "assistant", "half", status="generating")
    assert list(here.index.rows("message").ids) == [said.id]


def test_a_late_answer_finds_its_place(desks: list[Desk]) -> None:
    here = desks[0]
    talk = here.messages.start()
    here.index.rows("message")
    answer = here.messages.add(talk.id, "assistant", "", status="generating")
    here.say(talk.id, "meanwhile")
    here.messages.update(answer.id, text="finished now", status="complete")
    here.index.add("message", [(answer.id, "finished now")])
    rows = here.index.rows("message")
    assert list(rows.ids) == [answer.id, answer.id + 1]
    assert list(rows.ids) == sorted(rows.ids)
    here.index.add("message", [(answer.id, "other words")])
    assert float(here.index.rows("message").vectors.row(0) @ here.embedder.embed_one("other words")) > 0.99


def test_what_was_forgotten_meanwhile_gets_no_vector(desks: list[Desk]) -> None:
    here = desks[0]
    here.index.add("message", [(999, "a ghost")])
    assert here.store.rows("SELECT * FROM vectors") == []


def test_a_number_is_never_given_twice(desks: list[Desk]) -> None:
    here, there = desks
    talk = here.messages.start()
    first = here.say(talk.id, "the dog")
    assert len(there.index.rows("message")) == 1
    here.store.execute("DELETE FROM messages WHERE id = ?", (first.id,))
    second = here.say(talk.id, "the cat")
    assert second.id > first.id
    assert list(there.index.rows("message").live) == [False, True]


def test_neighbours_are_those_of_the_same_talk(desks: list[Desk]) -> None:
    here = desks[0]
    talk = here.messages.start()
    one, two = here.say(talk.id, "Where do you live?", 0, "assistant"), here.say(talk.id, "By the lake.", 1)
    here.say(talk.id, "Good morning!", 60 * 24)
    rows = here.index.rows("message")
    assert list(rows.before) == [-1, 0, -1]
    assert list(rows.after) == [1, -1, -1]
    assert [rows.position(one.id), rows.position(two.id), rows.position(77)] == [0, 1, -1]


def test_numbers_are_found_among_rows_with_gaps_and_without() -> None:
    for there in ([4, 5, 6, 7], [4, 6, 7, 9]):
        rows = Rows(ids=np.array(there, np.int64))
        wanted = np.array([1, 4, 7, 10], np.int64)
        assert list(rows.positions(wanted)) == [there.index(4), there.index(7)]
    assert list(Rows().positions(wanted)) == []


def test_what_too_many_say_is_told_apart_from_what_nobody_says(desks: list[Desk]) -> None:
    here = desks[0]
    talk = here.messages.start()
    for number in range(4):
        here.say(talk.id, "A dog." if number else "A dog and a cat.", number)
    here.index.rows("message")
    assert here.index.postings("message", "dog", most=3) is None
    assert list(here.index.postings("message", "dog")) == [0, 1, 2, 3]
    assert list(here.index.postings("message", "cat", most=1)) == [0]
    assert list(here.index.postings("message", "bird", most=0)) == []


@pytest.mark.parametrize("at_once", [500, 4000])
def test_many_vectors_have_eight_bits_a_number_and_are_found_all_the_same(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(vectors, "_EXACT_UP_TO", 1000)
    monkeypatch.setattr(vectors, "_SHARED_FROM", 2000 * DIMENSIONS)
    chance = np.random.default_rng(3)
    spread = np.linspace(0.1, 2, DIMENSIONS)  # like sentences: some directions matter more
    rows = chance.normal(size=(4000, DIMENSIONS)) * spread
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    matrix = vectors.Vectors()
    for start in range(0, 4000, at_once):
        matrix.append(rows[start : start + at_once].astype(np.float32))
    with ThreadPoolExecutor(1) as beside:
        for i in range(0, 4000, 400):
            question = (rows[i] + 0.3 * chance.normal(size=DIMENSIONS) * spread / 20).astype(np.float32)
            found = matrix.cosines(question)
            assert int(found.argmax()) == i
            assert np.abs(found - rows @ question).max() < 5e-3
            assert (matrix.cosines(question, beside) == found).all()
            assert matrix.exact(np.array([i]), question)[0] == pytest.approx(float(rows[i] @ question), abs=3e-3)
    matrix.blank(np.array([7]))
    assert not matrix.row(7).any()
    assert matrix.cosines(rows[7].astype(np.float32))[7] == 0
    matrix.put(7, rows[9].astype(np.float32))
    assert int(matrix.cosines(rows[9].astype(np.float32)).argmax()) in (7, 9)


@pytest.mark.parametrize("kind", [np.float32, np.int8])
def test_a_search_uses_nothing_up(kind: type[np.generic]) -> None:
    # Written into a given array, simsimd 6.5 gives away a reference to None at every call: before Python 3.12 the
    # process died of it after some thousands of searches.
    rows = np.arange(20 * DIMENSIONS).reshape(20, DIMENSIONS).astype(kind)
    before = sys.getrefcount(None)
    for _ in range(500):
        vectors.dots(rows, rows[0])
    assert abs(sys.getrefcount(None) - before) < 100
