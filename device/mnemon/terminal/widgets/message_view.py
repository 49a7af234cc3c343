"""One message on the screen."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Markdown, Static
from textual.widgets.markdown import MarkdownStream

from mnemon.memory.records import Message
from mnemon.terminal.conversation import Shown
from mnemon.terminal.text import ROUTES, plain, when


class MessageView(Vertical, can_focus=True):
    """Who said it, when, which of how many versions; and the words, as Markdown or as they are.

    The owner's words are always shown as they are. Focusing a message selects it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "screen.select(-1)", "Previous", id="message.previous", show=False),
        Binding("down,j", "screen.select(1)", "Next", id="message.next", show=False),
        Binding("c", "screen.copy_message", "Copy", id="message.copy"),
        Binding("b", "screen.copy_code", "Copy code", id="message.copy-code"),
        Binding("e", "screen.edit_question", "Edit", id="message.edit"),
        Binding("r", "screen.regenerate", "Again", id="message.regenerate"),
        Binding("plus", "screen.thumb('praised')", "Good answer", id="message.praise", show=False),
        Binding("minus", "screen.thumb('blamed')", "Bad answer", id="message.blame", show=False),
        Binding("w", "screen.rewrite", "Write it yourself", id="message.rewrite", show=False),
        Binding("v", "screen.raw", "Raw", id="message.raw"),
        Binding("left", "screen.sibling(-1)", "Version before", id="message.sibling-before", show=False),
        Binding("right", "screen.sibling(1)", "Version after", id="message.sibling-after", show=False),
        Binding("pageup", "screen.scroll_page(-1)", "Scroll up", id="message.page-up", show=False),
        Binding("pagedown", "screen.scroll_page(1)", "Scroll down", id="message.page-down", show=False),
    ]

    shown: reactive[Shown | None] = reactive(None)
    """The stored message; None while the store has not named it yet."""
    state: reactive[str] = reactive("")
    """What is going on with it, such as ``thinking…``."""

    def __init__(self, role: str, text: str = "", *, shown: Shown | None = None, raw: bool = False) -> None:
        super().__init__(classes=f"-{role}")
        self.role = role
        self.text = plain(text)
        self.raw = raw
        self._stream: MarkdownStream | None = None
        self.set_reactive(MessageView.shown, shown)

    @classmethod
    def of(cls, shown: Shown, *, raw: bool = False) -> MessageView:
        """The view of a stored message."""
        return cls(shown.message.role, shown.message.text, shown=shown, raw=raw)

    @property
    def message(self) -> Message | None:
        """The stored message, when the store has named it."""
        return self.shown.message if self.shown else None

    def compose(self) -> ComposeResult:
        """The header, and the words."""
        yield Static(self.header(), classes="header", markup=False)
        yield self._body()

    def header(self) -> str:
        """``Mnemon · quoted · 2/3 · 2 March 2026, 10:32``."""
        parts = [{"owner": "You", "assistant": "Mnemon"}.get(self.role, "")]
        if self.shown is not None:
            message = self.shown.message
            parts[0] = parts[0] or plain(message.speaker) or "Somebody"
            if self.role == "assistant":
                parts.append(ROUTES.get(message.route, ""))
            if message.status in ("stopped", "failed") and not self.state:
                parts.append(message.status)
            if self.shown.count > 1:
                parts.append(f"{self.shown.place}/{self.shown.count}")
            if self.shown.thumb:
                parts.append({"up": "👍 good", "down": "👎 not good"}[self.shown.thumb])
            if not self.state:
                parts.append(when(message.said_at))
        parts.append(self.state)
        return " · ".join(part for part in parts if part)

    async def append(self, text: str) -> None:
        """More words of an answer that is being written."""
        text = plain(text)
        self.text += text
        body = self.query_one(".body")
        if isinstance(body, Markdown):
            if self._stream is None:
                self._stream = Markdown.get_stream(body)
            await self._stream.write(text)
        elif isinstance(body, Static):
            body.update(self.text)

    async def finish(self, text: str | None = None) -> None:
        """The answer is whole; ``text`` is what was stored, shown if it differs from what was streamed."""
        await self._end_stream()
        if text is not None and plain(text) != self.text:
            self.text = plain(text)
            await self._show_body()

    async def show_raw(self, raw: bool) -> None:
        """Show the words as they are, or as Markdown."""
        if raw != self.raw and self.role != "owner":
            self.raw = raw
            await self._end_stream()
            await self._show_body()

    def watch_shown(self) -> None:
        """Keep the header true."""
        self.update_header()

    def watch_state(self) -> None:
        """Keep the header true."""
        self.update_header()

    def update_header(self) -> None:
        """Write the header anew: what was said today is of yesterday after midnight."""
        if self.is_mounted:
            self.query_one(".header", Static).update(self.header())

    def _body(self) -> Widget:
        if self.role == "owner" or self.raw:
            return Static(self.text, markup=False, classes="body")
        return Markdown(self.text, open_links=False, classes="body")

    async def _show_body(self) -> None:
        await self.query(".body").remove()
        await self.mount(self._body())

    async def _end_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.stop()
