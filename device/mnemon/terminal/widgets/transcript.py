"""The conversation, message under message."""

from __future__ import annotations

from collections.abc import Sequence

from textual.containers import VerticalScroll
from textual.widgets import Static

from mnemon.terminal.conversation import Shown
from mnemon.terminal.widgets.message_view import MessageView

FIRST_SHOWN = 40
"""Messages drawn when a conversation opens; the ones before are drawn on demand (Markdown costs ~10 ms each)."""

MOST_DRAWN = 400
"""To show a message further up, so many are drawn at most: about 4 s."""

WELCOME = """\
Tell me about your life, and ask me about it later. What you say stays on this device, encrypted.

F1 shows the keys, Ctrl+P every command, Ctrl+O your conversations."""

TEMPORARY = """\
A temporary chat. I can use what I remember, but nothing said here is kept."""


class Transcript(VerticalScroll, can_focus=False):
    """Shows a branch of a conversation, and an answer growing at its end.

    It is anchored: it follows the answer while the reader is at the bottom, and stays where it is otherwise.
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.raw = False
        self._earlier: list[Shown] = []

    @property
    def views(self) -> list[MessageView]:
        """The messages that are drawn, oldest first."""
        return list(self.query(MessageView))

    @property
    def selected(self) -> MessageView | None:
        """The message that has the focus."""
        focused = self.screen.focused
        return focused if isinstance(focused, MessageView) else None

    @property
    def last_answer(self) -> MessageView | None:
        """The newest answer."""
        return next((view for view in reversed(self.views) if view.role == "assistant"), None)

    def question_of(self, answer_id: int) -> str:
        """The owner's words before an answer that is drawn."""
        views = self.views
        at = next((i for i, view in enumerate(views) if view.message and view.message.id == answer_id), 0)
        return next((view.text for view in reversed(views[:at]) if view.role == "owner"), "")

    @property
    def following(self) -> bool:
        """Whether the end of the conversation is in sight."""
        return self.max_scroll_y == 0 or self.scroll_y >= self.max_scroll_y - 1

    async def show(self, branch: Sequence[Shown], *, temporary: bool = False) -> None:
        """Show ``branch`` from its end, instead of what is there."""
        await self.remove_children()
        self._earlier = list(branch[:-FIRST_SHOWN])
        drawn = branch[-FIRST_SHOWN:]
        if drawn:
            if self._earlier:
                await self.mount(self._earlier_note())
            await self.mount_all([MessageView.of(shown, raw=self.raw) for shown in drawn])
        else:
            await self.mount(Static(TEMPORARY if temporary else WELCOME, classes="welcome", markup=False))
        self.follow()

    async def show_earlier(self) -> bool:
        """Draw the messages before the first one that is drawn; False when there are none."""
        if not self._earlier:
            return False
        more, self._earlier = self._earlier[-FIRST_SHOWN:], self._earlier[:-FIRST_SHOWN]
        await self.query(".earlier").remove()
        first = self.views[0]
        await self.mount_all([MessageView.of(shown, raw=self.raw) for shown in more], before=first)
        if self._earlier:
            await self.mount(self._earlier_note(), before=self.views[0])
        return True

    async def go_to(self, message_id: int) -> bool:
        """Select a message, drawing earlier ones as far as it takes; False when it is further up than that."""
        while True:
            view = next((v for v in self.views if v.message and v.message.id == message_id), None)
            if view is not None:
                self.release_anchor()
                view.focus()
                return True
            if len(self.views) >= MOST_DRAWN or not await self.show_earlier():
                return False

    async def begin(self, question: str | None, *, replacing: int | None = None) -> MessageView:
        """Make room for an answer, under a new question if there is one.

        Args:
            question: The owner's words; None when an existing question is answered (again).
            replacing: The message whose place is taken: it and what follows leave the screen (they stay stored).
        """
        await self.query(".welcome").remove()
        views = self.views
        at = next((i for i, v in enumerate(views) if replacing and v.message and v.message.id == replacing), None)
        for view in views[at:] if at is not None else []:
            await view.remove()
        if question is not None:
            await self.mount(MessageView("owner", question))
        answer = MessageView("assistant", raw=self.raw)
        await self.mount(answer)
        self.follow()
        return answer

    async def settle(self, branch: Sequence[Shown]) -> None:
        """Give the drawn messages what the store now knows of them: ids, routes, places among siblings."""
        for view, shown in zip(reversed(self.views), reversed(branch), strict=False):
            view.state = ""
            view.shown = shown
            view.update_header()
            await view.finish(shown.message.text)

    async def set_raw(self, raw: bool) -> None:
        """Show every answer as it is, or as Markdown."""
        self.raw = raw
        for view in self.views:
            await view.show_raw(raw)

    def follow(self) -> None:
        """Go to the end and stay there while the answer grows."""
        self.anchor()
        self._anchor_released = False

    def select(self, step: int) -> None:
        """Focus the message ``step`` places after the selected one (the newest when none is)."""
        views = self.views
        if not views:
            return
        selected = self.selected
        at = views.index(selected) + step if selected in views else len(views) - 1
        if at < len(views):
            self.release_anchor()
            views[max(at, 0)].focus()

    def _earlier_note(self) -> Static:
        count = len(self._earlier)
        text = f"⋯ {count} earlier {'message' if count == 1 else 'messages'}: Ctrl+Home shows more"
        return Static(text, classes="earlier", markup=False)
