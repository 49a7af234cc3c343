"""What Mnemon knows about its owner in a few lines, each with the facts it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from mnemon.errors import NotFoundError
from mnemon.memory.records import Fact, Message
from mnemon.terminal.screens.base import Connected
from mnemon.terminal.screens.dialogs import Ask, Confirm
from mnemon.terminal.text import day, one_line

if TYPE_CHECKING:
    from mnemon.profile import ProfileLine


class ProfileScreen(Connected, ModalScreen[None]):
    """Read it, mend it, add to it. What the owner writes stays as written."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "edit", "Edit", id="profile.edit"),
        Binding("a", "add", "Add", id="profile.add"),
        Binding("d,delete", "remove", "Remove", id="profile.remove"),
        Binding("r", "refresh_lines", "Refresh", id="profile.refresh"),
        Binding("escape,f4", "close", "Close", id="profile.close"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[ProfileLine] = []

    def compose(self) -> ComposeResult:
        """The lines, what the highlighted one rests on, and the keys."""
        with Vertical(classes="page"):
            yield Static("Profile", classes="title", markup=False)
            yield OptionList(id="lines", markup=False)
            yield Static("", id="facts", markup=False)
            yield Static("e edit   a add   d remove   r refresh   esc close", classes="keys", markup=False)

    def on_mount(self) -> None:
        """Show the lines."""
        self.fill()

    @work(exclusive=True, group="fill")
    async def fill(self) -> None:
        """Read the lines again."""
        with self.reporting():
            self._show(await self.blocking(self.assistant.profile.lines))

    @on(OptionList.OptionHighlighted)
    def show_facts(self) -> None:
        """Say what the highlighted line rests on."""
        if line := self._highlighted():
            self._look_up(line)

    @work(exclusive=True, group="facts")
    async def _look_up(self, line: ProfileLine) -> None:
        with self.reporting():
            facts = await self.blocking(self._facts_of, line)
            self.query_one("#facts", Static).update(_rests_on(line, facts))

    def _facts_of(self, line: ProfileLine) -> list[tuple[Fact, Message | None]]:
        memory = self.assistant.memory
        found: list[tuple[Fact, Message | None]] = []
        for fact_id in line.fact_ids:
            try:
                fact = memory.facts.get(fact_id)
                found.append((fact, memory.messages.get(fact.source_id) if fact.source_id else None))
            except NotFoundError:
                continue
        return found

    @on(OptionList.OptionSelected)
    def chosen(self) -> None:
        """Enter edits."""
        self.action_edit()

    @work
    async def action_edit(self) -> None:
        """Rewrite the highlighted line; it then stays as written."""
        if line := self._highlighted():
            text = await self.app.push_screen_wait(Ask("Edit this line", line.text))
            if text and text != line.text:
                with self.reporting():
                    await self.blocking(self.assistant.profile.edit, line.id, text)
                self.fill()

    @work
    async def action_add(self) -> None:
        """Add a line."""
        if text := await self.app.push_screen_wait(Ask("A line about you", hint="Such as: Prefers short answers.")):
            with self.reporting():
                await self.blocking(self.assistant.profile.add, text)
            self.fill()

    @work
    async def action_remove(self) -> None:
        """Remove the highlighted line, after asking; the facts behind it stay."""
        if line := self._highlighted():
            question = f"Remove “{one_line(line.text, 60)}”?"
            details = "The memories it rests on stay; forget those in the memory panel."
            if await self.app.push_screen_wait(Confirm(question, details)):
                with self.reporting():
                    await self.blocking(self.assistant.profile.remove, line.id)
                self.fill()

    @work(exclusive=True, group="refresh")
    async def action_refresh_lines(self) -> None:
        """Let the model write the lines again from the facts; those written by hand stay."""
        self.query_one("#facts", Static).update("Refreshing…")
        with self.reporting():
            assistant = self.assistant
            self._show(await self.blocking(lambda: assistant.profile.refresh(assistant.model)))
            self.mnemon.say("The profile is up to date.")

    def action_close(self) -> None:
        """Back to the chat."""
        self.dismiss(None)

    def _show(self, lines: list[ProfileLine]) -> None:
        self._lines = lines
        options = self.query_one(OptionList)
        at = options.highlighted or 0
        options.set_options([Option(_line(line), id=str(line.id)) for line in lines])
        if lines:
            options.highlighted = min(at, len(lines) - 1)
            options.focus()
        else:
            nothing = "Nothing yet. It fills as you talk; a adds a line of your own."
            options.add_option(Option(nothing, disabled=True))
            self.query_one("#facts", Static).update("")

    def _highlighted(self) -> ProfileLine | None:
        at = self.query_one(OptionList).highlighted
        return self._lines[at] if at is not None and at < len(self._lines) else None


def _line(line: ProfileLine) -> Text:
    text = Text(one_line(line.text, 300))
    return text.append("  (written by you)", style="italic") if line.by_hand else text


def _rests_on(line: ProfileLine, facts: list[tuple[Fact, Message | None]]) -> Text:
    if not facts:
        return Text("You wrote this line." if line.by_hand else "It rests on no fact any more.")
    text = Text("Rests on:")
    for fact, source in facts:
        text.append(f"\n• {one_line(fact.text, 200)}")
        if source is not None:
            text.append(f"\n  {day(source.said_at)}: “{one_line(source.text, 120)}”", style="italic")
        elif fact.origin == "owner":
            text.append(" (written by you)", style="italic")
    return text
