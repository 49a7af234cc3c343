"""The list of conversations: search it, resume one, rename or forget one."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from mnemon.memory.records import Conversation
from mnemon.terminal.screens.base import Connected
from mnemon.terminal.screens.dialogs import Ask, Confirm
from mnemon.terminal.text import day_and_time, one_line

SHOWN = 200
"""Conversations listed at once; the search looks through all of them."""


class ConversationsScreen(Connected, ModalScreen[int | None]):
    """Closes with the id of the conversation to resume. Letters search; arrows choose."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", id="conversations.close"),
        Binding("down", "move(1)", "Next", id="conversations.next", show=False, priority=True),
        Binding("up", "move(-1)", "Previous", id="conversations.previous", show=False, priority=True),
        Binding("ctrl+r,f2", "rename", "Rename", id="conversations.rename", priority=True),
        Binding("ctrl+d", "forget", "Forget", id="conversations.forget", priority=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._found: list[Conversation] = []

    def compose(self) -> ComposeResult:
        """The search line, the list, and the keys."""
        with Vertical(classes="page"):
            yield Static("Conversations", classes="title", markup=False)
            yield Input(placeholder="Search titles and text", id="search")
            yield OptionList(id="list", markup=False)
            yield Static("enter open   ctrl+r rename   ctrl+d forget   esc close", classes="keys", markup=False)

    def on_mount(self) -> None:
        """List everything."""
        self.query_one("#list").can_focus = False
        self.fill("")

    @on(Input.Changed)
    def search(self, event: Input.Changed) -> None:
        """Search while it is typed."""
        self.fill(event.value)

    @work(exclusive=True)
    async def fill(self, words: str) -> None:
        """List the conversations that match ``words``, newest first."""
        with self.reporting():
            messages = self.assistant.memory.messages
            found = await self.blocking(messages.conversations, matching=words.strip(), limit=SHOWN)
            self._found = [one for one in found if one.messages]
            options = self.query_one(OptionList)
            new = await self.blocking(self._newly_answered)
            options.set_options([Option(_line(one, new=one.id in new), id=str(one.id)) for one in self._found])
            if self._found:
                options.highlighted = 0
            else:
                options.add_option(Option("Nothing found." if words else "No conversations yet.", disabled=True))

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    def open(self) -> None:
        """Resume the highlighted conversation."""
        if found := self._highlighted():
            self.dismiss(found.id)

    def action_move(self, step: int) -> None:
        """Move the highlight."""
        options = self.query_one(OptionList)
        if step > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    @work
    async def action_rename(self) -> None:
        """Give the highlighted conversation another title."""
        if found := self._highlighted():
            title = await self.app.push_screen_wait(Ask("Title", found.title))
            if title:
                with self.reporting():
                    await self.blocking(self.assistant.memory.messages.rename, found.id, title)
                self.fill(self.query_one(Input).value)

    @work
    async def action_forget(self) -> None:
        """Forget the highlighted conversation and everything taken from it, after asking."""
        if found := self._highlighted():
            question = f"Forget “{one_line(found.title or 'Untitled', 50)}”?"
            details = "Its messages, and every memory taken from them, are erased. This cannot be undone."
            if await self.app.push_screen_wait(Confirm(question, details)):
                with self.reporting():
                    await self.blocking(self.assistant.memory.forget_conversation, found.id)
                    self.mnemon.conversation_forgotten(found.id)
                self.fill(self.query_one(Input).value)

    def action_close(self) -> None:
        """Back to the chat."""
        self.dismiss(None)

    def _newly_answered(self) -> set[int]:
        news = [one.question_id for one in self.assistant.cloud.outbox.news()]
        return {message.conversation_id for message in self.assistant.memory.messages.many(news).values()}

    def _highlighted(self) -> Conversation | None:
        at = self.query_one(OptionList).highlighted
        return self._found[at] if at is not None and at < len(self._found) else None


def _line(found: Conversation, *, new: bool) -> Text:
    line = Text(one_line(found.title or "Untitled", 200), style="bold", no_wrap=True, overflow="ellipsis")
    count = f"{found.messages} {'message' if found.messages == 1 else 'messages'}"
    origin = "" if found.origin == "mnemon" else f" · from {found.origin}"
    mark = " · new: from the cloud" if new else ""
    return line.append(f"\n  {day_and_time(found.updated_at)} · {count}{origin}{mark}", style="not bold")
