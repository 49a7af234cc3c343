"""``mnemon learn praise``, ``blame`` and ``edit``: what the owner thinks of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mnemon.commands import output
from mnemon.commands.app import App, pass_app
from mnemon.commands.words import given
from mnemon.errors import InputError
from mnemon.terminal.text import one_line

if TYPE_CHECKING:
    from mnemon.assistant import Assistant
    from mnemon.learning.examples import Kind
    from mnemon.memory.records import Message


_LOOKED_THROUGH = 20
"""Conversations, the newest first, in which the last answer is looked for."""


def _thumb(name: str, kind: Kind, judged: str) -> click.Command:
    """The command that says an answer was ``judged`` so."""

    @click.command(
        name, help=f"Say that ANSWER (such as m12; the last one when left out) was {judged}; once more takes it back."
    )
    @click.argument("answer", metavar="[ANSWER]", required=False)
    @output.json_option
    @pass_app
    def command(app: App, answer: str | None, as_json: bool) -> None:
        with app.assistant() as assistant:
            found = _answer(assistant, answer)
            chat = assistant.chat(found.conversation_id)
            stands = chat.praise(found.id) if kind == "praised" else chat.blame(found.id)
        if as_json:
            output.print_json({"id": found.memory_id, kind: stands})
        else:
            said = f"Noted: {judged.replace('good', 'a good')} answer." if stands else "Taken back."
            output.say(f"{said}  {found.memory_id}  {one_line(found.text, 80)}")

    return command


@click.command()
@click.argument("words", metavar="[ANSWER] TEXT", nargs=-1)
@output.json_option
@pass_app
def edit(app: App, words: tuple[str, ...], as_json: bool) -> None:
    """Write what an answer should have been: ANSWER such as m12, or the last one.

    TEXT can be -: the words then come from standard input.
    """
    if len(words) > 2:
        raise InputError(
            "That is more than an answer and a text.", hint='As in: mnemon learn edit m12 "Ten minutes."'
        )
    name, text = words if len(words) == 2 else (None, words[0] if words else None)
    text = given(text)
    with app.assistant() as assistant:
        answer = _answer(assistant, name)
        written = assistant.chat(answer.conversation_id).rewrite(answer.id, text)
    if as_json:
        output.print_json({"id": written.memory_id, "instead_of": answer.memory_id})
    else:
        output.say(f"{written.memory_id} stands in the place of {answer.memory_id} now, which stays beside it.")


def _answer(assistant: Assistant, name: str | None) -> Message:
    """The answer of that name, or the last one.

    Raises:
        NotFoundError: There is none with that name.
        InputError: That is no name, or nothing was answered yet.
    """
    messages = assistant.memory.messages
    if name is not None:
        number = name.lower().removeprefix("m")
        if not number.isdecimal():
            raise InputError(f"{name!r} is not the id of an answer.", hint="Ids look like m12.")
        return messages.get(int(number))
    for conversation in messages.conversations(limit=_LOOKED_THROUGH):
        for message in reversed(messages.branch(conversation.id)):
            if message.role == "assistant" and message.text.strip():  # one that failed may have no words
                return message
    raise InputError("There is no answer yet.", hint="Ask something first.")


praise = _thumb("praise", "praised", "good")
blame = _thumb("blame", "blamed", "not good")
