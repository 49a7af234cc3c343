"""Memories out to a file and back: failures first, then round trips."""

from __future__ import annotations

import io
import json
import os
import stat
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnemon.errors import TransferError
from mnemon.memory import sealing
from mnemon.memory.facts import EDITED
from mnemon.memory.memory import Memory
from mnemon.memory.transfer import export, import_file
from mnemon.profile import Profile

DAY = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


class NoEmbedder:
    """Counts what it is given; all texts mean the same."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed(self, texts: Any) -> Any:
        import numpy as np

        self.texts += texts
        vectors = np.zeros((len(texts), 384), np.float32)
        vectors[:, 0] = 1
        return vectors

    def embed_one(self, text: str) -> Any:
        return self.embed([text])[0]


def fresh() -> Memory:
    return Memory.temporary(embedder=NoEmbedder())  # type: ignore[arg-type]


@pytest.fixture
def memory() -> Iterator[Memory]:
    with fresh() as memory:
        yield memory


@pytest.fixture
def filled(memory: Memory) -> Memory:
    """Two conversations with a branch, facts one of which has ended, a profile, and something forgotten."""
    talk = memory.messages.start("Dogs", created_at=DAY)
    told = memory.messages.add(talk.id, "owner", "My dog is called Biscuit.", said_at=DAY)
    first = memory.messages.add(
        talk.id, "assistant", "Lovely name!", said_at=DAY + timedelta(seconds=2), model="m", recalled=(f"m{told.id}",)
    )
    memory.messages.add(
        talk.id, "assistant", "Noted.", parent_id=told.id, said_at=DAY + timedelta(seconds=9), status="stopped"
    )
    memory.messages.show(first.id)
    other = memory.messages.start(created_at=DAY)
    memory.messages.add(other.id, "other", "Hallo, grüß dich 👋", speaker="Ines", said_at=DAY, ref="D1:1")
    secret = memory.messages.add(other.id, "owner", "My safe opens with 0007.", said_at=DAY)
    old = memory.facts.add(
        "The user lives in Leeds.",
        attribute="home",
        value="Leeds",
        source_id=told.id,
        origin="pattern",
        valid_from=DAY,
    )
    new = memory.facts.add(
        "The user lives in Bristol.",
        attribute="home",
        value="Bristol",
        source_id=told.id,
        origin="model",
        valid_from=DAY + timedelta(days=1),
    )
    memory.facts.end(old.id, at=new.valid_from, superseded_by=new.id, reason=EDITED)
    memory.facts.add(
        "The user's cat is called Miso.",
        subject="cat",
        attribute="name",
        value="Miso",
        origin="owner",
        valid_from=DAY,
    )
    profile = Profile(memory)
    profile.refresh(None)
    profile.add("Likes short answers.")
    memory.messages.mark_extracted(told.id)
    memory.forget(secret.memory_id)
    return memory


def everything(memory: Memory) -> dict[str, Any]:
    """All that is known, without the numbers rows happen to have."""
    texts = {row["id"]: row["text"] for row in memory.store.rows("SELECT id, text FROM messages")}
    facts = {row["id"]: row["text"] for row in memory.store.rows("SELECT id, text FROM facts")}
    named = {f"m{id}": text for id, text in texts.items()} | {f"f{id}": text for id, text in facts.items()}
    return {
        "messages": [
            (
                row["role"],
                row["speaker"],
                row["text"],
                row["said_at"],
                row["status"],
                row["model"],
                row["ref"],
                texts.get(row["parent_id"]),
                [named[name] for name in json.loads(row["recalled"])],
                row["extracted_at"] is None,
            )
            for row in memory.store.rows("SELECT * FROM messages ORDER BY id")
        ],
        "conversations": [
            (row["title"], row["created_at"], texts.get(row["leaf_id"]))
            for row in memory.store.rows("SELECT * FROM conversations ORDER BY id")
        ],
        "facts": [
            (
                row["text"],
                row["subject"],
                row["attribute"],
                row["value"],
                texts.get(row["source_id"]),
                row["origin"],
                row["valid_from"],
                row["valid_to"],
                facts.get(row["superseded_by"]),
                row["reason"],
                row["created_at"],
            )
            for row in memory.store.rows("SELECT * FROM facts ORDER BY id")
        ],
        "profile": [(line.text, line.by_hand, [facts[f] for f in line.fact_ids]) for line in Profile(memory).lines()],
        "changes": {(texts[a], texts[b]) for a, b in memory.store.tuples("SELECT older_id, newer_id FROM changes")},
        "corrections": {
            (*(texts[id] for id in row[:3]), row[3])
            for row in memory.store.tuples(
                "SELECT message_id, answer_id, question_id, created_at FROM corrections ORDER BY message_id"
            )
        },
        "doubts": {
            (facts[row[0]], facts[row[1]], *row[2:])
            for row in memory.store.tuples("SELECT older_id, newer_id, found_at, settled_at FROM doubts")
        },
        "uses": {(facts[id], day) for id, day in memory.store.tuples("SELECT fact_id, day FROM fact_uses")},
    }


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\xff\xfe\x00bad", "UTF-8"),
        (b"hello there", "not JSON"),
        (b"[1, 2]", "no export"),
        (b"{}", "no export"),
        (b'{"mnemon": "export", "version": 99}\n', "version 99"),
        (b'{"mnemon": "export", "version": 1}\n', "cut off"),
        (b'{"mnemon": "export", "version": 1}\n{"kind": "conv', "cut off"),
        (b'{"mnemon": "export", "version": 1}\n{"kind": "magic"}\n', "out of place"),
        (b'{"mnemon": "export", "version": 1}\n[]\n', "cannot be understood"),
        (b"[" * 100_000, "cut off"),
        (b'[{"mapping": {}, "a": "', "cut off"),
        (b"PK\x03\x04half a zip file", "zip"),
        (sealing.MAGIC + b"short", "cut off"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line_and_changes_nothing(
    memory: Memory, tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "import.json"
    path.write_bytes(content)
    with pytest.raises(TransferError, match=says) as raised:
        import_file(memory, path, passphrase=lambda: "x")
    assert "\n" not in raised.value.one_line()
    assert raised.value.hint
    assert memory.stats()["messages"] == memory.stats()["conversations"] == 0


def test_missing_file_folder_unknown_format_and_unwritable_place(memory: Memory, tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="cannot be read"):
        import_file(memory, tmp_path / "none.json")
    with pytest.raises(TransferError, match="folder"):
        import_file(memory, tmp_path)
    with pytest.raises(TransferError, match="no format 'csv'"):
        import_file(memory, tmp_path, format="csv")
    with pytest.raises(TransferError, match="cannot be written"):
        export(memory, tmp_path / "no" / "such" / "folder.jsonl")
    assert not list(tmp_path.glob("**/*.part"))


def test_a_file_cut_anywhere_imports_nothing(filled: Memory, tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    export(filled, whole)
    data = whole.read_bytes()
    for end in range(1, len(data) - 1, max(len(data) // 40, 1)):
        cut = tmp_path / "cut.jsonl"
        cut.write_bytes(data[:end])
        with fresh() as other:
            with pytest.raises(TransferError):
                import_file(other, cut)
            assert other.stats()["messages"] == other.stats()["facts"] == 0


def test_the_last_entry_failing_undoes_all(filled: Memory, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    export(filled, path)
    lines = path.read_text("utf-8").splitlines()
    lines.insert(-1, '{"kind":"fact","id":99}')
    path.write_text("\n".join(lines), "utf-8")
    with fresh() as other:
        with pytest.raises(TransferError, match="cannot be understood"):
            import_file(other, path)
        assert other.stats()["messages"] == 0


def test_a_round_trip_keeps_everything_and_twice_adds_nothing(filled: Memory, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    written = export(filled, path)
    assert (written.conversations, written.messages, written.facts) == (2, 4, 3)
    assert "not encrypted" in written.warning
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with fresh() as other:
        done = import_file(other, path)
        assert (done.format, done.conversations, done.messages, done.facts) == ("mnemon", 2, 4, 3)
        assert everything(other) == everything(filled)
        again = import_file(other, path)
        assert (again.conversations, again.messages, again.facts, again.profile_lines) == (0, 0, 0, 0)
        assert again.already_there == 7
        assert everything(other) == everything(filled)
    assert import_file(filled, path).messages == 0  # and into the memory it came from


@pytest.fixture
def tied(filled: Memory) -> Memory:
    """With a message that changes another, a corrected answer, an open and a settled doubt, and facts in use."""
    add, facts = filled.messages.add, filled.facts
    talk = filled.messages.start("Cars", created_at=DAY)
    older = add(talk.id, "owner", "I drive a red Fiesta.", said_at=DAY)
    newer = add(talk.id, "owner", "The Fiesta is gone, a Corsa is here.", said_at=DAY + timedelta(days=9))
    filled.changes.add(older.id, newer.id)
    question = add(talk.id, "owner", "How many doors has it?", said_at=DAY + timedelta(days=10))
    answer = add(talk.id, "assistant", "It has three.", said_at=DAY + timedelta(days=10), recalled=(newer.memory_id,))
    filled.messages.update(question.id, context=f"Notes: {newer.text}")
    put_right = add(talk.id, "owner", "No, it has five.", said_at=DAY + timedelta(days=10, seconds=9))
    filled.corrections.add(put_right, answer)
    born = [
        facts.add(
            f"The user's birthday is {day} May.",
            attribute="birthday",
            value=day,
            origin="pattern",
            source_id=older.id,
        )
        for day in ("3", "4", "5")
    ]
    filled.doubts.raise_between(born[0].id, born[1].id)
    filled.doubts.raise_between(born[1].id, born[2].id)
    filled.doubts.settle(filled.doubts.of_fact(born[2].id)[0].id, holds=None)
    facts.rehearsal.use([born[0].id], DAY)
    facts.rehearsal.use([born[0].id, born[1].id], DAY + timedelta(days=3))
    return filled


def test_changes_corrections_doubts_and_uses_travel(tied: Memory, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    export(tied, path)
    with fresh() as other:
        import_file(other, path)
        assert everything(other) == everything(tied)
        assert [len(everything(other)[kind]) for kind in ("changes", "corrections", "doubts", "uses")] == [1, 1, 2, 3]
        assert len(other.doubts.open()) == 1  # the one that was settled is not asked about again
        import_file(other, path)
        assert everything(other) == everything(tied)


def test_ties_to_what_was_forgotten_stay_away(tied: Memory, tmp_path: Path) -> None:
    path = tmp_path / "before.jsonl"
    export(tied, path)
    ids = dict(tied.store.tuples("SELECT text, id FROM messages"))
    tied.forget(f"m{ids['The Fiesta is gone, a Corsa is here.']}", f"m{ids['I drive a red Fiesta.']}")
    with fresh() as other:
        export(tied, tmp_path / "after", passphrase="words")
        import_file(other, tmp_path / "after", passphrase=lambda: "words")
        other.store.execute("DELETE FROM messages WHERE role != 'owner' OR text LIKE '%doors%'")
        import_file(other, path)
        found = everything(other)
        assert [found[kind] for kind in ("changes", "doubts", "uses")] == [set(), set(), set()]
        assert "Corsa" not in str(other.store.tuples("SELECT text, context FROM messages"))


def test_why_a_fact_ended_in_an_earlier_export_is_no_copy_of_words(filled: Memory, tmp_path: Path) -> None:
    path = tmp_path / "earlier.jsonl"
    export(filled, path)
    path.write_text(path.read_text("utf-8").replace(EDITED, "Later: my safe opens with 0007"), "utf-8")
    with fresh() as other:
        import_file(other, path)
        assert "0007" not in str(everything(other)["facts"])


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("message", {"changes": ["1"]}),
        ("message", {"changes": 1}),
        ("message", {"corrects": {"answer": 2}}),
        ("message", {"corrects": {"answer": 2, "question": True, "at": "2026-03-02T09:30:00.000+00:00"}}),
        ("fact", {"doubts": [{"older": 1, "at": "2026-03-02", "settled": None}]}),
        ("fact", {"uses": ["yesterday"]}),
    ],
)
def test_a_tie_that_is_none_is_told(filled: Memory, tmp_path: Path, kind: str, field: dict[str, Any]) -> None:
    path = tmp_path / "odd.jsonl"
    export(filled, path)
    entries = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    next(entry for entry in reversed(entries) if entry.get("kind") == kind).update(field)
    path.write_text("\n".join(map(json.dumps, entries)), "utf-8")
    with fresh() as other, pytest.raises(TransferError, match="cannot be understood"):
        import_file(other, path)


def test_what_was_said_after_the_first_export_is_added_to_the_same_conversation(
    filled: Memory, tmp_path: Path
) -> None:
    with fresh() as other:
        export(filled, tmp_path / "1.jsonl")
        import_file(other, tmp_path / "1.jsonl")
        talk = filled.messages.conversations(matching="Dogs")[0]
        filled.messages.add(talk.id, "owner", "He chewed my slippers.", said_at=DAY + timedelta(days=1))
        export(filled, tmp_path / "2.jsonl")
        done = import_file(other, tmp_path / "2.jsonl")
        assert (done.conversations, done.messages) == (0, 1)
        assert everything(other) == everything(filled)


def test_a_sealed_file_opens_with_its_passphrase_only(filled: Memory, tmp_path: Path) -> None:
    path = tmp_path / "sealed"
    assert export(filled, path, passphrase=unicodedata.normalize("NFC", "crème brûlée")).warning == ""
    assert b"Biscuit" not in path.read_bytes()
    with fresh() as other:
        with pytest.raises(TransferError, match="passphrase"):
            import_file(other, path)
        with pytest.raises(TransferError, match="does not open"):
            import_file(other, path, passphrase=lambda: "wrong")
        import_file(other, path, passphrase=lambda: unicodedata.normalize("NFD", "crème brûlée"))
        assert everything(other) == everything(filled)
        assert other.is_forgotten("My safe opens with 0007.")  # the tombstone came along, under its key


def test_what_was_forgotten_does_not_come_back(filled: Memory, tmp_path: Path) -> None:
    path = tmp_path / "before.jsonl"
    export(filled, path)
    assert b"0007" not in path.read_bytes()
    told = next(m for m in filled.messages.branch(1) if m.role == "owner")
    filled.forget(told.memory_id)
    done = import_file(filled, path)
    assert done.forgotten >= 2  # the message, and the facts that rested on it
    assert "Biscuit" not in str(everything(filled)["messages"])


@pytest.mark.parametrize("whole_conversation", [False, True])
def test_answers_that_repeated_it_do_not_come_back(memory: Memory, tmp_path: Path, whole_conversation: bool) -> None:
    add = memory.messages.add
    told_in, asked_in = (memory.messages.start(created_at=DAY).id for _ in range(2))
    told = add(told_in, "owner", "My dog is called Biscuit.", said_at=DAY)
    add(told_in, "assistant", "What a name, Biscuit!", said_at=DAY)
    add(asked_in, "owner", "What is my dog called?", said_at=DAY)
    add(asked_in, "assistant", "It is Biscuit, your dog.", said_at=DAY, recalled=(told.memory_id,))
    path = tmp_path / "before.jsonl"
    export(memory, path)
    if whole_conversation:
        memory.forget_conversation(told_in)
    else:
        memory.forget(told.memory_id)
    import_file(memory, path)
    assert "Biscuit" not in str(everything(memory))


def test_an_export_replaces_an_older_one_or_leaves_it_alone(
    filled: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("the older one")

    def fails(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(TransferError, match="cannot be written"):
        export(filled, path)
    assert path.read_text() == "the older one"
    assert [left for left in tmp_path.iterdir() if left.name.endswith(".part")] == []


def test_progress_and_indexing_in_batches(memory: Memory, tmp_path: Path) -> None:
    talk = memory.messages.start("Long")
    for number in range(150):
        memory.messages.add(talk.id, "owner", f"Entry {number}", said_at=DAY + timedelta(minutes=number))
    path = tmp_path / "long.jsonl"
    export(memory, path)
    seen: list[tuple[int, int]] = []
    with fresh() as other:
        import_file(other, path, progress=lambda done, total: seen.append((done, total)))
        assert len(other.store.tuples("SELECT 1 FROM vectors WHERE kind = 'message'")) == 150
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)


_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=40).filter(
    lambda text: text.strip() == text
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    turns=st.lists(
        st.tuples(
            st.sampled_from(["owner", "assistant", "other"]), _text, st.integers(0, 4_000_000_000), st.integers(0, 9)
        ),
        min_size=1,
        max_size=8,
    ),
    passphrase=st.none(),
)
def test_any_tree_of_words_survives_the_round_trip(tmp_path: Path, turns: list[Any], passphrase: str | None) -> None:
    path = tmp_path / "any.jsonl"
    with fresh() as memory, fresh() as other:
        talk = memory.messages.start("t", created_at=DAY)
        ids: list[int] = []
        for role, text, at, above in turns:
            parent = ids[above] if above < len(ids) else None
            ids.append(
                memory.messages.add(talk.id, role, text, parent_id=parent, said_at=datetime.fromtimestamp(at, UTC)).id
            )
        fingerprints = {(role, text, at) for role, text, at, _ in turns}
        export(memory, path, passphrase=passphrase)
        import_file(other, path)
        if len(fingerprints) == len(turns):
            assert everything(other) == everything(memory)


@settings(max_examples=6)
@given(st.binary(max_size=3 * sealing.CHUNK_BYTES), st.data())
def test_sealing_any_bytes(plain: bytes, data: st.DataObject) -> None:
    file = io.BytesIO()
    with sealing.SealingWriter(file, "pass") as writer:
        writer.write(plain)
    sealed = file.getvalue()
    assert b"".join(sealing.unseal(io.BytesIO(sealed), lambda: "pass", total=len(sealed))) == plain
    at = data.draw(st.integers(len(sealing.MAGIC) + 23 + 12, len(sealed) - 1))
    broken = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
    with pytest.raises(TransferError):
        list(sealing.unseal(io.BytesIO(broken), lambda: "pass", total=len(broken)))
    with pytest.raises(TransferError):
        list(sealing.unseal(io.BytesIO(sealed[:at]), lambda: "pass", total=at))


def test_an_empty_passphrase_is_refused(filled: Memory, tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="empty passphrase"):
        export(filled, tmp_path / "x", passphrase="")
    assert not list(tmp_path.glob("*.part"))
