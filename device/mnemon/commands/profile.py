"""``mnemon profile``: the few lines Mnemon knows its owner by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mnemon.commands import output
from mnemon.commands.app import App, pass_app
from mnemon.commands.words import given

if TYPE_CHECKING:
    from mnemon.profile import ProfileLine


@click.group()
def profile() -> None:
    """The few lines Mnemon knows you by."""


@profile.command()
@output.json_option
@pass_app
def show(app: App, as_json: bool) -> None:
    """The lines, each with the facts it rests on."""
    with app.assistant() as assistant:
        _print_lines(assistant.profile.lines(), as_json=as_json)


@profile.command()
@output.json_option
@pass_app
def refresh(app: App, as_json: bool) -> None:
    """Write the lines anew from what is known; lines written by hand stay."""
    with app.assistant() as assistant:
        _print_lines(assistant.profile.refresh(assistant.model), as_json=as_json)


@profile.command()
@click.argument("line", type=int)
@click.argument("text", required=False)
@click.option("--remove", is_flag=True, help="Take the line away instead.")
@output.json_option
@pass_app
def edit(app: App, line: int, text: str | None, remove: bool, as_json: bool) -> None:
    """Change line LINE to TEXT; it is yours from then on and stays."""
    words = "" if remove else given(text)
    with app.assistant() as assistant:
        if remove:
            assistant.profile.remove(line)
        else:
            assistant.profile.edit(line, words)
        _print_lines(assistant.profile.lines(), as_json=as_json)


@profile.command()
@click.argument("text", required=False)
@output.json_option
@pass_app
def add(app: App, text: str | None, as_json: bool) -> None:
    """Add a line of your own."""
    words = given(text)
    with app.assistant() as assistant:
        assistant.profile.add(words)
        _print_lines(assistant.profile.lines(), as_json=as_json)


def _print_lines(lines: list[ProfileLine], *, as_json: bool) -> None:
    if as_json:
        output.print_json([_as_dict(line) for line in lines])
    elif lines:
        output.print_rows((str(line.id), line.text, _rests_on(line)) for line in lines)
    else:
        output.note("The profile is empty. Tell Mnemon something about yourself.")


def _rests_on(line: ProfileLine) -> str:
    return "by hand" if line.by_hand else " ".join(f"f{fact}" for fact in line.fact_ids)


def _as_dict(line: ProfileLine) -> dict[str, Any]:
    return {
        "id": line.id,
        "text": line.text,
        "by_hand": line.by_hand,
        "facts": [f"f{fact}" for fact in line.fact_ids],
        "updated_at": output.iso(line.updated_at),
    }
