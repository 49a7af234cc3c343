"""The state keeps its promises: one suite, run against every implementation of the storage."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from mnemon_cloud.errors import StorageError
from mnemon_cloud.settings import StorageSettings
from mnemon_cloud.storage import Storage, open_storage, postgres, sqlite
from mnemon_cloud.storage.postgres import PostgresStorage
from mnemon_cloud.storage.sqlite import SqliteStorage

Open: TypeAlias = Callable[[], Awaitable[Storage]]
"""Opens the test's storage; a second one on the same state is another process."""

HOUR = 3_600_000


@pytest.fixture(params=["sqlite", "postgres"])
async def opener(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    opened: list[Storage] = []
    url = request.getfixturevalue("postgres") if request.param == "postgres" else ""

    async def open_one() -> Storage:
        opened.append(await open_storage(StorageSettings(url, connections=3), tmp_path / "cloud.db"))
        return opened[-1]

    yield open_one
    for storage in opened:
        await storage.close()


@pytest.fixture
async def storage(opener: Open) -> Storage:
    return await opener()


async def enrolled(storage: Storage, key: bytes = b"k" * 32) -> bytes:
    invite = os.urandom(16)
    await storage.add_invite(invite, created_at_ms=0, expires_at_ms=HOUR)
    device = await storage.redeem(invite, public_key=key, device_id=os.urandom(16), now_ms=1)
    assert device is not None
    return device


async def test_an_invite_is_redeemed_once(storage: Storage) -> None:
    await storage.add_invite(b"i" * 16, created_at_ms=0, expires_at_ms=HOUR)
    assert await storage.redeem(b"i" * 16, public_key=b"a" * 32, device_id=b"1" * 16, now_ms=1) == b"1" * 16
    assert await storage.redeem(b"i" * 16, public_key=b"b" * 32, device_id=b"2" * 16, now_ms=1) is None
    # The same key again: the reply was lost.
    assert await storage.redeem(b"i" * 16, public_key=b"a" * 32, device_id=b"3" * 16, now_ms=1) == b"1" * 16
    (device,) = await storage.devices()
    assert (device.id, device.public_key, device.revoked_at_ms) == (b"1" * 16, b"a" * 32, None)
    (invite,) = await storage.invites()
    assert invite.used_by == b"1" * 16


async def test_a_used_invite_does_not_bring_back_a_revoked_device(storage: Storage) -> None:
    await storage.add_invite(b"i" * 16, created_at_ms=0, expires_at_ms=HOUR)
    await storage.redeem(b"i" * 16, public_key=b"a" * 32, device_id=b"1" * 16, now_ms=1)
    assert await storage.revoke_device(b"1" * 16, by="operator", now_ms=2)
    assert await storage.redeem(b"i" * 16, public_key=b"a" * 32, device_id=b"3" * 16, now_ms=3) is None


@pytest.mark.parametrize("now", [HOUR, HOUR + 1])
async def test_an_expired_invite_is_worthless(storage: Storage, now: int) -> None:
    await storage.add_invite(b"i" * 16, created_at_ms=0, expires_at_ms=HOUR)
    assert await storage.redeem(b"i" * 16, public_key=b"a" * 32, device_id=b"1" * 16, now_ms=now) is None


async def test_a_revoked_or_unknown_invite_is_worthless(storage: Storage) -> None:
    await storage.add_invite(b"i" * 16, created_at_ms=0, expires_at_ms=HOUR)
    assert await storage.revoke_invite(b"i" * 16, now_ms=1)
    assert not await storage.revoke_invite(b"i" * 16, now_ms=1)
    for id in (b"i" * 16, b"u" * 16):
        assert await storage.redeem(id, public_key=b"a" * 32, device_id=b"1" * 16, now_ms=1) is None


async def test_a_key_belongs_to_one_device(storage: Storage) -> None:
    await enrolled(storage)
    await storage.add_invite(b"i" * 16, created_at_ms=0, expires_at_ms=HOUR)
    assert await storage.redeem(b"i" * 16, public_key=b"k" * 32, device_id=b"2" * 16, now_ms=1) is None


async def test_a_key_is_replaced_only_by_its_holder(storage: Storage) -> None:
    device, other = await enrolled(storage), await enrolled(storage, b"o" * 32)
    assert not await storage.replace_key(device, old=b"x" * 32, new=b"n" * 32, now_ms=1)
    assert not await storage.replace_key(device, old=b"k" * 32, new=b"o" * 32, now_ms=1)
    assert await storage.replace_key(device, old=b"k" * 32, new=b"n" * 32, now_ms=1)
    await storage.revoke_device(other, by="device", now_ms=1)
    assert not await storage.replace_key(other, old=b"o" * 32, new=b"p" * 32, now_ms=1)
    found = await storage.device(device)
    assert found is not None
    assert found.public_key == b"n" * 32


async def test_a_device_is_revoked_once_and_for_all_processes(opener: Open) -> None:
    one, two = await opener(), await opener()
    device = await enrolled(one)
    assert await two.revoke_device(device, by="operator", now_ms=5)
    assert not await one.revoke_device(device, by="operator", now_ms=6)
    found = await one.device(device)
    assert found is not None
    assert found.revoked_at_ms == 5
    assert not await one.revoke_device(b"u" * 16, by="operator", now_ms=6)


async def test_a_nonce_is_claimed_once_by_all_processes_together(opener: Open) -> None:
    one, two = await opener(), await opener()
    claims = [s.claim_nonce(b"d" * 16, b"n" * 16, until_ms=HOUR, now_ms=0) for s in (one, two) * 10]
    assert sum(await asyncio.gather(*claims)) == 1
    assert await one.claim_nonce(b"e" * 16, b"n" * 16, until_ms=HOUR, now_ms=0)


async def test_nonces_are_kept_as_long_as_they_matter_and_then_go(storage: Storage) -> None:
    assert await storage.claim_nonce(b"d" * 16, b"n" * 16, until_ms=100, now_ms=0)
    assert not await storage.claim_nonce(b"d" * 16, b"n" * 16, until_ms=100, now_ms=100)
    assert await storage.claim_nonce(b"d" * 16, b"n" * 16, until_ms=300, now_ms=101)


async def test_an_allowance_is_never_overdrawn_however_many_ask(opener: Open) -> None:
    one, two = await opener(), await opener()
    taken = await asyncio.gather(*(s.reserve(b"d" * 16, 7, 30, limit=100) for s in (one, two) * 10))
    assert sum(taken) == 3
    assert await one.used(b"d" * 16, 7) == 90
    await two.give_back(b"d" * 16, 7, 25)
    assert await one.used(b"d" * 16, 7) == 65
    assert await one.reserve(b"d" * 16, 8, 100, limit=100)  # another day


async def test_without_a_limit_use_is_counted_and_never_refused(storage: Storage) -> None:
    assert await storage.reserve(b"d" * 16, 7, 10**12, limit=0)
    assert await storage.used(b"d" * 16, 7) == 10**12
    await storage.give_back(b"d" * 16, 7, 2 * 10**12)
    assert await storage.used(b"d" * 16, 7) == 0


ANSWER = {"device_id": b"d" * 16, "request_id": b"r" * 16}


async def test_a_question_is_answered_by_whoever_took_it_last(opener: Open) -> None:
    one, two = await opener(), await opener()
    assert await one.begin_answer(**ANSWER, owner=b"1" * 16, until_ms=HOUR, now_ms=0) is None
    assert await two.begin_answer(**ANSWER, owner=b"2" * 16, until_ms=HOUR, now_ms=0) is None
    assert not await one.keep_answer(**ANSWER, owner=b"1" * 16, answer=b"one", until_ms=HOUR, most=9)
    assert await two.keep_answer(**ANSWER, owner=b"2" * 16, answer=b"two", until_ms=HOUR, most=9)
    assert await one.begin_answer(**ANSWER, owner=b"1" * 16, until_ms=HOUR, now_ms=0) == b"two"
    assert not await one.keep_answer(**ANSWER, owner=b"1" * 16, answer=b"one", until_ms=HOUR, most=9)
    assert await one.kept_answer(**ANSWER, now_ms=0) == b"two"


async def test_of_many_that_take_a_question_at_once_one_keeps_its_answer(opener: Open) -> None:
    processes = [await opener(), await opener()] * 5
    owners = [bytes([n]) * 16 for n in range(len(processes))]
    pairs = list(zip(processes, owners, strict=True))
    await asyncio.gather(*(s.begin_answer(**ANSWER, owner=o, until_ms=HOUR, now_ms=0) for s, o in pairs))
    kept = [s.keep_answer(**ANSWER, owner=o, answer=o, until_ms=HOUR, most=9) for s, o in pairs]
    won = await asyncio.gather(*kept)
    assert sum(won) == 1
    assert await processes[0].kept_answer(**ANSWER, now_ms=0) == owners[won.index(True)]


async def test_answers_are_kept_as_long_as_said_and_the_newest_of_them(storage: Storage) -> None:
    device = await enrolled(storage)
    ids = [bytes([n]) * 16 for n in range(5)]
    for n, id in enumerate(ids):
        await storage.begin_answer(device, id, owner=b"o" * 16, until_ms=HOUR, now_ms=0)
        assert await storage.keep_answer(device, id, owner=b"o" * 16, answer=b"a", until_ms=100 + n // 2, most=3)
    kept = [await storage.kept_answer(device, id, now_ms=0) is not None for id in ids]
    assert (sum(kept), kept[-1]) == (3, True)
    assert await storage.kept_answer(device, ids[4], now_ms=102) is None
    # An answer that expired is no answer: the question can be taken on again.
    assert await storage.begin_answer(device, ids[4], owner=b"p" * 16, until_ms=HOUR, now_ms=102) is None
    await storage.revoke_device(device, by="operator", now_ms=1)
    assert [await storage.kept_answer(device, id, now_ms=0) for id in ids] == [None] * 5


async def test_discarded_answers_are_gone_and_what_is_being_answered_is_not_touched(storage: Storage) -> None:
    await storage.begin_answer(**ANSWER, owner=b"1" * 16, until_ms=HOUR, now_ms=0)
    await storage.discard_answers(b"d" * 16, [b"r" * 16, b"unknown-" * 2])
    assert await storage.keep_answer(**ANSWER, owner=b"1" * 16, answer=b"a", until_ms=HOUR, most=9)
    await storage.discard_answers(b"e" * 16, [b"r" * 16])
    assert await storage.kept_answer(**ANSWER, now_ms=0) == b"a"
    await storage.discard_answers(b"d" * 16, [b"r" * 16])
    assert await storage.kept_answer(**ANSWER, now_ms=0) is None


async def test_a_sweep_deletes_what_is_over_and_nothing_else(storage: Storage) -> None:
    await storage.claim_nonce(b"d" * 16, b"n" * 16, until_ms=100, now_ms=0)
    await storage.begin_answer(**ANSWER, owner=b"1" * 16, until_ms=HOUR, now_ms=0)
    await storage.keep_answer(**ANSWER, owner=b"1" * 16, answer=b"a", until_ms=100, most=9)
    await storage.sweep(now_ms=99)
    assert not await storage.claim_nonce(b"d" * 16, b"n" * 16, until_ms=100, now_ms=0)
    assert await storage.kept_answer(**ANSWER, now_ms=0) == b"a"
    await storage.sweep(now_ms=101)
    assert await storage.claim_nonce(b"d" * 16, b"n" * 16, until_ms=100, now_ms=0)
    assert await storage.kept_answer(**ANSWER, now_ms=0) is None


async def test_the_audit_tells_who_came_and_went(storage: Storage) -> None:
    device = await enrolled(storage)
    await storage.replace_key(device, old=b"k" * 32, new=b"n" * 32, now_ms=2)
    await storage.revoke_device(device, by="device", now_ms=3)
    await storage.revoke_device(device, by="device", now_ms=4)
    events = [(entry.event, entry.subject) for entry in await storage.audit()]
    assert [e for e, _ in events] == ["device-revoked-by-device", "key-rotated", "device-enrolled", "invite-created"]
    assert [s for _, s in events[:3]] == [device] * 3
    assert len(await storage.audit(limit=1)) == 1


async def test_what_was_acknowledged_is_there_after_a_restart(opener: Open) -> None:
    storage = await opener()
    device = await enrolled(storage)
    await storage.close()
    await storage.close()
    again = await opener()
    assert [d.id for d in await again.devices()] == [device]
    with pytest.raises(StorageError):
        await storage.check()


DAY = 86_400_000


async def test_tokens_of_long_ago_are_forgotten(storage: Storage) -> None:
    for day in (64, 65, 100):
        await storage.reserve(b"d" * 16, day, 5, limit=0)
    await storage.sweep(now_ms=100 * DAY)
    assert [await storage.used(b"d" * 16, day) for day in (64, 65, 100)] == [0, 5, 5]


async def test_two_processes_open_and_update_new_storage_at_once(opener: Open) -> None:
    one, two, three = await asyncio.gather(opener(), opener(), opener())
    device = await enrolled(one)
    assert await two.device(device) == await three.device(device) is not None


async def test_a_key_two_devices_want_goes_to_one(opener: Open) -> None:
    one, two = await opener(), await opener()
    device, other = await enrolled(one), await enrolled(one, b"o" * 32)
    swaps = [
        one.replace_key(device, old=b"k" * 32, new=b"n" * 32, now_ms=1),
        two.replace_key(other, old=b"o" * 32, new=b"n" * 32, now_ms=1),
    ]
    assert sum(await asyncio.gather(*swaps)) == 1


async def test_what_an_older_version_wrote_is_kept_when_the_tables_change(
    opener: Open, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind: Any = {"sqlite": sqlite, "postgres": postgres}[request.node.callspec.params["opener"]]
    steps = kind._VERSIONS
    for version in range(1, len(steps) + 1):
        monkeypatch.setattr(kind, "_VERSIONS", steps[:version])
        storage = await opener()
        await enrolled(storage, bytes([version]) * 32)
        await storage.close()
    # And one that is still to come.
    monkeypatch.setattr(kind, "_VERSIONS", (*steps, "ALTER TABLE devices ADD COLUMN nickname TEXT"))
    storage = await opener()
    assert sorted(d.public_key[0] for d in await storage.devices()) == list(range(1, len(steps) + 1))
    monkeypatch.setattr(kind, "_VERSIONS", steps)
    with pytest.raises(StorageError, match="newer"):
        await opener()


async def test_both_storages_have_the_same_tables(tmp_path: Path, postgres: str) -> None:
    import psycopg

    await (await SqliteStorage.open(tmp_path / "cloud.db")).close()
    await (await PostgresStorage.open(postgres)).close()
    db = sqlite3.connect(tmp_path / "cloud.db")
    here = {
        (table, column[1])
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for column in db.execute(f"PRAGMA table_info({table})")
    }
    db.close()
    sql = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    with psycopg.connect(postgres) as there:
        assert set(there.execute(sql).fetchall()) - {("mnemon_schema", "version")} == here


async def test_a_file_that_can_only_be_read_is_told_until_it_is_written(tmp_path: Path) -> None:
    """On a full disk, or one that went read-only, reading goes on as if nothing were."""
    storage = await SqliteStorage.open(tmp_path / "cloud.db")
    storage._connection.execute("PRAGMA query_only = ON")
    await storage.check()  # nobody has tried yet, and a write every second would wear out small disks
    for doing in (storage.claim_nonce(bytes(16), b"1", until_ms=10, now_ms=0), storage.check(), storage.check()):
        with pytest.raises(StorageError, match="readonly"):
            await doing
    storage._connection.execute("PRAGMA query_only = OFF")
    for _ in range(2):
        await storage.check()
    await storage.close()


async def test_a_database_that_only_reads_is_told_until_it_writes(postgres: str) -> None:
    """As a standby is that took over and was not promoted."""
    import psycopg

    storage = await PostgresStorage.open(postgres, connections=1)
    with psycopg.connect(postgres, autocommit=True) as db:
        (name,) = db.execute("SELECT quote_ident(current_database())").fetchone() or ("",)

        def only_reads(on: str) -> None:
            db.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {on}".encode())
            db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")

        only_reads("on")
        with pytest.raises(StorageError, match="ReadOnly"):
            await storage.claim_nonce(bytes(16), b"1", until_ms=10, now_ms=0)
        with pytest.raises(StorageError, match="ReadOnly"):
            await storage.check()
        only_reads("off")
        for _ in range(2):
            await storage.check()
    await storage.close()


@pytest.mark.parametrize("url", ["postgresql://x:secret@/db?host=/nowhere", "postgresql://x?secret=1", "secret"])
async def test_a_database_that_cannot_be_reached_is_told_without_its_password(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_CONNECT_SECONDS", 1.0)
    with pytest.raises(StorageError) as raised:
        await PostgresStorage.open(url)
    assert "secret" not in f"{raised.value} {raised.value.hint}"


async def test_a_broken_connection_is_replaced(postgres: str) -> None:
    import psycopg

    storage = await PostgresStorage.open(postgres, connections=2)
    with psycopg.connect(postgres, autocommit=True) as db:
        db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    await storage.check()
    await storage.close()
    with pytest.raises(StorageError):
        await storage.check()


async def test_sqlite_refuses_damaged_and_newer_files(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(os.urandom(8192))
    with pytest.raises(StorageError):
        await SqliteStorage.open(damaged)
    newer = tmp_path / "newer.db"
    await (await SqliteStorage.open(newer)).close()
    db = sqlite3.connect(newer)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StorageError, match="newer"):
        await SqliteStorage.open(newer)


async def test_the_sqlite_file_is_closed_to_others(tmp_path: Path) -> None:
    storage = await SqliteStorage.open(tmp_path / "cloud.db")
    await enrolled(storage)
    assert {p.stat().st_mode & 0o077 for p in tmp_path.glob("cloud.db*")} == {0}
    await storage.close()
