"""The two commands of ``docs/cloud.md`` and a hard question: real processes, TLS, a GGUF, a person at a terminal.

The line between device and server is listened to. The model behind the server says its question again
(:mod:`copying_model`), so what comes back has every placeholder in it, in the pieces that its tokens make of it.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import copying_model
import pytest
from at_a_terminal import HANG_SECONDS, at_a_terminal

CLOUD = (sys.executable, "-c", "from mnemon_cloud.commands import cli; cli()")
DEVICE = (sys.executable, "-m", "mnemon")
TOLD = "My sister is called Rosalind Ferrer. I work for Halden Marine. I live in Leiden."
HARD = (
    "Explain step by step how rosalind, of Halden Marine in Leiden, could draw up a formal contract; she is at"
    " rosalind.ferrer@halden.example or +44 7700 900123."
)
LEAVES = (
    "Explain step by step how [PERSON_1], of [ORG_1] in [PLACE_1], could draw up a formal contract; she is at"
    " [EMAIL_1] or [PHONE_1]."
)
NAMES = (b"rosalind", b"ferrer", b"halden", b"leiden", b"7700 900123")
WORDS = (b"formal contract", b"PERSON_1", b"stand for names")


@dataclass
class Tap:
    """A line that is listened to."""

    port: int
    heard: bytearray = field(default_factory=bytearray)


@contextlib.contextmanager
def tapped(to: int) -> Iterator[Tap]:
    """A port that passes everything on to another one and keeps a copy of both directions."""
    with contextlib.ExitStack() as ends, ThreadPoolExecutor() as threads:
        listening = ends.enter_context(socket.create_server(("127.0.0.1", 0)))
        tap = Tap(listening.getsockname()[1])

        def passed(source: socket.socket, target: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while piece := source.recv(65536):
                    tap.heard += piece
                    target.sendall(piece)
                target.shutdown(socket.SHUT_WR)

        def accept() -> None:
            with contextlib.suppress(OSError):  # the test is over
                while True:
                    near = ends.enter_context(listening.accept()[0])
                    far = ends.enter_context(socket.create_connection(("127.0.0.1", to)))
                    threads.submit(passed, near, far)
                    threads.submit(passed, far, near)

        threads.submit(accept)
        yield tap
        listening.shutdown(socket.SHUT_RDWR)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(*words: str, **more: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=HANG_SECONDS, **more)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


@contextlib.contextmanager
def served(home: Path, model: Path, *options: str) -> Iterator[None]:
    """``mnemon-cloud serve``, until it says that it does."""
    with (home / "log").open("wb") as log:
        process = subprocess.Popen([*CLOUD, "serve", "--model", str(model), *options], stdout=log, stderr=log)
    try:
        until = time.monotonic() + HANG_SECONDS
        while b'"serving"' not in (home / "log").read_bytes():
            assert process.poll() is None, (home / "log").read_text()
            assert time.monotonic() < until
            time.sleep(0.05)
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(HANG_SECONDS) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("line", ["with TLS", "where TLS ends before the server"])
def test_a_hard_question_leaves_without_names_and_its_answer_streams_back_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    home, port, metrics = tmp_path / "cloud", free_port(), free_port()
    monkeypatch.setenv("MNEMON_CLOUD_HOME", str(home))
    monkeypatch.setenv("MNEMON_CLOUD_SERVER_METRICS", f"127.0.0.1:{metrics}")
    monkeypatch.setenv("MNEMON_CLOUD_ENGINE_THREADS", "1")
    monkeypatch.setenv("MNEMON_CLOUD_ENGINE_PARALLEL", "2")
    monkeypatch.setenv("MNEMON_CLOUD_ENGINE_WINDOW", "512")
    bare = ("--insecure-without-tls",) if line != "with TLS" else ()
    model = copying_model.write(tmp_path / "again.gguf")
    with tapped(port) as tap:
        invite = run(*CLOUD, "init", "--address", f"localhost:{tap.port}", "--listen", f"127.0.0.1:{port}")
        if bare:
            invite = run(*CLOUD, "invites", "create", *bare)
        with served(home, model, *bare):
            run(*DEVICE, "memory", "add", TOLD)
            assert f"Enrolled at localhost:{tap.port}" in run(*DEVICE, "cloud", "enroll", "-", input=invite)
            seen = at_a_terminal(*DEVICE, "ask", HARD, keys=b"y\n")
            page = urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics").read()
    before, _, answer = seen.partition("[n]: ")
    assert f"{LEAVES}\n" in before
    assert answer == f"y\n{HARD}\nFrom the cloud: a bigger model's words.\n"
    (entry,) = json.loads(run(*DEVICE, "privacy", "ledger", "--json"))
    assert entry["text"] == LEAVES  # and the answer was made of it: the server had nothing else
    assert b'mnemon_tokens_total{kind="answer"}' in page
    assert len(tap.heard) > 4000
    for what in (bytes(tap.heard), page, *(p.read_bytes() for p in home.rglob("*") if p.is_file())):
        assert not [word for word in (*NAMES, *WORDS) if word.lower() in what.lower()]
