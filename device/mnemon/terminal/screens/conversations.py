"""The list of conversations: search it, resume one, rename or forget one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from mnemon.memory.records import Conversation, Message
from mnemon.terminal.screens.base import Connected
from mnemon.terminal.screens.dialogs import Ask, Confirm
from mnemon.terminal.text import day_and_time, one_line

SHOWN = 200
"""Conversations listed at once; the search looks through all of them."""


EXCERPTS = 40
"""So many of those found are shown with the words that were looked for: each takes reading the conversation."""
BEFORE = 20
"""Characters shown before the words that were looked for."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Found:
    """A conversation, and its first message with the words that were looked for."""

    conversation: Conversation
    message: Message | None = None


class ConversationsScreen(Connected, ModalScreen[tuple[int, int | None] | None]):
    """Closes with the id of the conversation to resume, and of the message it was found by. Letters search; arrows
    choose."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", id="conversations.close"),
        Binding("down", "move(1)", "Next", id="conversations.next", show=False, priority=True),
        Binding("up", "move(-1)", "Previous", id="conversations.previous", show=False, priority=True),
        Binding("ctrl+r,f2", "rename", "Rename", id="conversations.rename", priority=True),
        Binding("ctrl+d", "forget", "Forget", id="conversations.forget", priority=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._found: list[Found] = []

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
            self._found = await self.blocking(self._find, words.strip())
            options = self.query_one(OptionList)
            new = await self.blocking(self._newly_answered)
            options.set_options(
                Option(_line(one, words, new=one.conversation.id in new), id=str(one.conversation.id))
                for one in self._found
            )
            if self._found:
                options.highlighted = 0
            else:
                options.add_option(Option("Nothing found." if words else "No conversations yet.", disabled=True))

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    def open(self) -> None:
        """Resume the highlighted conversation."""
        if found := self._highlighted():
            self.dismiss((found.conversation.id, found.message.id if found.message else None))

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
        if one := self._highlighted():
            found = one.conversation
            title = await self.app.push_screen_wait(Ask("Title", found.title))
            if title:
                with self.reporting():
                    await self.blocking(self.assistant.memory.messages.rename, found.id, title)
                self.fill(self.query_one(Input).value)

    @work
    async def action_forget(self) -> None:
        """Forget the highlighted conversation and everything taken from it, after asking."""
        if one := self._highlighted():
            found = one.conversation
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

    def _find(self, words: str) -> list[Found]:
        messages = self.assistant.memory.messages
        listed = [one for one in messages.conversations(matching=words, limit=SHOWN) if one.messages]
        if not words:
            return [Found(one) for one in listed]
        found = [Found(one, _first_with(words, messages.branch(one.id))) for one in listed[:EXCERPTS]]
        return found + [Found(one) for one in listed[EXCERPTS:]]

    def _newly_answered(self) -> set[int]:
        news = [one.question_id for one in self.assistant.cloud.outbox.news()]
        return {message.conversation_id for message in self.assistant.memory.messages.many(news).values()}

    def _highlighted(self) -> Found | None:
        at = self.query_one(OptionList).highlighted
        return self._found[at] if at is not None and at < len(self._found) else None


def _line(one: Found, words: str, *, new: bool) -> Text:
    found = one.conversation
    line = Text(one_line(found.title or "Untitled", 200), style="bold", no_wrap=True, overflow="ellipsis")
    count = f"{found.messages} {'message' if found.messages == 1 else 'messages'}"
    origin = "" if found.origin == "mnemon" else f" · from {found.origin}"
    mark = " · new: from the cloud" if new else ""
    line.append(f"\n  {day_and_time(found.updated_at)} · {count}{origin}{mark}", style="not bold")
    if one.message is not None:
        text = one_line(one.message.text, len(one.message.text))
        start = _places(words, text)[0]
        begin = max(0, text.rfind(" ", 0, max(0, start - BEFORE)) + 1)
        excerpt = Text(f"\n  {'… ' if begin else ''}{text[begin : begin + 200]}", style="not bold italic")
        excerpt.highlight_regex(_beginning(*_WORD.findall(words)), "bold")
        line.append_text(excerpt)
    return line


def _first_with(words: str, branch: Sequence[Message]) -> Message | None:
    """The first message with the beginnings of all these words as they are typed; a stem may find others, too."""
    return next((message for message in branch if _places(words, one_line(message.text, len(message.text)))), None)


def _places(words: str, text: str) -> list[int]:
    """Where the words begin in ``text``, in order; nothing when one of them is missing."""
    found = [re.search(_beginning(word), text) for word in _WORD.findall(words)]
    return sorted(one.start() for one in found if one) if all(found) else []


def _beginning(*words: str) -> str:
    return rf"(?i)\b(?:{'|'.join(map(re.escape, words))})"
