"""Small questions: yes or no, a line of text, one of two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static, TextArea

from mnemon.terminal.widgets.checklist import Checklist


class Confirm(ModalScreen[bool]):
    """Asks before something that cannot be undone or that reaches out. Yes has to be said: Enter alone is no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes", id="confirm.yes"),
        Binding("n,escape,enter", "answer(False)", "No", id="confirm.no"),
    ]

    def __init__(self, question: str, details: str = "") -> None:
        super().__init__()
        self._question = question
        self._details = details

    def compose(self) -> ComposeResult:
        """The question, what it means, and how to answer."""
        with Vertical(classes="dialog"):
            yield Static(self._question, classes="title", markup=False)
            if self._details:
                with VerticalScroll(classes="told"):
                    yield Static(self._details, classes="details", markup=False)
            yield Static("y yes   n no", classes="keys", markup=False)

    def action_answer(self, yes: bool) -> None:
        """Close with the answer."""
        self.dismiss(yes)


class Ask(ModalScreen[str | None]):
    """Asks for a line of text; Esc leaves everything as it is."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel", id="ask.cancel")]

    def __init__(self, title: str, text: str = "", *, hint: str = "") -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._hint = hint

    def compose(self) -> ComposeResult:
        """The title, the line, and how to answer."""
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="title", markup=False)
            if self._hint:
                yield Static(self._hint, classes="details", markup=False)
            yield Input(self._text, select_on_focus=False)
            yield Static("enter save   esc cancel", classes="keys", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Close with the text; nothing written is no answer."""
        event.stop()
        if text := event.value.strip():
            self.dismiss(text)

    def action_cancel(self) -> None:
        """Close without an answer."""
        self.dismiss(None)


class Rewrite(ModalScreen[str | None]):
    """Asks for a message again, with room for several lines; Esc leaves everything as it is."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,f2", "save", "Send", id="rewrite.send"),
        Binding("escape", "cancel", "Cancel", id="rewrite.cancel"),
    ]

    def __init__(self, title: str, text: str, *, done: str = "send") -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._done = done

    def compose(self) -> ComposeResult:
        """The title, the text, and how to answer."""
        with Vertical(classes="dialog -tall"):
            yield Static(self._title, classes="title", markup=False)
            yield TextArea(self._text, tab_behavior="focus", soft_wrap=True)
            yield Static(f"ctrl+s {self._done}   esc cancel", classes="keys", markup=False)

    def on_mount(self) -> None:
        """Start at the end of the text."""
        area = self.query_one(TextArea)
        area.move_cursor(area.document.end)

    def action_save(self) -> None:
        """Close with the text; nothing written is no answer."""
        if text := self.query_one(TextArea).text.strip():
            self.dismiss(text)

    def action_cancel(self) -> None:
        """Close without an answer."""
        self.dismiss(None)


class Choose(ModalScreen[tuple[str, ...] | None]):
    """Asks which of several things: those that are surely meant are chosen already. Enter alone accepts nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "accept", "Yes", id="choose.yes"),
        Binding("n,escape", "cancel", "No", id="choose.no"),
    ]

    def __init__(self, question: str, sure: Sequence[tuple[str, str]], perhaps: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._question = question
        self._sure = sure
        self._perhaps = perhaps

    def compose(self) -> ComposeResult:
        """The question, what can be chosen, and how to answer."""
        with Vertical(classes="dialog -tall"):
            yield Static(self._question, classes="title", markup=False)
            yield Checklist(
                [("What you surely mean:", self._sure), ("What you may mean:", self._perhaps)],
                chosen=[id for id, _ in self._sure],
            )
            yield Static("space choose   y forget what is marked [x]   n no", classes="keys", markup=False)

    def on_mount(self) -> None:
        """The list has the keys."""
        self.query_one(Checklist).focus()

    def action_accept(self) -> None:
        """Close with what is chosen."""
        self.dismiss(self.query_one(Checklist).chosen or None)

    def action_cancel(self) -> None:
        """Close without choosing anything."""
        self.dismiss(None)


class PickOne(ModalScreen[int | None]):
    """Two answers to one question: which one is better? Esc leaves it open, and the first one stays."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1,left", "answer(0)", "The first", id="pick.first"),
        Binding("2,right", "answer(1)", "The second", id="pick.second"),
        Binding("escape", "answer(-1)", "Neither", id="pick.neither"),
    ]

    def __init__(self, question: str, first: str, second: str) -> None:
        super().__init__()
        self._question = question
        self._answers = (first, second)

    def compose(self) -> ComposeResult:
        """The question, both answers one under the other, and how to pick."""
        with Vertical(classes="page"):
            yield Static("Which answer is better?", classes="title", markup=False)
            yield Static(self._question, classes="details", markup=False)
            with VerticalScroll(id="pick"):
                for number, answer in enumerate(self._answers, 1):
                    yield Static(f"{number}", classes="title", markup=False)
                    yield Static(answer, classes="answer", markup=False)
            yield Static("1 the first   2 the second   esc neither", classes="keys", markup=False)

    def on_mount(self) -> None:
        """Long answers scroll."""
        self.query_one(VerticalScroll).focus()

    def action_answer(self, which: int) -> None:
        """Close with the pick."""
        self.dismiss(None if which < 0 else which)
