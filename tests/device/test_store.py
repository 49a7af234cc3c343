"""The encrypted file: what is wrong with it is told, what was committed stays, what was written cannot be read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mnemon.errors import (
    DiskFullError,
    ReadOnlyError,
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreNewerError,
    WrongKeyError,
)
from mnemon.memory.scrubbing import scrub
from mnemon.memory.sqlcipher import PAGE_BYTES
from mnemon.memory.store import Store

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
SOURCE = Path(__file__).parents[2] / "device"


def say(store: Store, title: str) -> None:
    with store.transaction():
        store.execute("INSERT INTO conversations (title, created_at, updated_at) VALUES (?, 1, 1)", (title,))


def titles(store: Store) -> list[str]:
    return [row["title"] for row in store.rows("SELECT title FROM conversations ORDER BY id")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "memory.db"


def filled(path: Path, rows: int = 40) -> Path:
    with Store.open(path, KEY) as store, store.transaction():
        for i in range(rows):
            say(store, f"number {i} " + "x" * 800)
    return path


def test_wrong_key_is_not_called_damage(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    filled(path)
    with pytest.raises(WrongKeyError) as raised:
        Store.open(path, OTHER_KEY)
    assert OTHER_KEY.hex() not in raised.value.one_line()
    assert capfd.readouterr() == ("", "")  # SQLCipher's own log must not write into a terminal app
    with pytest.raises(WrongKeyError, match="32 bytes"):
        Store.open(path, b"short")


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:100],
        lambda data: bytes(PAGE_BYTES) + data[PAGE_BYTES:],
        lambda data: data[:200] + b"scribble" + data[208:],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-PAGE_BYTES],
        lambda data: b"SQLite format 3\0" + data[16:],
    ],
    ids=["empty", "stub", "zeroed start", "scribbled start", "half", "last page gone", "plain header"],
)
def test_damage_is_told_apart_from_a_wrong_key(path: Path, damage: object) -> None:
    data = filled(path).read_bytes()
    path.write_bytes(damage(data))  # type: ignore[operator]
    with pytest.raises(StoreCorruptError) as raised:
        Store.open(path, KEY)
    assert raised.value.hint
    assert path.read_bytes() == damage(data)  # type: ignore[operator]  # looked at, not touched


def test_a_damaged_page_in_the_middle_is_found_by_a_check(path: Path) -> None:
    data = bytearray(filled(path, rows=200).read_bytes())
    middle = len(data) // PAGE_BYTES // 2 * PAGE_BYTES
    data[middle + 100 : middle + 200] = bytes(100)
    path.write_bytes(data)
    with Store.open(path, KEY) as store:
        assert store.problems()


def test_a_newer_file_is_refused_in_words(path: Path) -> None:
    with Store.open(path, KEY) as store:
        store.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('mnemon', 'm9999_later', '')"
        )
    with pytest.raises(StoreNewerError, match="m9999_later"):
        Store.open(path, KEY)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(path: Path) -> None:
    path.parent.chmod(0o500)
    try:
        with pytest.raises(ReadOnlyError):
            Store.open(path, KEY)
    finally:
        path.parent.chmod(0o700)


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((ReadOnlyError, Exception)) as raised:
        Store.open(tmp_path / "file" / "memory.db", KEY)
    assert hasattr(raised.value, "hint")


def test_full_disk_keeps_what_was_saved(path: Path) -> None:
    with Store.open(path, KEY) as store:
        say(store, "before")
        pages = store.rows("PRAGMA page_count")[0]["page_count"]
        store.execute(f"PRAGMA max_page_count = {pages + 2}")  # SQLite's own way of running out of space
        with pytest.raises(DiskFullError, match="No space"):
            say(store, "y" * 100_000)
        assert titles(store) == ["before"]
    with Store.open(path, KEY) as store:
        say(store, "after")
        assert titles(store) == ["before", "after"]


def test_another_process_holding_on_is_one_clear_error(path: Path) -> None:
    first = Store.open(path, KEY)
    second = Store.open(path, KEY, busy_ms=50)
    with first.transaction():
        first.execute("INSERT INTO conversations (created_at, updated_at) VALUES (1, 1)")
        with pytest.raises(StoreBusyError):
            say(second, "never")
    say(second, "then")
    assert titles(first) == ["", "then"]
    first.close()
    second.close()


def test_transactions_nest(path: Path) -> None:
    with Store.open(path, KEY) as store:
        with store.transaction():
            say(store, "kept")
            with pytest.raises(ZeroDivisionError), store.transaction():  # noqa: PT012
                say(store, "undone")
                raise ZeroDivisionError
        with pytest.raises(ZeroDivisionError), store.transaction():  # noqa: PT012 - what came before is undone
            say(store, "also undone")
            raise ZeroDivisionError
        assert titles(store) == ["kept"]


def test_threads_share_a_store(path: Path) -> None:
    with Store.open(path, KEY) as store:
        errors: list[BaseException] = []

        def work(name: int) -> None:
            try:
                for i in range(20):
                    with store.transaction():
                        say(store, f"{name}-{i}")
                        store.rows("SELECT count(*) FROM conversations")
            except Exception as error:  # noqa: BLE001 - shown by the test
                errors.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert len(set(titles(store))) == 80


WRITER = """
import sys
from pathlib import Path
from mnemon.memory.store import Store
store = Store.open(Path(sys.argv[1]), b"k" * 32)
print("ready", flush=True)
for i in range(int(sys.argv[2])):
    with store.transaction():
        store.execute("INSERT INTO conversations (title, created_at, updated_at) VALUES (?, 1, 1)", (str(i) * 50,))
    print(i, flush=True)
