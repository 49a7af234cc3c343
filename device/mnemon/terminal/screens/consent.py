"""Asks whether words may leave, showing exactly which."""

from __future__ import annotations

from typing import ClassVar, Literal

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from mnemon.terminal.outgoing import marked
from mnemon.terminal.text import plain
from mnemon.turns import ConsentAsked

Choice = Literal["all", "alone", "topic", "no"]


class Consent(ModalScreen[Choice]):
    """What was written and what would leave, one under the other. Yes has to be said: Enter alone is no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "choose('all')", "Send", id="consent.yes"),
        Binding("q", "choose('alone')", "Send the question alone", id="consent.alone"),
        Binding("t", "choose('topic')", "Send, and allow a topic for a day", id="consent.topic"),
        Binding("n,escape,enter", "choose('no')", "No", id="consent.no"),
    ]

    def __init__(self, consent: ConsentAsked) -> None:
        super().__init__()
        self._consent = consent

    def compose(self) -> ComposeResult:
        """The question, the two texts, what was cut out, and how to answer."""
        asked = self._consent
        wrote, leaves = marked(asked.words, asked.whole)
        with Vertical(classes="dialog -tall"):
            title = "May this wait for a line, and then leave?" if asked.later else "May this leave your device?"
            yield Static(title, classes="title", markup=False)
            yield Static(plain(f"To {asked.recipient}. {asked.reason}"), classes="details", markup=False)
            with VerticalScroll():
                yield Static(Text.assemble(("You wrote\n", "bold"), wrote), classes="details")
                yield Static(
                    Text.assemble((f"\nWould leave ({len(asked.whole.data):,} bytes)\n", "bold"), leaves),
                    classes="details",
                    id="leaves",
                )
                for note in asked.whole.notes:
                    yield Static(note, classes="details", markup=False)
            alone = "   q the question alone" if asked.alone is not None else ""
            keys = f"y send{alone}   t send, and allow a topic   n no: answer here"
            yield Static(keys, classes="keys", markup=False)

    def action_choose(self, choice: Choice) -> None:
        """Close with the choice."""
        if choice != "alone" or self._consent.alone is not None:
            self.dismiss(choice)
