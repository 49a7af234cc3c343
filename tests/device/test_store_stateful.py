"""The memory against plain dictionaries: whatever is done, in whatever order, both hold the same."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlite_utils
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from no_embedder import NoEmbedder

from mnemon.memory import checking, rotation
from mnemon.memory.backup import backup, restore
from mnemon.memory.memory import Memory
from mnemon.memory.schema import migrations
from mnemon.memory.sqlcipher import connect
from mnemon.memory.transfer import export, import_file
from mnemon.paths import Home
from mnemon.settings import MemorySettings

DAY = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
KEY = b"k" * 32
STEPS = [step.name for step in migrations._migrations]


def old_home(home: Home, applied: int) -> dict[int, str]:
    """A memory as it was after so many migrations, with rows in it: its messages."""
    home.create()
    home.key.write_text(f"mnemon-key 1 {KEY.hex()}\n")
    home.key.chmod(0o600)
    connection = connect(home.store, KEY, 1000)
    db = sqlite_utils.Database(connection)
    if applied < len(STEPS):
        migrations.apply(db, stop_before=STEPS[applied])
    else:
        migrations.apply(db)
    connection.execute("INSERT INTO conversations (title, created_at, updated_at) VALUES ('talk', 1, 1)")
    texts = {1: "Words from long ago.", 2: "The second telling speaks of Bristol."}
    for id, text in texts.items():
        connection.execute(
            "INSERT INTO messages (id, conversation_id, role, text, said_at, status)"
            " VALUES (?, 1, 'owner', ?, ?, 'complete')",
            (id, text, id),
        )
        connection.execute("INSERT INTO vectors (kind, ref, vector) VALUES ('message', ?, ?)", (id, bytes(768)))
    if applied >= 2:
        connection.execute(
            "INSERT INTO facts (text, source_id, origin, valid_from, created_at)"
            " VALUES ('An old fact.', 1, 'pattern', 1, 1)"
        )
    connection.execute("INSERT INTO secrets (name, value) VALUES ('tombstones', ?)", (b"t" * 32,))
    connection.commit()
    connection.close()
    return texts


@pytest.mark.parametrize("applied", range(1, len(STEPS) + 1))
def test_a_memory_of_every_earlier_version_is_brought_up_to_date(own_home: Path, applied: int) -> None:
    home = Home(own_home)
    texts = old_home(home, applied)
    with Memory(Memory.open(home, MemorySettings()).store, embedder=NoEmbedder()) as memory:  # type: ignore[arg-type]
        assert {row["id"]: row["text"] for row in memory.store.rows("SELECT id, text FROM messages")} == texts
        assert [fact.text for fact in memory.facts.list()] == (["An old fact."] if applied >= 2 else [])
        assert checking.problems(memory.store) == []
        assert len(memory._index.rows("message")) == 2
        memory.forget("m1")
        assert memory.facts.list() == []
        assert memory.is_forgotten("Words from long ago.")
    assert (home.root / "memory.db.backup").exists() is False  # the forgetting took it along


class Remembering(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="mnemon-stateful-"))
        self.home = Home(self.folder / "home0")
        self.messages: dict[int, str] = {}
        self.facts: dict[int, tuple[str, int | None, int | None]] = {}  # text, source, what took its place
        self.ended: set[int] = set()  # a fact stays ended also when what took its place is forgotten
        self.forgotten: set[str] = set()
        self.count = 0

    @initialize(applied=st.integers(1, len(STEPS)))
    def begin(self, applied: int) -> None:
        self.messages = old_home(self.home, applied)
        self.open()
        for fact in self.memory.facts.list():
            self.facts[fact.id] = (fact.text, fact.source_id, None)

    def open(self) -> None:
        self.memory = Memory(Memory.open(self.home, MemorySettings()).store, embedder=NoEmbedder())  # type: ignore[arg-type]

    @rule(size=st.sampled_from([1, 3, 800]))
    def write(self, size: int) -> None:
        self.count += 1
        text = f"Telling number {self.count} of thing{self.count}{' and so on' * size}"
        added = self.memory.messages.add(1, "owner", text, said_at=DAY + timedelta(minutes=self.count))
        self.memory.index(added)
        self.messages[added.id] = text

    @precondition(lambda self: self.messages)
    @rule(data=st.data())
    def note(self, data: st.DataObject) -> None:
        self.count += 1
        source = data.draw(st.sampled_from(sorted(self.messages)))
        text = f"The fact{self.count} holds."
        fact = self.memory.facts.add(text, source_id=source, origin="pattern", valid_from=DAY)
        self.memory.index_facts(fact)
        self.facts[fact.id] = (text, source, None)

    @precondition(lambda self: len(self.facts) > 1)
    @rule(data=st.data())
    def supersede(self, data: st.DataObject) -> None:
        open_facts = [id for id in self.facts if id not in self.ended]
        if len(open_facts) < 2:
            return
        old, new = sorted(data.draw(st.lists(st.sampled_from(open_facts), min_size=2, max_size=2, unique=True)))
        self.memory.facts.end(old, at=DAY + timedelta(days=1), superseded_by=new, reason="")
        self.facts[old] = (*self.facts[old][:2], new)
        self.ended.add(old)

    @precondition(lambda self: self.messages)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.messages)))
        self.memory.forget(f"m{id}")
        self.forgotten.add(self.messages.pop(id))
        gone = {fact for fact, (_, source, _) in self.facts.items() if source == id}
        self.forgotten |= {self.facts[fact][0] for fact in gone}
        self.facts = {
            fact: (text, source, None if newer in gone else newer)
            for fact, (text, source, newer) in self.facts.items()
            if fact not in gone
        }

    @rule()
    def crash(self) -> None:
        """What is on the disk this moment, opened as if the process were dead."""
        after = Home(self.folder / f"home{len(list(self.folder.iterdir()))}")
        shutil.copytree(self.home.root, after.root)
        (after.root / "memory.db-shm").unlink(missing_ok=True)
        self.memory.close()
        self.home = after
        self.open()

    @rule()
    def reopen(self) -> None:
        self.memory.close()
        self.open()

    @rule()
    def rekey(self) -> None:
        rotation.rekey(self.home, self.memory.store, "file")

    @rule(sealed=st.booleans())
    def out_and_in(self, sealed: bool) -> None:
        """An export adds nothing to the memory it came from, and is all there in another."""
        path, phrase = self.folder / "out.jsonl", "a good passphrase" if sealed else None
        export(self.memory, path, passphrase=phrase)
        done = import_file(self.memory, path, passphrase=lambda: "a good passphrase")
        assert (done.messages, done.facts, done.problems) == (0, 0, 0)
        with Memory.temporary(embedder=NoEmbedder()) as other:  # type: ignore[arg-type]
            import_file(other, path, passphrase=lambda: "a good passphrase")
            there = {row["text"] for row in other.store.rows("SELECT text FROM messages")}
            assert there == set(self.messages.values())
            assert {row["text"] for row in other.store.rows("SELECT text FROM facts")} == {
                fact[0] for fact in self.facts.values()
            }

    @rule()
    def back_up_and_restore(self) -> None:
        path = self.folder / "kept.backup"
        backup(self.memory.store, path)
        self.memory.close()
        restore(self.home, "file", path)
        self.open()

    @invariant()
    def both_hold_the_same(self) -> None:
        if not hasattr(self, "memory"):
            return
        store = self.memory.store
        assert {row["id"]: row["text"] for row in store.rows("SELECT id, text FROM messages")} == self.messages
        rows = store.tuples("SELECT id, text, source_id, superseded_by FROM facts")
        assert {id: tuple(rest) for id, *rest in rows} == self.facts
        ended = {row[0] for row in store.tuples("SELECT id FROM facts WHERE valid_to IS NOT NULL")}
        assert ended == self.ended & self.facts.keys()
        assert int(self.memory._index.rows("message").live.sum()) == len(self.messages)
        assert all(self.memory.is_forgotten(text, said_at=DAY) for text in self.forgotten)

    def teardown(self) -> None:
        if hasattr(self, "memory"):
            assert checking.problems(self.memory.store) == []
            self.memory.close()
        shutil.rmtree(self.folder)


CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def test_remembering_is_what_dictionaries_do() -> None:
    few = settings(max_examples=6, stateful_step_count=12, suppress_health_check=CHECKS)
    run_state_machine_as_test(Remembering, settings=few)


@pytest.mark.slow
def test_remembering_is_what_dictionaries_do_for_long() -> None:
    many = settings(max_examples=150, stateful_step_count=40, suppress_health_check=CHECKS)
    run_state_machine_as_test(Remembering, settings=many)
