"""``mnemon ask``: one question or remark in, one answer out."""

from __future__ import annotations

import click

from mnemon.commands import output
from mnemon.commands.app import App, pass_app
from mnemon.commands.talk import answer
from mnemon.commands.words import given


@click.command()
@click.argument("text", required=False)
@output.json_option
@click.option("--local", is_flag=True, help="Answer on this device only.")
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
        said = answer(chat, words, stream=not as_json)
        if as_json:
            output.print_json(said.as_dict())
        if said.status == "stopped":
            click.get_current_context().exit(output.INTERRUPTED)
