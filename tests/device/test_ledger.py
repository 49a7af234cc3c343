"""The ledger under attack: whatever is changed in it is found, and forgetting takes the words but not the record."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from mnemon.errors import InputError
from mnemon.memory.memory import Memory
from mnemon.memory.store import Store
from mnemon.privacy.ledger import Ledger


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.open(None, bytes(32)) as opened:
        yield opened


@pytest.fixture
def ledger(store: Store) -> Ledger:
    ledger = Ledger(store)
    for i in range(5):
        ledger.add(f"question {i} of [PERSON_1]", recipient="cloud", placeholders=["[PERSON_1]"])
    return ledger


def attack(store: Store, sql: str) -> None:
    """As somebody with the key would: past the triggers."""
    for trigger in ("ledger_bd", "ledger_bu"):
        store.execute(f"DROP TRIGGER IF EXISTS {trigger}")
    store.execute("PRAGMA foreign_keys = OFF")
    store.execute(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE ledger SET text = 'other' WHERE id = 3",
        "UPDATE ledger SET text = NULL, salt = NULL WHERE id = 3",
        "UPDATE ledger SET at = at + 1 WHERE id = 1",
        "UPDATE ledger SET recipient = 'nobody' WHERE id = 5",
        "UPDATE ledger SET bytes = 1 WHERE id = 2",
        "UPDATE ledger SET placeholders = '[]' WHERE id = 2",
        "UPDATE ledger SET sources = '[\"m1\"]' WHERE id = 2",
        "UPDATE ledger SET kept = 'digest', text = NULL WHERE id = 2",
        "UPDATE ledger SET hash = zeroblob(32) WHERE id = 5",
        "DELETE FROM ledger WHERE id = 1",
        "DELETE FROM ledger WHERE id = 3",
        "DELETE FROM ledger WHERE id = 5",
        "DELETE FROM ledger",
        "DELETE FROM ledger_head",
        "UPDATE ledger_head SET entries = 4",
        "UPDATE ledger SET id = CASE id WHEN 2 THEN -3 WHEN 3 THEN -2 END WHERE id IN (2, 3)",
        "INSERT INTO ledger SELECT 6, at, kind, recipient, bytes, digest, kept, placeholders, sources, hash, salt,"
        " text FROM ledger WHERE id = 5",
    ],
)
def test_every_change_is_found(store: Store, ledger: Ledger, sql: str) -> None:
    assert not ledger.verify().problems
    attack(store, sql)
    assert ledger.verify().problems


def test_any_changed_byte_is_found(store: Store, ledger: Ledger) -> None:
    dice = random.Random(7)
    for trigger in ("ledger_bd", "ledger_bu"):
        store.execute(f"DROP TRIGGER {trigger}")
    for _ in range(60):
        id, column = dice.randint(1, 5), dice.choice(["hash", "digest", "salt", "text", "kind"])
        old = store.tuples(f"SELECT {column} FROM ledger WHERE id = ?", (id,))[0][0]
        at = dice.randrange(len(old))
        flipped = bytes([old[at] ^ 1]) if isinstance(old, bytes) else chr(ord(old[at]) ^ 1)
        new = old[:at] + flipped + old[at + 1 :]
        store.execute(f"UPDATE ledger SET {column} = ? WHERE id = ?", (new, id))
        assert ledger.verify().problems, (id, column, at)
        store.execute(f"UPDATE ledger SET {column} = ? WHERE id = ?", (old, id))
    assert not ledger.verify().problems


def test_cutting_off_with_the_right_head_needs_the_noted_one(store: Store, ledger: Ledger) -> None:
    noted = ledger.verify().head
    attack(store, "DELETE FROM ledger")
    store.execute("DELETE FROM ledger_head")
    assert not ledger.verify().problems  # whoever holds the key can begin anew: the page on privacy says so
    assert ledger.verify(noted).problems


def test_a_noted_head_stays_good_as_more_is_added(ledger: Ledger) -> None:
    noted = ledger.verify().head
    ledger.add("more", recipient="cloud")
    assert not ledger.verify(noted).problems
    with pytest.raises(InputError, match="no head"):
        ledger.verify("5")


@pytest.mark.parametrize("sql", ["DELETE FROM ledger", "UPDATE ledger SET text = 'x'", "UPDATE ledger SET at = 0"])
def test_the_table_itself_refuses(store: Store, ledger: Ledger, sql: str) -> None:
    with pytest.raises(Exception, match="only added to"):
        store.execute(sql)


def test_only_a_digest_where_the_owner_wants_that(store: Store) -> None:
    ledger = Ledger(store, keep_text=False)
    entry = ledger.add("secret words", recipient="cloud")
    assert entry.text is None
    assert len(entry.digest) == 64
    assert not ledger.verify().problems
    assert not any("secret words" in str(row) for row in store.tuples("SELECT * FROM ledger"))


def test_a_source_is_an_id(ledger: Ledger) -> None:
    with pytest.raises(InputError):
        ledger.add("x", recipient="cloud", sources=["e1"])


def test_forgetting_takes_the_words_and_leaves_the_record() -> None:
    with Memory.temporary() as memory:
        talk = memory.messages.start()
        message = memory.messages.add(talk.id, "owner", "My dog is called Brindlewick.")
        ledger = Ledger(memory.store)
        ledger.add("Is Brindlewick a good name?", recipient="cloud", sources=[message.memory_id])
        ledger.add("Something else", recipient="cloud")
        memory.forget(message.memory_id)
        newest, oldest = ledger.entries()
        assert (newest.text, oldest.text) == ("Something else", None)
        assert oldest.bytes == 27
        assert not ledger.verify().problems
        assert memory.store.tuples("SELECT salt FROM ledger WHERE id = 1") == [(None,)]


def test_export_is_all_of_it_and_overwrites_nothing(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    assert ledger.export(path) == 5
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [row["id"] for row in rows] == [1, 2, 3, 4, 5]
    assert f"5:{rows[-1]['hash']}" == ledger.verify().head
    with pytest.raises(InputError, match="is there already"):
        ledger.export(path)


def test_it_outlives_a_new_key(tmp_path: Path) -> None:
    with Store.open(tmp_path / "memory.db", bytes(32)) as store:
        ledger = Ledger(store)
        ledger.add("one", recipient="cloud")
        store.rekey(bytes(range(32)))
        ledger.add("two", recipient="cloud")
        assert not ledger.verify().problems
