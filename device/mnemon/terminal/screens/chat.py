"""The chat: the transcript, the memory behind it, and where the owner writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Footer, Markdown, Static

from mnemon import new_file
from mnemon.memory.records import Message
from mnemon.terminal import editor, markdown_export
from mnemon.terminal.conversation import OpenConversation
from mnemon.terminal.screens.chat_learning import LearningScreen
from mnemon.terminal.screens.dialogs import Ask, Rewrite
from mnemon.terminal.text import code_blocks
from mnemon.terminal.widgets.composer import Composer
from mnemon.terminal.widgets.memory_panel import MemoryPanel
from mnemon.terminal.widgets.status_bar import StatusBar
from mnemon.terminal.widgets.transcript import Transcript

if TYPE_CHECKING:
    from mnemon.assistant import Assistant


class ChatScreen(LearningScreen):
    """One conversation at a time. Esc always leads one step back: to the input, to the end, to a stopped answer."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012 - as Textual declares it

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", id="chat.stop", tooltip="Back to the input; then stop the answer"),
        Binding("ctrl+o,f2", "conversations", "Chats", id="chat.conversations", tooltip="List of conversations"),
        Binding("f3", "memory", "Memory", id="chat.memory", tooltip="Memory panel"),
        Binding("ctrl+n", "new", "New", id="chat.new", tooltip="New chat"),
        Binding("ctrl+t", "temporary", "Temporary chat", id="chat.temporary", show=False),
        Binding("f4", "profile", "Profile", id="chat.profile", show=False),
        Binding("f5", "models", "Models", id="chat.models", show=False),
        Binding("f6", "raw", "Markdown or raw text", id="chat.raw", show=False, priority=True),
        Binding("ctrl+r", "regenerate", "Answer again", id="chat.regenerate", show=False),
        Binding("alt+c", "ask_cloud", "Ask the cloud for this answer", id="chat.ask-cloud", show=False),
        Binding("alt+f", "fine", "That was fine: such questions stay here", id="chat.fine", show=False),
        Binding("f7", "edit_question", "Edit the question and resend", id="chat.edit", show=False, priority=True),
        Binding("f8", "copy_message", "Copy the message", id="chat.copy", show=False),
        Binding("f9", "copy_code", "Copy a code block (again: the one before)", id="chat.copy-code", show=False),
        Binding("alt+g", "thumb('praised')", "A good answer", id="chat.praise", show=False),
        Binding("alt+b", "thumb('blamed')", "Not a good answer", id="chat.blame", show=False),
        Binding("alt+w", "rewrite", "Write the answer yourself", id="chat.rewrite", show=False),
        Binding("f10", "learned", "What was learned", id="chat.learned", show=False),
        Binding("ctrl+s", "export", "Export to Markdown", id="chat.export", show=False),
        Binding("alt+up,ctrl+up", "select(-1)", "Select the message before", id="chat.previous", show=False),
        Binding("alt+down,ctrl+down", "select(1)", "Select the message after", id="chat.next", show=False),
        Binding("alt+left", "sibling(-1)", "Version before (2/3)", id="chat.sibling-before", show=False),
        Binding("alt+right", "sibling(1)", "Version after (2/3)", id="chat.sibling-after", show=False),
        Binding("ctrl+home", "top", "Top, and earlier messages", id="chat.top", show=False),
        Binding("ctrl+end", "bottom", "End", id="chat.bottom", show=False),
    ]

    def __init__(self, assistant: Assistant) -> None:
        super().__init__(assistant)
        self._copied_code: tuple[int, int] | None = None

    def compose(self) -> ComposeResult:
        """Transcript and memory side by side, the input under them, then the status line and the keys."""
        with Horizontal(id="upper"):
            yield Transcript(id="transcript")
            yield MemoryPanel(id="memory")
        with Vertical(id="lower"):
            yield Static("", id="notice", markup=False)
            yield Composer(id="composer")
            yield StatusBar(id="status")
        yield Footer(show_command_palette=True, compact=True)

    def on_mount(self) -> None:
        """Go on where the owner left, and load the model while they may already type."""
        self.composer.focus()
        self.resume()
        self.mnemon.load_model()

    # -- which conversation ----------------------------------------------------------------------------------------

    def action_new(self) -> None:
        """Start a new chat."""
        self.open(OpenConversation(self.assistant))
        self.composer.focus()

    def action_temporary(self) -> None:
        """Start a chat of which nothing is kept."""
        self.open(OpenConversation(self.assistant, temporary=True))
        self.composer.focus()

    @work
    async def action_conversations(self) -> None:
        """Choose a conversation from the list."""
        from mnemon.terminal.screens.conversations import ConversationsScreen

        chosen = await self.app.push_screen_wait(ConversationsScreen())
        if chosen is not None:
            conversation, message = chosen
            self.open(OpenConversation(self.assistant, conversation), at=message)

    def action_profile(self) -> None:
        """Open the profile."""
        from mnemon.terminal.screens.profile import ProfileScreen

        self.app.push_screen(ProfileScreen())

    def action_models(self) -> None:
        """Open the models."""
        from mnemon.terminal.screens.models import ModelsScreen

        self.app.push_screen(ModelsScreen())

    # -- writing ---------------------------------------------------------------------------------------------------

    @on(Composer.Submitted)
    def submitted(self, event: Composer.Submitted) -> None:
        """Send what was written."""
        if self.answering:
            event.composer.put(event.text + event.composer.text)
            self.notice("One moment: an answer is being written. Esc stops it; your text stays here.")
            return
        event.composer.remember(event.text)
        self.send(event.text)

    @on(Composer.PasteCut)
    def paste_cut(self) -> None:
        """Tell that a paste was too long."""
        self.notice("That paste is longer than a message may be: its end was left out.")

    @on(Composer.EditorWanted)
    def open_editor(self) -> None:
        """Let the owner write in their own editor."""
        with self.reporting():
            text = self.composer.text
            with self.app.suspend():
                text = editor.edit(text)
            self.composer.put(text)

    @work
    async def action_edit_question(self) -> None:
        """Rewrite the selected question, or the last one, and send it again; the old one stays beside it."""
        if self.answering:
            self.notice("One moment: an answer is being written. Esc stops it.")
            return
        question = self._question()
        if question is not None:
            text = await self.app.push_screen_wait(Rewrite("Edit and send again", question.text))
            if text and not self.answering:
                self.edit(question.id, text)

    @work(exclusive=True, group="conversation")
    async def action_sibling(self, step: int) -> None:
        """Show the version before or after."""
        view = self.transcript.selected or self.transcript.last_answer
        if self.answering or view is None or view.message is None:
            return
        with self.reporting():
            other = await self.blocking(self.conversation.sibling, view.message.id, step)
            if other is not None:
                selected = self.transcript.selected is not None
                await self.blocking(self.conversation.show, other)
                await self.transcript.show(await self.blocking(self.conversation.branch))
                shown = next((v for v in self.transcript.views if v.message and v.message.id == other), None)
                if selected and shown is not None:
                    shown.focus()
                self.post_message(self.Settled())

    # -- looking around --------------------------------------------------------------------------------------------

    def action_back(self) -> None:
        """One step back: from a selection to the input, from an earlier place to the end, then stop the answer."""
        if self.close_narrow_panel():
            self.composer.focus()
        elif not self.composer.has_focus or not self.transcript.following:
            self.composer.focus()
            self.transcript.follow()
        elif self.answering:
            self.stop_answer()
        else:
            self.notice()

    def action_select(self, step: int) -> None:
        """Select the message before or after; beyond the newest is the input."""
        selected = self.transcript.selected
        if selected is None and step > 0:
            return
        if selected is not None and step > 0 and selected is self.transcript.views[-1]:
            self.action_back()
        else:
            self.transcript.select(step)

    def action_scroll_page(self, direction: int) -> None:
        """Scroll by a page."""
        if direction < 0:
            self.transcript.scroll_page_up(animate=False)
        else:
            self.transcript.scroll_page_down(animate=False)

    async def action_top(self) -> None:
        """Go to the top; there, draw the messages before."""
        if self.transcript.scroll_y == 0:
            await self.transcript.show_earlier()
        self.transcript.scroll_home(animate=False)

    def action_bottom(self) -> None:
        """Go to the end."""
        self.transcript.follow()

    async def action_raw(self) -> None:
        """Show answers as they were written, or as Markdown."""
        await self.transcript.set_raw(not self.transcript.raw)

    @on(Markdown.LinkClicked)
    async def link_clicked(self, event: Markdown.LinkClicked) -> None:
        """A model wrote the link: copy it, and let the owner decide."""
        await self.mnemon.copy(event.href, "the link")

    # -- taking it away --------------------------------------------------------------------------------------------

    @work
    async def action_copy_message(self) -> None:
        """Copy the selected message, or the last answer."""
        view = self.transcript.selected or self.transcript.last_answer
        if view is None:
            self.notice("There is no message to copy yet.")
        else:
            await self.mnemon.copy(view.text, "the message" if view.role == "owner" else "the answer")
            if view.role == "assistant" and view.message is not None:
                with self.reporting():
                    await self.blocking(self.conversation.used, view.message.id)

    @work
    async def action_copy_code(self) -> None:
        """Copy the last code block of the selected message or the last answer; again, the one before."""
        view = self.transcript.selected or self.transcript.last_answer
        blocks = code_blocks(view.text) if view else []
        if view is None or not blocks:
            self.notice("There is no code block in this message.")
            return
        before = self._copied_code
        at = before[1] - 1 if before and before[0] == id(view) else len(blocks) - 1
        at %= len(blocks)
        self._copied_code = (id(view), at)
        which = "the code block" if len(blocks) == 1 else f"code block {at + 1} of {len(blocks)}"
        await self.mnemon.copy(blocks[at], which)

    @work
    async def action_export(self) -> None:
        """Write the conversation to a Markdown file."""
        branch = [shown.message for shown in await self.blocking(self.conversation.branch)]
        if not branch:
            self.notice("There is nothing to export yet.")
            return
        title = await self.blocking(lambda: self.conversation.title)
        path = markdown_export.suggested_path(title)
        hint = "A Markdown file. It is not encrypted."
        chosen = await self.app.push_screen_wait(Ask("Export to", str(path), hint=hint))
        if chosen:
            with self.reporting():
                text = markdown_export.to_markdown(title, branch)
                await self.blocking(new_file.write, Path(chosen), text.encode())
                self.mnemon.say(f"Written to {chosen}.")

    def _question(self) -> Message | None:
        selected = self.transcript.selected
        views = self.transcript.views
        upto = views[: views.index(selected) + 1] if selected in views else views
        return next((v.message for v in reversed(upto) if v.role == "owner" and v.message), None)
