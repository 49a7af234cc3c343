"""What the tests of the command line share: the real one with a scripted model, in this process or in its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from mnemon import Assistant
from mnemon.commands.app import App
from mnemon.commands.main import cli
from mnemon.runtime.chat_model import ModelInfo
from mnemon.runtime.scripted import Line, ScriptedModel

LARGE = ModelInfo(
    name="scripted", path="", architecture="scripted", parameters=10**9, file_bytes=0, context_tokens=4096
)
LONG_ANSWER = " ".join(a + b + c for a in "bdfglmn" for b in "aeiou" for c in ("ck", "ll", "mp"))
"""A hundred words that say nothing about anybody."""

PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from command_line import app_saying, cli
cli.main(sys.argv[1:], obj=app_saying({script!r}, delay={delay!r}))
"""


def app_saying(script: Line | list[Line], delay: float = 0.0) -> App:
    """A command line whose model says what is in the script."""

    def opener(root: Path, **more: Any) -> Assistant:
        more.pop("model")
        return Assistant(root, chat_model=ScriptedModel(script, delay=delay, info=LARGE), **more)

    return App(opener=opener)


def run(script: Line | list[Line], *words: str, **more: Any) -> Result:
    return CliRunner().invoke(cli, list(words), obj=app_saying(script), **more)


def command(*words: str, script: str, delay: float = 0.0) -> list[str]:
    """The same as a command for a process of its own."""
    program = PROGRAM.format(tests=str(Path(__file__).parent), script=script, delay=delay)
    return [sys.executable, "-c", program, *words]


@contextmanager
def process(words: list[str]) -> Iterator[Any]:
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe) as talk:
        try:
            yield talk
        finally:
            talk.kill()