"""


def start(script: str, *args: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, args)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_four_processes_make_one_memory_together(path: Path) -> None:
    writers = [start(WRITER, path, 10) for _ in range(4)]
    for writer in writers:
        writer.communicate(timeout=50)
        assert writer.returncode == 0
    with Store.open(path, KEY) as store:
        assert len(titles(store)) == 40
        assert store.problems() == []
    assert [file.name for file in path.parent.iterdir()] == ["memory.db"]


def test_kill_9_loses_nothing_that_was_committed(path: Path) -> None:
    writer = start(WRITER, path, 100_000)
    assert writer.stdout
    seen = [writer.stdout.readline() for _ in range(30)]
    writer.send_signal(signal.SIGKILL)
    rest = writer.stdout.read().split()
    writer.wait(10)
    writer.stdout.close()
    last = int((rest or seen)[-1].strip())
    with Store.open(path, KEY) as store:
        assert len(titles(store)) in (last + 1, last + 2)  # one may have been committed but not yet announced
        assert store.problems() == []


REKEYER = """
import sys
from pathlib import Path
from mnemon.memory.store import Store
store = Store.open(Path(sys.argv[1]), b"k" * 32)
print("ready", flush=True)
store.rekey(b"o" * 32)
print("done", flush=True)
"""


def test_kill_9_while_changing_the_key_leaves_one_that_opens(path: Path) -> None:
    filled(path, rows=2000)
    outcomes = set()
    for delay in (0.0, 0.01, 0.03):
        process = start(REKEYER, path)
        assert process.stdout
        process.stdout.readline()
        time.sleep(delay)
        process.kill()
        process.communicate()
        for key in (KEY, OTHER_KEY):
            try:
                store = Store.open(path, key)
            except WrongKeyError:
                continue
            with store:
                assert len(titles(store)) == 2000
                assert store.problems() == []
                outcomes.add(key)
                if key == OTHER_KEY:
                    store.rekey(KEY)
    assert outcomes


def test_a_new_key_shuts_the_old_one_out(path: Path) -> None:
    filled(path)
    with Store.open(path, KEY) as store:
        secret, derived = store.secret("tombstones"), store.derive_key("sessions")
        store.rekey(OTHER_KEY)
        say(store, "goes on")
        assert store.secret("tombstones") == secret
        assert store.derive_key("sessions") != derived
        assert store.derive_key("sessions") != store.derive_key("else")
    with pytest.raises(WrongKeyError):
        Store.open(path, KEY)
    with Store.open(path, OTHER_KEY) as store:
        assert len(titles(store)) == 41


def test_a_key_cannot_change_under_somebody_else(path: Path) -> None:
    first, second = Store.open(path, KEY), Store.open(path, KEY, busy_ms=50)
    titles(first)
    with pytest.raises(StoreBusyError):
        second.rekey(OTHER_KEY)
    first.close()
    second.close()
    Store.open(path, KEY).close()


def test_a_migration_is_preceded_by_a_copy_only_when_there_is_something_to_lose(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlite_utils import Database, Migrations

    from mnemon.memory import schema

    filled(path, rows=3)
    later = Migrations("mnemon")
    for step in schema.migrations._migrations:
        later(name=step.name)(step.fn)

    @later()
    def m9000_later(db: Database) -> None:
        db.execute("ALTER TABLE conversations ADD COLUMN mood TEXT")

    monkeypatch.setattr(schema, "migrations", later)
    with Store.open(path.with_name("young.db"), KEY) as young:
        assert young.rows("SELECT mood FROM conversations") == []
    assert not path.with_name("young.db.backup").exists()
    Store.open(path, KEY).close()
    backup = path.with_name("memory.db.backup")
    assert backup.stat().st_mode & 0o777 == 0o600
    monkeypatch.undo()
    with Store.open(backup, KEY) as old:
        assert len(titles(old)) == 3


def test_the_size_counts_what_is_not_folded_in_yet(path: Path) -> None:
    with Store.open(path, KEY) as store:
        for i in range(20):
            say(store, f"title {i}")
        log = path.with_name("memory.db-wal").stat().st_size
        assert log > 0
        assert store.size() == path.stat().st_size + log
        store.fold()
        assert store.size() == path.stat().st_size
    with Store.open(None, KEY) as store:
        assert store.size() == 0


def test_nothing_readable_reaches_the_disk(path: Path) -> None:
    markers = [f"marker-{i}-zebra" for i in range(20)]
    with Store.open(path, KEY) as store:
        for marker in markers:
            say(store, marker)
            with store.transaction():
                store.execute(
                    "INSERT INTO messages (conversation_id, role, text, said_at, status)"
                    " VALUES (1, 'owner', ?, 1, 'complete')",
                    (marker,),
                )
        store.rows("SELECT text FROM messages ORDER BY text DESC")
        names = {file.name for file in path.parent.iterdir()}
        assert "memory.db-wal" in names
        for file in path.parent.iterdir():
            data = file.read_bytes()
            assert not [marker for marker in markers if marker.encode() in data], file.name
        assert b"SQLite" not in path.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_closed_memory_says_so(path: Path) -> None:
    store = Store.open(path, KEY)
    store.close()
    store.close()
    for use in (store.changes, lambda: store.secret("x"), lambda: scrub(store), store.problems):
        with pytest.raises(StoreError, match="closed"):
            use()


def test_in_memory_leaves_no_file(tmp_path: Path) -> None:
    with Store.open(None, KEY) as store:
        say(store, "gone soon")
        assert titles(store) == ["gone soon"]
        scrub(store)
        store.rekey(OTHER_KEY)
    assert not list(tmp_path.rglob("*.db*"))
