"""The keys, made from the bindings themselves, so that it is never out of date."""

from __future__ import annotations

from itertools import groupby
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from mnemon.terminal import keymap
from mnemon.terminal.screens.base import Connected

TITLES = {
    "app": "Everywhere",
    "chat": "In the chat",
    "composer": "While writing",
    "message": "On a selected message (Alt+Up, or Tab)",
    "memory": "In the memory panel",
    "conversations": "In the list of conversations",
    "profile": "In the profile",
    "models": "In the models",
    "learned": "In what was learned",
    "help": "Here",
    "dialogs": "In questions",
}


class HelpScreen(Connected, ModalScreen[None]):
    """Every key, what it does, and the name to remap it by."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "close", "Close", id="help.close")]

    def compose(self) -> ComposeResult:
        """The list."""
        with Vertical(classes="page"):
            yield Static("Keys", classes="title", markup=False)
            with VerticalScroll(id="help-list"):
                yield Static(self.listing(), markup=False)
            yield Static(
                'Remap a key in settings.toml, [terminal.keymap]: "chat.new" = "f12"', classes="keys", markup=False
            )

    def on_mount(self) -> None:
        """Let the arrow keys scroll."""
        self.query_one("#help-list").focus()

    def listing(self) -> Text:
        """The keys by place."""
        text = Text()
        every = keymap.commands(self.mnemon.keymap_in_use)
        for scope, group in groupby(every, key=lambda command: command.scope):
            text.append(f"{TITLES[scope]}\n", style="bold underline")
            for command in group:
                keys = " or ".join(keymap.display(key) for key in command.keys)
                text.append(f"  {keys:<28} ", style="bold")
                text.append(f"{command.description}")
                text.append(f"  {command.id}\n", style="dim")
            text.append("\n")
        text.rstrip()
        return text

    def action_close(self) -> None:
        """Back."""
        self.dismiss(None)
