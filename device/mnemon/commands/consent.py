"""Showing what would leave this device, and asking for it, on the command line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from mnemon.commands import output
from mnemon.terminal.outgoing import marked
from mnemon.terminal.text import plain

if TYPE_CHECKING:
    from mnemon.privacy.guard import Outgoing
    from mnemon.turns import ConsentAsked


def settle(asked: ConsentAsked) -> None:
    """Show the exact words and ask; without a terminal nothing is asked and nothing leaves."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        output.note("There is no terminal to ask whether words may leave: nothing was sent.")
        return
    show(asked.words, asked.whole, error=True)
    goes = f"There is no line to {asked.recipient} now: it would wait." if asked.later else f"To: {asked.recipient}"
    output.note(f"{goes} Why: {asked.reason}")
    choices = ["y", "n"]
    question = "May these words leave? y yes, n no"
    if asked.alone is not None:
        choices.insert(1, "q")
        question = f"May these words leave? y yes, q the question alone ({plain(asked.alone.text)}), n no"
    reply = click.prompt(question, type=click.Choice(choices), default="n", show_choices=False, err=True)
    if reply != "n":
        asked.allow(alone=reply == "q")


def show(words: str, outgoing: Outgoing, *, error: bool = False) -> None:
    """The two texts with what differs marked: struck through what stays, in green what stands for it.

    Args:
        words: As written.
        outgoing: As it would leave.
        error: Print to standard error.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True, stderr=error)
    wrote, leaves = marked(words, outgoing)
    for title, text in (("You wrote", wrote), (f"Would leave ({len(outgoing.data):,} bytes)", leaves)):
        console.print(Text(title, "bold"))
        console.print(text)
        console.print()
    seen = set[str]()
    for one in outgoing.findings:
        if one.placeholder not in seen:
            seen.add(one.placeholder)
            how = "known from memory" if one.finding.known else "known by its form"
            line = Text("  ").append(one.placeholder, "bold green").append(f"  {plain(one.finding.value)}", "red")
            console.print(line.append(f"  ({how})", "dim"))
    for note in outgoing.notes:
        console.print(Text(note))
