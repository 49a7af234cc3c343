"""``mnemon memory``: episodes, and facts that may not both hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from mnemon.commands import output
from mnemon.commands.app import App, pass_app
from mnemon.errors import InputError
from mnemon.terminal.text import one_line

if TYPE_CHECKING:
    from mnemon.memory.doubts import Doubt
    from mnemon.memory.episodes import Episode


@click.command()
@click.argument("name", metavar="CONFLICT")
@click.argument("choice", metavar="ID|both")
@output.json_option
@pass_app
def settle(app: App, name: str, choice: str, as_json: bool) -> None:
    """Say which fact of CONFLICT holds: its ID, or both. `list --conflicts` shows them."""
    number = _number("d", name)
    holds = None if choice.lower() == "both" else _number("f", choice)
    with app.assistant() as assistant:
        assistant.memory.doubts.settle(number, holds=holds)
    if as_json:
        output.print_json({"settled": f"d{number}", "holds": "both" if holds is None else f"f{holds}"})
    else:
        click.echo("Settled: both hold." if holds is None else f"Settled: f{holds} holds, the other one has ended.")


def print_episodes(found: list[Episode], *, as_json: bool) -> None:
    """What talks were about, one a line."""
    if as_json:
        output.print_json([episode_dict(one) for one in found])
    elif found:
        output.print_rows((one.memory_id, output.day(one.began_at), one.title, one_line(one.text)) for one in found)
    else:
        output.note("There are no episodes yet: a talk becomes one three hours after its last message.")


def print_doubts(found: list[Doubt], *, as_json: bool) -> None:
    """Two facts a line."""
    if as_json:
        output.print_json([doubt_dict(one) for one in found])
    elif found:
        output.print_rows(
            (one.memory_id, *(f"{fact.memory_id} {one_line(fact.text)}" for fact in (one.older, one.newer)))
            for one in found
        )
    else:
        output.note("Nothing that is known contradicts itself.")


def episode_dict(one: Episode) -> dict[str, Any]:
    """As printed by ``--json``; the keys are a contract."""
    return {
        "id": one.memory_id,
        "conversation": f"c{one.conversation_id}",
        "title": one.title,
        "text": one.text,
        "origin": one.origin,
        "began_at": output.iso(one.began_at),
        "ended_at": output.iso(one.ended_at),
        "rests_on": [f"m{id}" for id in one.message_ids],
    }


def doubt_dict(one: Doubt) -> dict[str, Any]:
    """As printed by ``--json``; the keys are a contract."""
    pair = (("older", one.older), ("newer", one.newer))
    return {"id": one.memory_id, **{name: {"id": fact.memory_id, "text": fact.text} for name, fact in pair}}


def _number(kind: str, name: str) -> int:
    match = re.fullmatch(rf"{kind}(\d{{1,18}})", name.strip().lower())
    if match is None:
        raise InputError(f"{name!r} is not one of them.", hint="For example: mnemon memory settle d1 f3")
    return int(match[1])
