"""Run under the shim: each scenario once for every k, until its k-th write, fsync or byte of disk no longer comes.

    LD_PRELOAD=faults.so python program.py KIND SCENARIO FOLDER [STEP]

Prints one line of JSON: how many k fired, and what was wrong afterwards.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from no_embedder import NoEmbedder

from mnemon.commands import output
from mnemon.memory import backup, checking, rotation, transfer
from mnemon.memory.memory import Memory
from mnemon.memory.schema import migrations
from mnemon.memory.sqlcipher import connect
from mnemon.paths import Home
from mnemon.settings import MemorySettings

KINDS = {"write": 1, "fsync": 2, "full": 3, "torn": 4}
DAY = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
OLD = ["the first thing " + "x " * 400, "the second thing", "the third thing"]
Say = Callable[[str], None]


def opened(home: Home) -> Memory:
    return Memory(Memory.open(home, MemorySettings(key="file")).store, embedder=NoEmbedder())  # type: ignore[arg-type]


def tell(memory: Memory, text: str) -> int:
    talks = memory.messages.conversations()
    talk = talks[0].id if talks else memory.messages.start("talk").id
    message = memory.messages.add(talk, "owner", text, said_at=DAY)
    memory.index(message)
    return message.id


def everyday(home: Home, folder: Path, say: Say) -> None:
    """Open, say things, note facts, let one take the place of another, forget."""
    with opened(home) as memory:
        for text in ("new one", "new two " + "y " * 3000):
            id = tell(memory, text)
            say(f"+{text}")
        old, new = (memory.facts.add(f"Fact {i}.", source_id=id, origin="pattern", valid_from=DAY) for i in (1, 2))
        memory.index_facts(old, new)
        memory.facts.end(old.id, at=DAY, superseded_by=new.id, reason="")
        memory.forget("m2")
        say(f"-{OLD[1]}")


def first(home: Home, folder: Path, say: Say) -> None:
    """The very first start."""
    shutil.rmtree(home.root)
    say("*")
    with opened(home) as memory:
        tell(memory, "new one")
        say("+new one")


def rekey(home: Home, folder: Path, say: Say) -> None:
    """A new key."""
    with opened(home) as memory:
        rotation.rekey(home, memory.store, "file")


def rewrap(home: Home, folder: Path, say: Say) -> None:
    """A new lock on the same key."""
    with opened(home) as memory:
        rotation.rewrap(home, memory.store, "file")


def back_up(home: Home, folder: Path, say: Say) -> None:
    """A backup."""
    with opened(home) as memory:
        backup.backup(memory.store, folder / "home" / "kept.backup")


def restore(home: Home, folder: Path, say: Say) -> None:
    """A backup put in the memory's place."""
    say("*")
    backup.restore(home, "file", folder / "before.backup")


def read_in(home: Home, folder: Path, say: Say) -> None:
    """An import: all or nothing."""
    with opened(home) as memory:
        transfer.import_file(memory, folder / "import.json")
        say("+line 1")


def export(home: Home, folder: Path, say: Say) -> None:
    """An export."""
    with opened(home) as memory:
        transfer.export(memory, home.root / "out.jsonl")


def migrate(home: Home, folder: Path, say: Say) -> None:
    """A memory of the first version is brought up to date."""
    opened(home).close()


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (everyday, first, rekey, rewrap, back_up, restore, read_in, export, migrate)
}


def prepare(folder: Path, scenario: str) -> Path:
    """The home every round begins with."""
    home = Home(folder / "template")
    if scenario == "migrate":
        home.create()
        key = b"k" * 32
        home.key.write_text(f"mnemon-key 1 {key.hex()}\n")
        home.key.chmod(0o600)
        import sqlite_utils

        connection = connect(home.store, key, 1000)
        db = sqlite_utils.Database(connection)
        migrations.apply(db, stop_before=list(migrations.pending(db))[1].name)
        connection.execute("INSERT INTO conversations (title, created_at, updated_at) VALUES ('talk', 1, 1)")
        for text in OLD:
            connection.execute(
                "INSERT INTO messages (conversation_id, role, text, said_at, status)"
                " VALUES (1, 'owner', ?, 1, 'complete')",
                (text,),
            )
        connection.commit()
        connection.close()
        return home.root
    with opened(home) as memory:
        for text in OLD:
            tell(memory, text)
        backup.backup(memory.store, folder / "before.backup")
    lines = [
        {"uuid": f"u{i}", "sender": "human", "text": f"line {i}", "created_at": DAY.isoformat()} for i in range(20)
    ]
    (folder / "import.json").write_text(json.dumps([{"uuid": "u", "name": "u", "chat_messages": lines}]))
    return home.root


