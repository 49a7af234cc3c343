"""Imports that were made to do harm: one line per problem, a bounded number of them, and nothing changed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from no_embedder import NoEmbedder

from mnemon.errors import ImportProblemsError, TransferError
from mnemon.memory import checking, reading
from mnemon.memory.memory import Memory
from mnemon.memory.saving import MOST_TOLD
from mnemon.memory.store import Store
from mnemon.memory.transfer import export, import_file

HEADER = {"mnemon": "export", "version": 1, "exported_at": "2026-03-02T09:30:00.000+00:00"}
AT = "2026-03-02T09:30:00.000+00:00"
Line = dict[str, Any] | str | bytes


def fresh() -> Memory:
    return Memory.temporary(embedder=NoEmbedder())  # type: ignore[arg-type]


def conversation(ref: str = "c") -> Line:
    return {"kind": "conversation", "ref": ref, "origin": "mnemon", "title": "t", "created_at": AT, "leaf": None}


def message(id: Any, text: Any = "fine", **more: Any) -> dict[str, Any]:
    named = {
        "role": "owner",
        "speaker": "",
        "text": text,
        "status": "complete",
        "model": "",
        "route": "",
        "ref": None,
    }
    rest = {"context": "", "parent": None, "said_at": AT, "recalled": [], "extracted": False}
    return {"kind": "message", "id": id, **named, **rest, **more}


def fact(id: Any, **more: Any) -> dict[str, Any]:
    named = {"text": f"The fact {id} holds.", "subject": "user", "attribute": "", "value": "", "origin": "pattern"}
    times = {"valid_from": AT, "valid_to": None, "created_at": AT}
    return {
        "kind": "fact",
        "id": id,
        **named,
        "reason": "",
        "superseded_by": None,
        "source": 1,
        "mentions": [],
        **times,
        **more,
    }


def written(path: Path, *lines: Line, end: bool = True) -> Path:
    rows = [
        line if isinstance(line, bytes) else (line if isinstance(line, str) else json.dumps(line)).encode()
        for line in lines
    ]
    if end:
        rows.append(json.dumps({"kind": "end", "lines": len(lines)}).encode())
    path.write_bytes(b"\n".join([json.dumps(HEADER).encode(), *rows]) + b"\n")
    return path


BAD: dict[str, tuple[Line, str]] = {
    "broken json": ('{"kind": "message", ', "not JSON"),
    "not utf-8": (json.dumps(message(9, "x")).encode().replace(b"x", b"\xff\xfe"), "UTF-8"),
    "a list": ("[1, 2]", "understood"),
    "nested": ('{"kind": ' + "[" * 100_000 + "]" * 100_000 + "}", "deeply"),
    "lone surrogate": (b'{"kind":"message","id":9,"text":"\\ud800"}', "understood"),
    "null byte": (message(9, "a\0b"), "null byte"),
    "no text": (message(9, ["a"]), "no text"),
    "no time zone": (message(9, said_at="2026-03-02T09:30:00"), "time zone"),
    "before time": (message(9, said_at="0001-01-01T00:00:00+14:00"), "out of range"),
    "after time": (message(9, said_at="9999-12-31T23:59:59-14:00"), "out of range"),
    "no such role": (message(9, role="system"), "role"),
    "a number twice": (message(1, "another"), "another message"),
    "a number that is a word": (message("1; DROP TABLE messages"), "no number"),
    "names of nothing": (message(9, recalled=["m1", {"x": 1}]), "names"),
    "no kind": ({"id": 1}, "'kind' is missing"),
    "an unknown kind": ({"kind": "script"}, "out of place"),
    "a fact on nothing": (fact(9, source=77), "understood"),
    "an origin that is none": (fact(9, origin="rumour"), "origin"),
    "a fact in its own place": (fact(9, superseded_by=9), "its own place"),
}


@pytest.mark.parametrize("name", BAD)
def test_each_kind_of_bad_entry_is_one_line_and_the_good_ones_can_be_kept(tmp_path: Path, name: str) -> None:
    line, says = BAD[name]
    more = conversation("d"), message(2, "also fine")
    path = written(tmp_path / "bad.jsonl", conversation(), message(1), line, *more)
    with fresh() as memory:
        with pytest.raises(ImportProblemsError, match=says) as raised:
            import_file(memory, path)
        assert len(raised.value.problems) >= 1
        assert all("\n" not in one and len(one) < 400 for one in raised.value.problems)
        assert memory.stats()["messages"] == memory.stats()["conversations"] == 0
        done = import_file(memory, path, keep_good=True)
        assert done.problems == len(done.told) >= 1
        assert {row["text"] for row in memory.store.rows("SELECT text FROM messages")} == {"fine", "also fine"}
        assert checking.problems(memory.store) == []


def test_facts_that_take_each_others_place_for_ever(tmp_path: Path) -> None:
    path = written(
        tmp_path / "ring.jsonl", conversation(), message(1), *(fact(i, superseded_by=i % 3 + 1) for i in (1, 2, 3))
    )
    with fresh() as memory:
        done = import_file(memory, path, keep_good=True)
        assert (done.facts, done.problems) == (3, 3)
        assert memory.store.tuples("SELECT count(superseded_by) FROM facts")[0][0] == 0


def test_parents_that_lead_in_a_circle_end_somewhere(tmp_path: Path) -> None:
    path = written(tmp_path / "p.jsonl", conversation(), message(1, parent=2), message(2, "b", parent=1))
    with fresh() as memory:
        import_file(memory, path)
        assert [m.text for m in memory.messages.branch(1)] == ["fine", "b"]


def test_a_million_problems_are_counted_and_twenty_are_told(tmp_path: Path) -> None:
    path = written(tmp_path / "many.jsonl", conversation(), message(1), *['{"kind": 1'] * 3000)
    with fresh() as memory:
        done = import_file(memory, path, keep_good=True)
        assert (done.problems, len(done.told)) == (3001 - 1, MOST_TOLD)
        assert done.messages == 1


def test_an_end_that_is_missing_keeps_what_came_before_it_if_wanted(tmp_path: Path) -> None:
    path = written(tmp_path / "cut.jsonl", conversation(), message(1), end=False)
    with fresh() as memory:
        with pytest.raises(ImportProblemsError, match="cut off"):
            import_file(memory, path)
        assert import_file(memory, path, keep_good=True).messages == 1


def test_a_line_too_long_to_hold_is_read_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_VALUE_CHARACTERS", 400_000)
    path = written(tmp_path / "l.jsonl", conversation(), message(1), message(2, "x" * 2_000_000), message(3, "end"))
    with fresh() as memory:
        done = import_file(memory, path, keep_good=True)
        assert "longer" in done.told[0]
        assert done.messages == 2


def test_elements_of_an_array_are_told_one_by_one(tmp_path: Path) -> None:
    good = {"uuid": "u", "name": "n", "chat_messages": [{"uuid": "1", "sender": "human", "text": "kept"}]}
    path = tmp_path / "c.json"
    path.write_text(f'[{json.dumps(good)}, {{"uuid": nonsense}}, {{"mapping": {{"a": {{}}}}}}, {json.dumps(good)}]')
    with fresh() as memory:
        with pytest.raises(ImportProblemsError) as raised:
            import_file(memory, path)
        assert [one.split(": ")[1].split(" ")[:2] for one in raised.value.problems] == [
            ["entry", "2"],
            ["entry", "3"],
        ]
        assert import_file(memory, path, keep_good=True).messages == 1


def test_somebody_elses_seal_and_tombstones(tmp_path: Path) -> None:
    with fresh() as other:
        talk = other.messages.start("t")
        other.messages.add(talk.id, "owner", "theirs")
        gone = other.messages.add(talk.id, "owner", "Their secret is a big one.")
        other.forget(gone.memory_id)
        export(other, tmp_path / "sealed", passphrase="their passphrase")
    with fresh() as memory:
        talk = memory.messages.start("t")
        mine = memory.messages.add(talk.id, "owner", "My secret is a small one.")
        memory.forget(mine.memory_id)
        with pytest.raises(TransferError, match="passphrase does not open"):
            import_file(memory, tmp_path / "sealed", passphrase=lambda: "my passphrase")
        import_file(memory, tmp_path / "sealed", passphrase=lambda: "their passphrase")
        assert memory.is_forgotten("My secret is a small one.")  # their key did not take the place of mine
        assert not memory.is_forgotten("Their secret is a big one.")


IMPORTER = """
import sys, resource
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from no_embedder import NoEmbedder
from mnemon.errors import MnemonError
from mnemon.memory.memory import Memory
from mnemon.memory.store import Store
from mnemon.memory.transfer import import_file
memory = Memory(Store.open(Path(sys.argv[1]), b"k" * 32), embedder=NoEmbedder())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print("ready", flush=True)
def seen(done, total):
    if done > total // 3:
        print("reading", flush=True)
