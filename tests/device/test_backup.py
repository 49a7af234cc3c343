"""Backups and putting them back: what cannot be used is refused first, and nothing forgotten comes back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from no_embedder import NoEmbedder

from mnemon import Assistant
from mnemon.commands.main import cli
from mnemon.errors import (
    DiskError,
    InputError,
    StoreBusyError,
    StoreCorruptError,
    StoreMissingError,
    StoreNewerError,
    TransferError,
    WrongKeyError,
)
from mnemon.memory import keys, rotation
from mnemon.memory.backup import Restored, backup, restore
from mnemon.memory.checking import problems
from mnemon.memory.memory import Memory
from mnemon.memory.sqlcipher import PAGE_BYTES, opens
from mnemon.memory.store import Store
from mnemon.memory.transfer import export
from mnemon.paths import Home
from mnemon.settings import MemorySettings

FILE = MemorySettings(key="file")
DAY = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
PHRASE = "correct horse battery"


def opened(home: Home) -> Memory:
    memory = Memory.open(home, FILE)
    memory.embedder = NoEmbedder()  # type: ignore[assignment]
    return memory


def tell(memory: Memory, *texts: str, minutes: int = 0) -> list[str]:
    talks = memory.messages.conversations()
    talk = talks[0] if talks else memory.messages.start("Talk")
    said = [
        memory.messages.add(talk.id, "owner", text, said_at=DAY + timedelta(minutes=minutes + i))
        for i, text in enumerate(texts)
    ]
    return [message.memory_id for message in said]


def texts(home: Home) -> list[str]:
    with opened(home) as memory:
        assert problems(memory.store) == []
        return [row["text"] for row in memory.store.rows("SELECT text FROM messages ORDER BY id")]


@pytest.fixture
def home(own_home: Path) -> Home:
    return Home(own_home)


@pytest.fixture
def kept(home: Home, tmp_path: Path) -> Path:
    """A backup of a memory that has gone on since."""
    with opened(home) as memory:
        tell(memory, "My dog is called Biscuit.", "My safe opens with 0007.")
        memory.facts.add(
            "The user's safe opens with 0007.", source_id=2, origin="pattern", valid_from=DAY, subject="safe"
        )
        backup(memory.store, tmp_path / "kept.backup")
        tell(memory, "I moved to Bristol.", minutes=9)
    return tmp_path / "kept.backup"


def put_back(home: Home, path: Path, **more: object) -> Restored | None:
    return restore(home, "file", path, **more)  # type: ignore[arg-type]


def unchanged(home: Home) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.root.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda data: b"", StoreCorruptError),
        (lambda data: data[: len(data) // 2], StoreCorruptError),
        (lambda data: data[: 5 * PAGE_BYTES + 99] + b"?" + data[5 * PAGE_BYTES + 100 :], StoreCorruptError),
        (lambda data: b'{"mnemon": "export"}\n', TransferError),
        (lambda data: b"?" + os.urandom(len(data) - 1), WrongKeyError),
    ],
    ids=["empty", "half", "one byte", "an export", "noise"],
)
def test_what_is_no_whole_backup_changes_nothing(home: Home, kept: Path, spoil: object, error: type) -> None:
    texts(home)
    kept.write_bytes(spoil(kept.read_bytes()))  # type: ignore[operator]
    before = unchanged(home)
    with pytest.raises(error) as raised:
        put_back(home, kept)
    assert raised.value.hint
    assert str(kept) in str(raised.value)
    assert unchanged(home) | {"memory.lock": b""} == before | {"memory.lock": b""}


def test_a_backup_of_a_newer_mnemon_is_refused(home: Home, kept: Path) -> None:
    with Store.open(kept, keys.obtain(home, "file", create=False)) as store:
        store.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('mnemon', 'm9999_later', '')"
        )
    with pytest.raises(StoreNewerError):
        put_back(home, kept)
    assert len(texts(home)) == 3


def test_a_damaged_memory_is_not_backed_up_over_a_good_one(home: Home, kept: Path, tmp_path: Path) -> None:
    good = kept.read_bytes()
    with opened(home) as memory:
        memory.store.execute("DELETE FROM message_words_data WHERE id > 10")
        with pytest.raises(StoreCorruptError, match="no backup was made"):
            backup(memory.store, kept)
    assert kept.read_bytes() == good
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_a_backup_never_overwrites_the_memory_or_takes_a_short_passphrase(home: Home, tmp_path: Path) -> None:
    with opened(home) as memory:
        for path, phrase in ((home.store, None), (tmp_path / "x", "short")):
            with pytest.raises(InputError):
                backup(memory.store, path, passphrase=phrase)
        with pytest.raises(DiskError):
            backup(memory.store, tmp_path / "no" / "folder")
        tell(memory, "still here")


def test_a_backup_is_one_moment_of_a_memory_that_is_written_to(home: Home, tmp_path: Path) -> None:
    with opened(home) as memory, opened(home) as other:
        tell(memory, "first")
        stop = threading.Event()

        def pairs() -> None:
            while not stop.is_set():
                with other.store.transaction():
                    tell(other, "one", "two")

        writer = threading.Thread(target=pairs)
        writer.start()
        try:
            made = [backup(memory.store, tmp_path / f"{i}.backup") for i in range(3)]
        finally:
            stop.set()
            writer.join()
        assert all(one.messages % 2 for one in made)  # never half a pair
        assert made[0].messages < made[-1].messages


def test_restoring_says_what_changes_and_a_dry_run_does_nothing(home: Home, kept: Path) -> None:
    before = texts(home)
    seen: list[Restored] = []
    assert put_back(home, kept, agree=lambda would: bool(seen.append(would))) is None  # type: ignore[func-returns-value]
    assert (seen[0].messages, seen[0].returned, seen[0].lost, seen[0].forgotten) == (2, 0, 1, 0)
    assert texts(home) == before
    done = put_back(home, kept)
    assert done == seen[0]
    assert texts(home) == before[:2]
    assert sorted(path.name for path in home.root.iterdir()) == ["memory.db", "memory.key", "memory.lock"]


def test_what_was_forgotten_since_stays_forgotten(home: Home, kept: Path) -> None:
    with opened(home) as memory:
        memory.forget("m2")
        said_anew = tell(memory, "My safe opens with 0007.", minutes=10_000_000)  # told again later: holds
    done = put_back(home, kept)
    assert done is not None
    assert done.forgotten == 2  # the message and the fact taken from it
    assert texts(home) == ["My dog is called Biscuit."]
    with opened(home) as memory:
        assert memory.is_forgotten("My safe opens with 0007.", said_at=DAY)
        assert not memory.is_forgotten("My safe opens with 0007.", said_at=DAY + timedelta(days=9000))
    assert said_anew
    data = b"".join(path.read_bytes() for path in home.root.iterdir() if path.is_file())
    assert b"0007" not in data


def test_the_tombstones_of_a_backup_made_elsewhere_are_not_read_with_the_wrong_key(
    home: Home, kept: Path, tmp_path: Path
) -> None:
    elsewhere = Home(tmp_path / "elsewhere")
    with opened(elsewhere) as memory:
        tell(memory, "My dog is called Biscuit.", "Something else.", "The third.")
        memory.forget("m3")
        backup(memory.store, tmp_path / "other.backup", passphrase=PHRASE)
    with opened(home) as memory:
        memory.forget("m1")
    done = put_back(home, tmp_path / "other.backup", backup_passphrase=lambda: PHRASE)
    assert done is not None
    assert done.forgotten == 1
    assert "another memory" in done.notes[0]
    assert texts(home) == ["Something else."]


def test_a_memory_that_is_gone_is_said_and_restored(home: Home, kept: Path) -> None:
    for name in ("memory.db", "memory.db-wal", "memory.db-shm"):
        (home.root / name).unlink(missing_ok=True)
    with pytest.raises(StoreMissingError, match="gone") as raised:
        Memory.open(home, FILE)
    assert "restore" in raised.value.hint
    done = put_back(home, kept)
    assert done is not None
    assert "comes back" in done.notes[0]
    assert len(texts(home)) == 2


def test_a_log_left_by_a_lost_memory_is_not_applied_to_the_restored_one(home: Home, kept: Path) -> None:
    memory = opened(home)
    tell(memory, *(f"line {i}" for i in range(50)))
    log = (home.root / "memory.db-wal").read_bytes()
    memory.close()
    home.store.unlink()
    (home.root / "memory.db-wal").write_bytes(log)
    put_back(home, kept)
    assert len(texts(home)) == 2


def test_a_damaged_memory_is_replaced_and_kept_aside_until_something_is_forgotten(home: Home, kept: Path) -> None:
    data = home.store.read_bytes()
    home.store.write_bytes(data[: len(data) // 2])
    done = put_back(home, kept)
    assert done is not None
    assert "damaged" in done.notes[0]
    aside = home.root / "memory.db.damaged"
    assert aside.read_bytes() == data[: len(data) // 2]
    assert len(texts(home)) == 2
    with opened(home) as memory:
        memory.forget("m1")
    assert not aside.exists()


def test_a_restored_file_that_does_not_open_gives_the_old_one_back(
    home: Home, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = texts(home)
    real = Store.open.__func__  # type: ignore[attr-defined]

    def refusing(cls: type[Store], path: Path, key: bytes, **more: int) -> Store:
        if path == home.store and (home.root / "memory.db.replaced").exists():
            raise StoreCorruptError("no")
        return real(cls, path, key, **more)  # type: ignore[no-any-return]

    monkeypatch.setattr(Store, "open", classmethod(refusing))
    with pytest.raises(StoreCorruptError):
        put_back(home, kept)
    monkeypatch.undo()
    assert texts(home) == before


def test_a_backup_that_happens_to_begin_with_a_bracket_is_one(home: Home, kept: Path) -> None:
    kept.write_bytes(b"{" + kept.read_bytes()[1:])
    with pytest.raises(WrongKeyError):  # another salt, so another key: but not taken for an export
        put_back(home, kept)


def test_nobody_else_may_have_it_open(home: Home, kept: Path) -> None:
    with opened(home) as other:
        tell(other, "written meanwhile")
        with pytest.raises(StoreBusyError):
            restore(home, "file", kept)
    assert len(texts(home)) == 4


@pytest.mark.parametrize("how", ["same machine", "new machine"])
def test_a_passphrase_opens_it_anywhere(home: Home, tmp_path: Path, how: str) -> None:
    with opened(home) as memory:
        tell(memory, "My dog is called Biscuit.")
        made = backup(memory.store, tmp_path / "b", passphrase=PHRASE)
        assert made.passphrase
        assert not opens(tmp_path / "b", memory.store.key)
    target = home if how == "same machine" else Home(tmp_path / "new")
    for phrase in ("wrong passphrase", PHRASE):
        if phrase == PHRASE:
            put_back(target, tmp_path / "b", backup_passphrase=lambda: PHRASE)
        else:
            with pytest.raises(WrongKeyError):
                put_back(target, tmp_path / "b", backup_passphrase=lambda: "wrong passphrase")
    assert texts(target) == ["My dog is called Biscuit."]


def test_a_key_from_before_a_rekey_is_told(home: Home, kept: Path) -> None:
    with opened(home) as memory:
        rotation.rekey(home, memory.store, "file")
    with pytest.raises(WrongKeyError):
        put_back(home, kept)
    assert len(texts(home)) == 3


def test_a_refused_change_of_key_leaves_nothing_behind(home: Home, kept: Path) -> None:
    with opened(home) as memory, opened(home) as other:
        tell(other, "somebody else is here")
        with pytest.raises(StoreBusyError):
            rotation.rekey(home, memory.store, "file")
    assert not (home.root / "memory.key.new").exists()
    assert len(texts(home)) == 4


def test_another_process_does_not_take_a_change_under_way_for_an_abandoned_one(home: Home, kept: Path) -> None:
    looker = (
        "import sys; from pathlib import Path; from mnemon.memory.memory import Memory;"
        " from mnemon.paths import Home;"
        " from mnemon.settings import MemorySettings; Memory.open(Home(Path(sys.argv[1])), MemorySettings()).close()"
    )
    with keys.changing(home, "file"):
        subprocess.run([sys.executable, "-c", looker, str(home.root)], check=True, timeout=60)
        assert (home.root / "memory.key.new").exists()
    subprocess.run([sys.executable, "-c", looker, str(home.root)], check=True, timeout=60)
    assert not (home.root / "memory.key.new").exists()
    assert len(texts(home)) == 3


def test_a_new_lock_on_the_same_key_leaves_the_file_alone(home: Home, kept: Path) -> None:
    texts(home)
    before = home.store.read_bytes()
    with Memory.open(home, FILE) as memory:
        rotation.rewrap(home, memory.store, "passphrase", passphrase=lambda: PHRASE)
    assert home.store.read_bytes() == before
    assert keys.kind(home) == "passphrase"
    with Memory.open(home, FILE, passphrase=lambda: PHRASE) as memory:
        rotation.rewrap(home, memory.store, "file")
    assert len(texts(home)) == 3


def test_a_growing_answer_of_another_mnemon_is_left_to_grow(home: Home) -> None:
    with Assistant(home.root) as first:
        talk = first.memory.messages.start()
        growing = first.memory.messages.add(talk.id, "assistant", "It is", status="generating")
        program = "import sys; from mnemon import Assistant; Assistant(sys.argv[1]).close()"
        subprocess.run([sys.executable, "-c", program, str(home.root)], check=True, timeout=60)
        assert first.memory.messages.get(growing.id).status == "generating"
    with Assistant(home.root) as again:  # nobody is there who could go on with it
        assert again.memory.messages.get(growing.id).status == "stopped"


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, list(words), catch_exceptions=True)
    assert result.exit_code == code, result.output
    return result.output


def test_on_the_command_line(home: Home, kept: Path, tmp_path: Path) -> None:
    assert "checked: 1 conversations, 3 messages" in run("memory", "backup", str(tmp_path / "now"))
    assert (tmp_path / "now").stat().st_mode & 0o777 == 0o600
    run("memory", "backup")
    assert len(list((home.root / "backups").iterdir())) == 1
    assert "Nothing was changed" in run("memory", "restore", str(kept), "--dry-run")
    assert "needs a yes" in run("memory", "restore", str(kept), code=2)
    assert '"lost": 1' in run("memory", "restore", str(kept), "--yes", "--json")
    shutil.copy(home.store, tmp_path / "away")
    home.store.unlink()
    assert "is gone" in run("memory", "stats", code=20)
    assert "is gone" in run("doctor", code=1)
    assert "empty memory" in run("memory", "new")
    assert "is there" in run("memory", "new", code=2)
    run("memory", "restore", str(tmp_path / "now"), "--yes")
    assert len(texts(home)) == 3
    with opened(home) as memory:
        export(memory, tmp_path / "e.jsonl")
    assert "import" in run("memory", "restore", str(tmp_path / "e.jsonl"), "--yes", code=40)
