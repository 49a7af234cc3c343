"""What the answer on screen rests on, with the day it was told; edit it or forget it on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message as Posted
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from mnemon.memory.records import Fact, Message
from mnemon.terminal.memory_view import Entry
from mnemon.terminal.text import ROUTE_SENTENCES, day, one_line, plain


class MemoryPanel(Vertical):
    """For one answer: how it came about, and every memory it was given, newest knowledge marked as such."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "edit", "Edit", id="memory.edit"),
        Binding("f,delete", "forget", "Forget", id="memory.forget"),
        Binding("o", "open", "Open its talk", id="memory.open"),
        Binding("s", "settle", "This is right", id="memory.settle"),
    ]

    class EditWanted(Posted):
        """The owner wants to change what is known: ``fact``, or something new about ``entry``."""

        def __init__(self, entry: Entry, fact: Fact | None) -> None:
            super().__init__()
            self.entry = entry
            self.fact = fact

    class ForgetWanted(Posted):
        """The owner wants ``memory_id`` gone."""

        def __init__(self, memory_id: str) -> None:
            super().__init__()
            self.memory_id = memory_id

    class SettleWanted(Posted):
        """The owner says that ``fact`` is right, and what contradicts it is not."""

        def __init__(self, fact: Fact) -> None:
            super().__init__()
            self.fact = fact

    class OpenWanted(Posted):
        """The owner wants to see the conversation ``message`` is from."""

        def __init__(self, message: Message) -> None:
            super().__init__()
            self.message = message

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: list[tuple[Entry, Fact | None]] = []

    def compose(self) -> ComposeResult:
        """The title, how the answer came about, and the memories."""
        yield Static("Memory", classes="title", markup=False)
        yield Static("", id="memory-how", markup=False)
        yield OptionList(id="memory-list", markup=False)

    def show(self, answer: Message | None, entries: Sequence[Entry]) -> None:
        """Show what ``answer`` rests on; None when there is no answer yet."""
        options = self.query_one(OptionList)
        kept = options.highlighted
        self._rows = []
        prompts: list[Text] = []
        for number, entry in enumerate(entries, 1):
            if entry.message is not None:
                self._rows.append((entry, None))
                prompts.append(_message_line(number, entry.message))
            for fact in entry.facts:
                self._rows.append((entry, fact))
                line = _fact_line(fact, number if entry.message is None else None)
                if fact.id in entry.conflicts:
                    line.append(
                        f"\n   ? or: {one_line(entry.conflicts[fact.id], 200)} (s: this one is right)", style="italic"
                    )
                prompts.append(line)
        self.query_one("#memory-how", Static).update(_how(answer, len(entries)))
        options.set_options([Option(prompt, id=str(i)) for i, prompt in enumerate(prompts)])
        options.disabled = not prompts
        if prompts:
            options.highlighted = min(kept or 0, len(prompts) - 1)

    def focus_list(self) -> bool:
        """Move the focus to the memories; False when there are none."""
        options = self.query_one(OptionList)
        if not options.disabled:
            options.focus()
        return not options.disabled

    def on_option_list_option_selected(self) -> None:
        """Enter edits."""
        self.action_edit()

    def action_edit(self) -> None:
        """Edit the highlighted memory."""
        if row := self._highlighted():
            entry, fact = row
            if fact is None and len(entry.facts) == 1:
                fact = entry.facts[0]
            self.post_message(self.EditWanted(entry, fact))

    def action_forget(self) -> None:
        """Forget the highlighted memory."""
        if row := self._highlighted():
            entry, fact = row
            if fact is not None:
                self.post_message(self.ForgetWanted(fact.memory_id))
            elif entry.message is not None:
                self.post_message(self.ForgetWanted(entry.message.memory_id))

    def action_settle(self) -> None:
        """Of two facts that contradict each other the highlighted one is right."""
        if (row := self._highlighted()) and row[1] is not None and row[1].id in row[0].conflicts:
            self.post_message(self.SettleWanted(row[1]))

    def action_open(self) -> None:
        """Open the conversation the highlighted memory is from."""
        if (row := self._highlighted()) and row[0].message is not None:
            self.post_message(self.OpenWanted(row[0].message))

    def _highlighted(self) -> tuple[Entry, Fact | None] | None:
        at = self.query_one(OptionList).highlighted
        return self._rows[at] if at is not None and at < len(self._rows) else None


def _how(answer: Message | None, count: int) -> str:
    if answer is None:
        return "Once there is an answer, this shows what it rests on."
    how = ROUTE_SENTENCES.get(answer.route, "")
    if answer.route == "local" and answer.model:
        how = f"Said by {answer.model}, in its own words."
    found = {0: "Nothing was recalled for it.", 1: "It was given 1 memory:"}.get(
        count, f"It was given {count} memories:"
    )
    return f"{how}\n{found}".strip()


def _message_line(number: int, message: Message) -> Text:
    who = "you" if message.role == "owner" else plain(message.speaker) or "Mnemon"
    line = Text(f"{number}. {day(message.said_at)}, {who}\n", style="bold")
    return line.append(f"“{one_line(message.text, 300)}”", style="not bold")


def _fact_line(fact: Fact, number: int | None) -> Text:
    by = "written by you" if fact.origin == "owner" else ""
    if fact.valid_to is None:
        line = Text(f"{number}. " if number else "   • ").append(one_line(fact.text, 300))
    else:
        by = f"held until {day(fact.valid_to)}"
        line = Text(f"{number}. " if number else "   × ").append(one_line(fact.text, 300), style="strike")
    return line.append(f" ({by})", style="italic") if by else line