try:
    import_file(memory, Path(sys.argv[2]), progress=seen, keep_good=True)
except KeyboardInterrupt:
    print("stopped", flush=True)
except MnemonError as error:
    print(error.one_line(), flush=True)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def importer(store: Path, path: Path) -> subprocess.Popen[str]:
    here = Path(__file__).parent
    return subprocess.Popen(
        [sys.executable, "-c", IMPORTER, str(store), str(path), str(here)], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
def test_ctrl_c_in_the_middle_leaves_nothing_half(tmp_path: Path) -> None:
    path = written(tmp_path / "l.jsonl", conversation(), *(message(i, f"line {i}") for i in range(1, 15_000)))
    process = importer(tmp_path / "m.db", path)
    assert process.stdout
    while process.stdout.readline().strip() != "reading":
        pass
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert "stopped" in rest.split()
    with Store.open(tmp_path / "m.db", b"k" * 32) as store:
        assert store.tuples("SELECT count(*) FROM messages") == [(0,)]
        assert checking.problems(store) == []


HUGE: dict[str, Callable[[Any], None]] = {
    "a million lines": lambda file: file.writelines(
        json.dumps(message(i, f"line {i} of a very long talk")).encode() + b"\n" for i in range(1, 1_000_000)
    ),
    "a million bad lines": lambda file: file.writelines(b'{"kind": "message", "id":\n' for _ in range(1_000_000)),
    "a line of 50 MB": lambda file: file.write(json.dumps(message(1, "x" * 50_000_000)).encode() + b"\n"),
    "50 MB without an end": lambda file: file.write(b'{"kind": ' + b"[" * 50_000_000),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HUGE)
def test_memory_stays_bounded(tmp_path: Path, name: str) -> None:
    path = tmp_path / "huge.jsonl"
    with path.open("wb") as file:
        file.write(json.dumps(HEADER).encode() + b"\n" + json.dumps(conversation()).encode() + b"\n")
        HUGE[name](file)
    begun = time.monotonic()
    process = importer(tmp_path / "m.db", path)
    out, _ = process.communicate(timeout=1200)
    megabytes = int(out.split()[-1])
    print(f"{name}: {path.stat().st_size / 1e6:.0f} MB, {megabytes} MB more memory, {time.monotonic() - begun:.0f} s")
    assert process.returncode == 0
    assert megabytes < 200
