"""``mnemon ask``: one question or remark in, one answer out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from mnemon.commands import output
from mnemon.commands.app import App, pass_app
from mnemon.commands.talk import answer, settle, show
from mnemon.commands.words import given

if TYPE_CHECKING:
    from mnemon.answering.forget_requests import Proposal
    from mnemon.memory.forgetting import Line
    from mnemon.turns import Where


@click.command()
@click.argument("text", required=False)
@output.json_option
@click.option("--local", is_flag=True, help="Answer on this device only; nothing leaves it.")
@click.option("--model", metavar="NAME", help="The model to answer with, this time.")
@click.option(
    "--new/--continue",
    "new",
    default=True,
    help="Begin a new conversation (the default) or go on with the newest one. Memory is the same in both.",
)
@pass_app
def ask(app: App, text: str | None, as_json: bool, local: bool, model: str | None, new: bool) -> None:
    """Ask or tell one thing and print the answer.

    TEXT can be - or left out: the words then come from standard input.
    """
    words = given(text)
    app.model = model or app.model
    with app.assistant() as assistant:
        assistant.warm()  # model and embedder load side by side
        latest = [] if new else assistant.memory.messages.conversations(limit=1)
        chat = assistant.chat(latest[0].id if latest else None)
        proposals: list[Proposal] = []
        where: Where = "local" if local else "auto"
        said = answer(chat, words, stream=not as_json, where=where, proposed=proposals.append)
        if as_json:
            offered = [{"sure": _lines(one.sure), "perhaps": _lines(one.perhaps)} for one in proposals]
            output.print_json({**said.as_dict(), **({"forget": offered[0]} if offered else {})})
        for proposal in [] if as_json else proposals:
            show(proposal)
            if sys.stdin.isatty():
                settle(assistant, proposal, click.prompt("", prompt_suffix="> ", err=True))
            else:
                ids = " ".join(line.id for line in (*proposal.sure, *proposal.perhaps))
                output.note(f"There is no terminal to ask: mnemon memory forget ID..., one or more of {ids}.")
        if said.status == "stopped":
            click.get_current_context().exit(output.INTERRUPTED)


def _lines(found: Sequence[Line]) -> list[dict[str, str]]:
    return [{"id": line.id, "text": line.text} for line in found]
