"""Asking and answering without the terminal app: one question, or one answer for each line that comes in."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

from mnemon.commands.output import INTERRUPTED, report, say
from mnemon.commands.words import lines
from mnemon.errors import InputError, PromptTooLongError

if TYPE_CHECKING:
    from mnemon.assistant import Assistant
    from mnemon.chat import Chat
    from mnemon.turns import Answer, Turn


def answer(chat: Chat, text: str, *, stream: bool) -> Answer:
    """Send ``text`` and wait for the whole answer; with ``stream`` it is printed as it comes.

    Ctrl-C stops the answer and keeps what was said so far, with status ``stopped``. A reader that goes away
    (a broken pipe) does the same and then raises.
    """
    from mnemon.turns import Delta, TurnFinished

    turn = chat.send(text)
    finished: Answer | None = None
    said = ""
    thought = _Thought()
    with _stopped_by_ctrl_c(turn):
        try:
            for event in turn:
                if isinstance(event, Delta) and stream:
                    thought.over()
                    said += event.text
                    say(event.text, end="")
                elif isinstance(event, TurnFinished):
                    finished = event.answer
        except BrokenPipeError:
            turn.stop()
            for _ in turn:  # what was said so far gets saved
                pass
            raise
        finally:
            thought.over()
    if finished is None:
        raise RuntimeError("the turn ended without an answer")
    if stream and not said.endswith("\n"):
        click.echo()
    return finished


def answer_lines(assistant: Assistant) -> int:
    """Answer every line of standard input until it ends, in one conversation; returns the exit code.

    A line that cannot be used costs one line on standard error and the exit code, never the lines after it.
    """
    assistant.warm()
    chat = assistant.chat()
    code = 0
    for line in lines(sys.stdin.buffer):
        try:
            if isinstance(line, InputError):
                raise line
            if answer(chat, line, stream=True).status == "stopped":
                return INTERRUPTED
        except (InputError, PromptTooLongError) as error:
            code = report(error, as_json=False, debug=False)
    return code


@contextmanager
def _stopped_by_ctrl_c(turn: Turn) -> Iterator[None]:
    """The first Ctrl-C stops the answer, the second ends the program at once."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # Not here: this thread may hold the very lock that stopping needs.
        threading.Thread(target=turn.stop, daemon=True).start()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Thought:
    """A sign of life on standard error until the first word comes; only where a person can see it go away again."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        if self._shown:
            click.echo("Thinking …", err=True, nl=False)

    def over(self) -> None:
        """Take it away; calling it again does nothing."""
        if self._shown:
            click.echo("\r\033[K", err=True, nl=False)
            self._shown = False
