"""Asking and answering without the terminal app: one question, or one answer for each line that comes in."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

from mnemon.commands.output import INTERRUPTED, note, report, say
from mnemon.commands.words import lines
from mnemon.errors import InputError, PromptTooLongError
from mnemon.terminal.text import ROUTE_SENTENCES, one_line

if TYPE_CHECKING:
    from mnemon.answering.forget_requests import Proposal
    from mnemon.assistant import Assistant
    from mnemon.chat import Chat
    from mnemon.turns import Answer, Turn, Where


def answer(
    chat: Chat,
    text: str,
    *,
    stream: bool,
    where: Where = "auto",
    proposed: Callable[[Proposal], None] | None = None,
) -> Answer:
    """Send ``text`` and wait for the whole answer; with ``stream`` it is printed as it comes.

    ``proposed`` is given what the owner asked to forget, when that is what the message does. Words that would leave
    are shown, and the owner is asked.

    Ctrl-C stops the answer and keeps what was said so far, with status ``stopped``. A reader that goes away
    (a broken pipe) does the same and then raises.
    """
    from mnemon.commands import consent
    from mnemon.turns import ConsentAsked, Delta, ForgetProposed, TurnFinished

    turn = chat.send(text, where)
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
                elif isinstance(event, ForgetProposed) and proposed is not None:
                    proposed(event.proposal)
                elif isinstance(event, ConsentAsked):
                    thought.over()
                    with _on_ctrl_c(signal.default_int_handler):  # there is no answer yet that it could stop
                        consent.settle(event)
                elif isinstance(event, TurnFinished):
                    finished = event.answer
        except BrokenPipeError:
            turn.stop()
            for _ in turn:  # what was said so far gets saved
                pass
            raise
        finally:
            thought.over()
            turn.close()  # at once, and not when nothing holds it any more: its memory may be closed by then
    if finished is None:
        raise RuntimeError("the turn ended without an answer")
    if stream and not said.endswith("\n"):
        click.echo()
    if stream and finished.route == "cloud":
        note(ROUTE_SENTENCES["cloud"])
    if stream and finished.note:
        note(finished.note)
    return finished


def answer_lines(assistant: Assistant) -> int:
    """Answer every line of standard input until it ends, in one conversation; returns the exit code.

    A line that cannot be used costs one line on standard error and the exit code, never the lines after it.
    """
    assistant.warm()
    chat = assistant.chat()
    code = 0
    open_proposals: list[Proposal] = []
    for line in lines(sys.stdin.buffer):
        try:
            if isinstance(line, InputError):
                raise line
            if open_proposals and settle(assistant, open_proposals.pop(), line):
                continue
            if answer(chat, line, stream=True, proposed=open_proposals.append).status == "stopped":
                return INTERRUPTED
            for proposal in open_proposals:
                show(proposal)
        except (InputError, PromptTooLongError) as error:
            code = report(error, as_json=False, debug=False)
    return code


def show(proposal: Proposal) -> None:
    """Number what could be forgotten, and say how to confirm it."""
    for title, first, found in (
        ("This would go:", 1, proposal.sure),
        ("Perhaps you mean this too:", 1 + len(proposal.sure), proposal.perhaps),
    ):
        if found:
            click.echo(title)
            for number, line in enumerate(found, first):
                say(f"  {number}  {one_line(line.text)}")
    everything = "yes for the first list, " if proposal.sure else ""
    click.echo(f"Forget it for good? Answer {everything}the numbers (such as 1 3), or no.")


def settle(assistant: Assistant, proposal: Proposal, reply: str) -> bool:
    """Do what the owner replied to a proposal; False when it was no reply, and nothing is forgotten."""
    from mnemon.commands.forgetting import counted

    plain = reply.strip().lower().rstrip(".!")
    offered = [*proposal.sure, *proposal.perhaps]
    chosen: list[str] = []
    if plain in ("yes", "y", "yes please", "ok", "okay", "sure") and proposal.sure:
        chosen = [line.id for line in proposal.sure]
    elif re.fullmatch(r"\d{1,3}(?:(?:\s*,\s*|\s+|\s+and\s+)\d{1,3})*", plain):
        numbers = {int(number) for number in re.findall(r"\d+", plain)}
        if numbers <= set(range(1, len(offered) + 1)):
            chosen = [offered[number - 1].id for number in sorted(numbers)]
    elif plain not in ("no", "n", "nothing", "none", "cancel", "stop"):
        return False
    if chosen:
        click.echo(f"Forgotten: {counted(assistant.forget_as_asked(proposal, chosen))}.")
    else:
        click.echo("Nothing was forgotten.")
    return True


@contextmanager
def _stopped_by_ctrl_c(turn: Turn) -> Iterator[None]:
    """The first Ctrl-C stops the answer, the second ends the program at once."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # Not here: this thread may hold the very lock that stopping needs.
        threading.Thread(target=turn.stop, daemon=True).start()

    with _on_ctrl_c(stop):
        yield


@contextmanager
def _on_ctrl_c(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """What Ctrl-C does meanwhile; only a program's main thread can say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
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
