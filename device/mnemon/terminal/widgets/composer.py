"""Where the owner writes."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from mnemon.chat import MESSAGE_CHARACTERS

_OTHER_NAMES = {"shift+\r": "shift+enter", "alt+\r": "alt+enter", "ctrl+\r": "ctrl+enter"}
"""What Textual 8 calls these keys when a terminal reports them the xterm way (``CSI 27;2;13~``)."""


class Composer(TextArea):
    """A message in the making.

    Enter sends and Ctrl+J, Shift+Enter or Alt+Enter break the line, or the other way round: the keymap decides.
    A paste is always inserted, whatever is in it. Up on the first line and Down on the last walk through what was
    sent.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Send", id="composer.send"),
        Binding("ctrl+j,shift+enter,alt+enter", "newline", "New line", id="composer.newline"),
        Binding("up", "earlier", "Earlier message", id="composer.earlier", show=False),
        Binding("down", "later", "Later message", id="composer.later", show=False),
        Binding("ctrl+g", "edit_outside", "Write in $EDITOR", id="composer.editor", show=False),
        Binding("pageup", "screen.scroll_page(-1)", "Scroll up", id="composer.page-up", show=False),
        Binding("pagedown", "screen.scroll_page(1)", "Scroll down", id="composer.page-down", show=False),
    ]

    class Submitted(Message):
        """The owner wants ``text`` sent."""

        def __init__(self, composer: Composer, text: str) -> None:
            super().__init__()
            self.composer = composer
            self.text = text

        @property
        def control(self) -> Composer:
            """The composer it came from."""
            return self.composer

    class EditorWanted(Message):
        """The owner wants to go on in their own editor."""

    class PasteCut(Message):
        """A paste was longer than any message may be, and its end was left out."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(
            id=id,
            soft_wrap=True,
            show_line_numbers=False,
            tab_behavior="focus",
            placeholder="Tell Mnemon something, or ask",
            highlight_cursor_line=False,
        )
        self._sent: list[str] = []
        self._position = 0
        self._draft = ""

    def set_history(self, sent: list[str]) -> None:
        """What Up and Down walk through, oldest first."""
        self._sent = list(sent)
        self._position = len(self._sent)

    def remember(self, text: str) -> None:
        """Add what was just sent."""
        if not self._sent or self._sent[-1] != text:
            self._sent.append(text)
        self._position = len(self._sent)

    def put(self, text: str) -> None:
        """Show ``text``, cursor at its end."""
        self.text = text
        self.move_cursor(self.document.end)

    def action_submit(self) -> None:
        """Hand over what is written, unless there is nothing; what is typed from now on is the next message."""
        text = self.text
        if text.strip():
            self.clear()
            self.post_message(self.Submitted(self, text))

    def action_newline(self) -> None:
        """Break the line."""
        self._replace_via_keyboard("\n", *self.selection)

    def action_earlier(self) -> None:
        """Up: a line up, and on the first line the message sent before."""
        if not self.cursor_at_first_line:
            self.action_cursor_up()
        elif self._position > 0:
            if self._position == len(self._sent):
                self._draft = self.text
            self._position -= 1
            self.put(self._sent[self._position])

    def action_later(self) -> None:
        """Down: a line down, and on the last line the message sent after, at last the draft."""
        if not self.cursor_at_last_line:
            self.action_cursor_down()
        elif self._position < len(self._sent):
            self._position += 1
            self.put(self._draft if self._position == len(self._sent) else self._sent[self._position])

    def action_edit_outside(self) -> None:
        """Go on in $EDITOR."""
        self.post_message(self.EditorWanted())

    async def _on_key(self, event: events.Key) -> None:
        # Its own keys are obeyed here and now. Textual would look at a binding before this widget has seen the
        # letters typed just before it (priority), or after those typed just after: quick typing would be torn.
        alt = event.key.startswith("alt+")  # terminals report Alt and a letter as Esc and that letter: it is no text
        if alt or not event.is_printable:
            key = _OTHER_NAMES.get(event.key, event.key)
            active = self.screen.active_bindings.get(key)
            own = active is not None and active.node is self and active.enabled
            if active is not None and own and await self.app.run_action(active.binding.action, self):
                event.stop()
                event.prevent_default()
                return
        if alt and event.is_printable:
            event.prevent_default()
            return  # a command of the screen's, if anybody's
        await super()._on_key(event)

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        text = event.text.replace("\r\n", "\n").replace("\r", "\n")
        if len(text) > MESSAGE_CHARACTERS:
            text = text[:MESSAGE_CHARACTERS]
            self.post_message(self.PasteCut())
        result = self._replace_via_keyboard(text, *self.selection)
        if result is not None:
            self.move_cursor(result.end_location)
        self.focus()
