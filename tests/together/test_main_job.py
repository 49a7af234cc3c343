"""The whole main job, through real processes: told once, known later, shown why, unreadable on disk, forgotten."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TOLD = {
    "Xanthippe Quillfeather": "My dog is called Xanthippe Quillfeather.",
    "Zorvalund": "I live in Zorvalund.",
    "Brambletwick": "My sister is called Brambletwick.",
    "Oswaldine": "My brother is called Oswaldine.",
    "Pemberzeal": "I work at Pemberzeal.",
    "quinzenberries": "I am allergic to quinzenberries.",
    "Vexillary": "My car is a blue Vexillary.",
    "Thornwhistle": "My doctor is called Thornwhistle.",
    "Glimmerpond": "My cat is called Glimmerpond.",
    "Nightjarring": "My neighbour is called Nightjarring.",
    "Kestrelmoor": "My favourite village is Kestrelmoor.",
    "Umbrielle": "My daughter is called Umbrielle.",
    "Fennimorrow": "My son is called Fennimorrow.",
    "Dagglewash": "My dentist is called Dagglewash.",
    "Lanternfig": "My favourite fruit is Lanternfig.",
    "Jorrocksby": "My boss is called Jorrocksby.",
    "Wimblethorpe": "My mother lives in Wimblethorpe.",
    "Snickelback": "My horse is called Snickelback.",
    "Tarradiddle": "My boat is called Tarradiddle.",
    "7741-QZX-0093": "The number of my locker is 7741-QZX-0093.",
}
"""Twenty things told, each under the words that no file may show."""


@functools.cache
def without_network() -> tuple[str, ...]:
    """What begins a command that is to reach nothing at all; empty where this machine does not offer it."""
    words = ("unshare", "-n")
    if shutil.which("unshare") and subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
        return words
    return ()


def command(*words: str) -> list[str]:
    return [*without_network(), sys.executable, "-m", "mnemon", *words]


def mnemon(*words: str, said: str = "") -> str:
    """What a new process, offline, prints; it has to end well."""
    done = subprocess.run(command(*words), input=said, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ask(question: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(mnemon("ask", question, "--json"))
    return answer


def readable(*folders: Path) -> list[str]:
    """Which of the told words stand in any file below, in any case, as UTF-8 or UTF-16."""
    seen = set[str]()
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        try:
            raw = path.read_bytes().lower()
        except FileNotFoundError:  # a journal that was just closed
            continue
        for marker in TOLD:
            word = marker.lower()
            if word.encode() in raw or word.encode("utf-16-le") in raw:
                seen.add(f"{marker} in {path.name}")
    return sorted(seen)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two would wait for each other on a busy machine."""
    monkeypatch.setenv("MNEMON_MODEL_THREADS", "1")


@pytest.fixture
def everywhere(own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, ...]:
    """All folders these processes may write to: the home, the owner's own folder, the one for temporary files."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    for name in ("TMPDIR", "SQLITE_TMPDIR"):
        monkeypatch.setenv(name, str(temporary))
    return own_home, tmp_path / "person", temporary


def test_told_once_known_later_and_forgotten_for_good(
    own_home: Path, everywhere: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen(
        command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as talk:
        assert talk.stdin
        assert talk.stdout
        for line in TOLD.values():
            talk.stdin.write(f"{line}\n")
            talk.stdin.flush()
            assert talk.stdout.readline()
        assert readable(*everywhere) == []  # while it runs
        talk.stdin.close()
        assert talk.wait(30) == 0

    # Another process, another day as far as it can tell: it knows, and says from which words.
    answer = ask("What is my dog called?")
    assert "Xanthippe Quillfeather" in answer["answer"]
    first = answer["recalled"][0]["source"]
    assert (first["id"], first["text"]) == ("m1", TOLD["Xanthippe Quillfeather"])
    assert readable(*everywhere) == []

    sealed, opened = own_home / "sealed.mnemon", tmp_path / "opened.jsonl"
    secret = tmp_path / "passphrase"
    secret.write_text("four random words here\n")
    monkeypatch.setenv("MNEMON_PASSPHRASE_FILE", str(secret))
    mnemon("memory", "export", str(sealed), "--encrypt")
    assert readable(*everywhere) == []
    mnemon("memory", "export", str(opened))
    assert "Xanthippe" in opened.read_text()

    mnemon("memory", "forget", "m1", "--yes")

    # It does not come back: not from an export made before.
    mnemon("memory", "import", str(opened))
    for where in (("search", "Xanthippe"), ("list", "--all")):
        assert "Xanthippe" not in mnemon("memory", *where, "--json")
    assert "Xanthippe" not in ask("What is my dog called?")["answer"]
    assert "Zorvalund" in ask("Where do I live?")["answer"]  # the rest stayed
    mnemon("memory", "export", str(opened))
    assert "Xanthippe" not in opened.read_text()


def test_killed_at_any_word_what_was_said_is_there_and_unreadable(everywhere: tuple[Path, ...]) -> None:
    for marker, line in list(TOLD.items())[:2]:
        with subprocess.Popen(command("ask", line), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as talk:
            assert talk.stdout
            os.read(talk.stdout.fileno(), 1)  # the first letter of the answer
            talk.send_signal(signal.SIGKILL)
            talk.wait(20)
        assert readable(*everywhere) == []
        found = json.loads(mnemon("memory", "search", marker, "--json"))
        assert any(one["text"] == line for one in found)
    newest = json.loads(mnemon("memory", "list", "--conversations", "--json"))[0]["id"]
    said = json.loads(mnemon("memory", "show", newest, "--json"))["messages"]
    assert said[0]["text"] == line
    assert said[1]["role"] == "assistant"
    assert said[1]["status"] in ("stopped", "complete")


def test_several_processes_at_once_lose_nothing() -> None:
    lines = list(TOLD.values())[:3]
    talks = [
        subprocess.Popen(command("ask", line), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for line in lines
    ]
    for talk in talks:
        _, errors = talk.communicate(timeout=60)
        assert (talk.returncode, errors) == (0, b"")
    kept = [one["title"] for one in json.loads(mnemon("memory", "list", "--conversations", "--json"))]
    assert sorted(kept) == sorted(lines)
