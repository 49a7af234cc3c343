"""``mnemon settings``: what is set, and by whom."""

from __future__ import annotations

import os

import click

from mnemon import settings as known
from mnemon.commands import output
from mnemon.commands.app import App, pass_app
from mnemon.errors import InputError


@click.group()
def settings() -> None:
    """Show and change settings."""


@settings.command("list")
@output.json_option
@pass_app
def list_settings(app: App, as_json: bool) -> None:
    """Every setting with its value; changed ones are marked."""
    now, default = known.values(app.settings()), known.values(known.Settings())
    if as_json:
        output.print_json(now)
    else:
        output.print_rows((name, "*" if now[name] != default[name] else "", _shown(now[name])) for name in now)


@settings.command("get")
@click.argument("name", metavar="SECTION.KEY")
@output.json_option
@pass_app
def get_setting(app: App, name: str, as_json: bool) -> None:
    """The value of one setting, such as model.name."""
    now = known.values(app.settings())
    if name not in now:
        raise InputError(f"There is no setting {name}.", hint="`mnemon settings list` shows them all.")
    if as_json:
        output.print_json(now[name])
    else:
        click.echo(_shown(now[name]))


@settings.command("set")
@click.argument("name", metavar="SECTION.KEY")
@click.argument("value")
@pass_app
def set_setting(app: App, name: str, value: str) -> None:
    """Change one setting in settings.toml; the rest of the file stays as it is."""
    known.save_text(app.home, name, value)
    variable = f"MNEMON_{name.replace('.', '_')}".upper()
    if variable in os.environ:
        output.note(f"Saved, but {variable} is set in your environment and goes first.")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
