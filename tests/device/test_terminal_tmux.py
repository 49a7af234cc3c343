"""The real program in a real terminal, driven by keys: the way its owner meets it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import pytest

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Terminal:
    """A tmux server of its own with one window."""

    def __init__(self) -> None:
        self._socket = ""

    def run(self, *arguments: str) -> str:
        command = ["tmux", "-L", self._socket, "-f", "/dev/null", *arguments]
        # The environment is given by hand: readline, which pytest loads, hides a width in the inherited one.
        environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=10)
        return done.stdout

    def start(self, *command: str) -> None:
        self._socket = f"mnemon-test-{uuid.uuid4().hex[:8]}"  # the one before may not have quite ended
        line = shlex.join(command)
        self.run("new-session", "-d", "-x", "110", "-y", "30", f"{line}; echo ENDED; sleep 60")

    def type(self, *keys: str) -> None:
        self.run("send-keys", *keys)

    def screen(self) -> str:
        return self.run("capture-pane", "-p")

    def wait_for(self, words: str, *, gone: bool = False, seconds: float = 30) -> str:
        end = time.monotonic() + seconds
        while (words in (shown := self.screen())) == gone:
            if time.monotonic() > end:
                raise AssertionError(f"{words!r} {'stayed' if gone else 'never came'}:\n{shown}")
            time.sleep(0.05)
        return shown

    def end(self) -> None:
        subprocess.run(["tmux", "-L", self._socket, "kill-server"], capture_output=True, check=False, timeout=10)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.end()


def test_told_asked_looked_up_quit_and_there_again(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNEMON_MEMORY_KEY", "file")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    program = [sys.executable, "-c", "from mnemon.commands.main import main; main()"]
    terminal.start(*program)
    terminal.wait_for("Tell Mnemon something")
    terminal.type("My dog is called Biscuit.", "Enter")
    terminal.wait_for("Mnemon · said")
    terminal.type("What is my dog called?", "Enter")
    shown = terminal.wait_for("It was given 1 memory")
    assert "“My dog is called Biscuit.”" in shown
    terminal.type("F3")
    terminal.wait_for("Edit")
    terminal.type("Escape")
    terminal.wait_for("^j New line")
    terminal.type("one", "C-j", "two")
    terminal.wait_for("two")
    terminal.type("C-q")
    terminal.wait_for("ENDED")
    terminal.end()

    terminal.start(*program)
    shown = terminal.wait_for("What is my dog called?")
    assert "My dog is called Biscuit." in shown
    terminal.type("C-q")
    terminal.wait_for("ENDED")