def round(kind: str, scenario: str, folder: Path, k: int) -> tuple[bool, list[str]]:
    """One fault: whether it came, and what is wrong afterwards."""
    home = Home(folder / "home")
    shutil.rmtree(home.root, ignore_errors=True)
    shutil.copytree(folder / "template", home.root)
    heard, telling = os.pipe()
    child = os.fork()
    if child == 0:
        shim = ctypes.CDLL(None)

        def say(text: str) -> None:
            os.write(telling, (text if text[:1] == "=" else text[:200]).encode() + b"\n")

        code, told = 0, io.StringIO()
        shim.faults_arm(KINDS[kind], ctypes.c_long(k), str(home.root).encode())
        try:
            SCENARIOS[scenario](home, folder, say)
        except BaseException as error:  # noqa: BLE001 - told as the command line would
            with contextlib.redirect_stderr(told):
                code = output.report(error, as_json=False, debug=False)
        say(f"={json.dumps([code, told.getvalue().strip(), int(shim.faults_fired())])}")
        os._exit(0)
    os.close(telling)
    with os.fdopen(heard, "rb") as pipe:
        lines = pipe.read().decode().splitlines()
    _, status = os.waitpid(child, 0)
    end = json.loads(lines.pop()[1:]) if lines and lines[-1][:1] == "=" else None
    fired = end is None or end[2] > 0
    wrong = []
    if end is None and not (os.WIFSIGNALED(status) and kind == "torn"):
        wrong.append(f"ended by itself with status {status}")
    if end is not None and end[0] and (end[0] == 1 or "\n" in end[1] or not end[1].startswith("mnemon: ")):
        wrong.append(f"told as {end[:2]}")
    return fired, [*wrong, *after(home, folder, lines, scenario)]


def after(home: Home, folder: Path, lines: list[str], scenario: str) -> list[str]:
    wrong = []
    try:
        with opened(home) as memory:
            wrong += checking.problems(memory.store)
            texts = {row["text"][:199] for row in memory.store.rows("SELECT text FROM messages")}
            live = int(memory._index.rows("message").live.sum())
            if live != len(texts):
                wrong.append(f"the index has {live} of {len(texts)}")
    except BaseException as error:  # noqa: BLE001 - everything that is wrong is told
        return [*wrong, f"cannot be opened afterwards: {type(error).__name__}: {error}"]
    sure = set() if "*" in lines and scenario == "first" else {text[:199] for text in OLD}
    sure |= {line[1:200] for line in lines if line[:1] == "+"}
    gone = {line[1:200] for line in lines if line[:1] == "-"}
    if scenario == "everyday":
        sure.discard(OLD[1])  # being forgotten: there or not, until that was acknowledged
    wrong += [f"lost: {text[:30]}" for text in sure if text not in texts]
    wrong += [f"came back: {text[:30]}" for text in gone & texts]
    if scenario == "read_in" and len(texts) not in (3, 23):
        wrong.append(f"half an import: {len(texts)}")
    leftovers = {path.name for path in home.root.iterdir()} - {
        "memory.db", "memory.key", "memory.lock", "memory.db.backup", "kept.backup", "out.jsonl"
    }  # fmt: skip
    wrong += [f"left over: {name}" for name in leftovers if not _harmless(home.root / name)]
    if (home.root / "kept.backup").exists():
        try:
            backup.restore(home, "file", home.root / "kept.backup", agree=lambda _: False)
        except BaseException as error:  # noqa: BLE001 - everything that is wrong is told
            wrong.append(f"a backup that is none: {error}")
    return wrong


def _harmless(path: Path) -> bool:
    """Scratch files of a killed process, and a rollback journal that was never begun or is done with."""
    if path.name == "memory.db-journal":
        return not path.read_bytes()[:8].strip(b"\0")
    return any(part in path.name for part in (".part", ".restore", ".replaced", ".rekey"))


def main() -> None:
    kind, scenario, root, *step = sys.argv[1:]
    folder = Path(root)
    prepare(folder, scenario)
    k, hits, wrong = 1, 0, dict[int, list[str]]()
    while True:
        fired, found = round(kind, scenario, folder, k)
        if found:
            wrong[k] = found
        if not fired:
            break
        hits += 1
        k += int(step[0]) if step else 1
    print(json.dumps({"fired": hits, "wrong": wrong}))


if __name__ == "__main__":
    main()
