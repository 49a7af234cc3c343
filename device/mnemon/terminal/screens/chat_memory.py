"""The chat screen's memory panel: what an answer rests on, edited or forgotten on the spot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import events, on, work
from textual.widgets import OptionList

from mnemon.terminal import memory_view
from mnemon.terminal.conversation import OpenConversation
from mnemon.terminal.screens.chat_cloud import CloudScreen
from mnemon.terminal.screens.chat_turns import TurnScreen
from mnemon.terminal.screens.dialogs import Ask, Choose, Confirm
from mnemon.terminal.text import one_line
from mnemon.terminal.widgets.memory_panel import MemoryPanel
from mnemon.terminal.widgets.message_view import MessageView

if TYPE_CHECKING:
    from mnemon.assistant import Assistant
    from mnemon.memory.forgetting import Preview

_SHOWN = 8
"""Lines of a preview in a dialog."""


class MemoryScreen(CloudScreen):
    """What the chat screen does about memory: the panel follows the answer that is looked at."""

    def __init__(self, assistant: Assistant) -> None:
        super().__init__(assistant)
        self._panel_wanted = {"wide": assistant.settings.terminal.memory_panel, "narrow": False}

    @property
    def panel(self) -> MemoryPanel:
        """The memory panel."""
        return self.query_one(MemoryPanel)

    @on(TurnScreen.Settled)
    def settled(self) -> None:
        """The panel follows the transcript."""
        self.look_at_answer()

    @on(events.DescendantFocus)
    def focus_moved(self) -> None:
        """The memory panel follows the selection."""
        if self.transcript.selected is not None:
            self.look_at_answer()

    @on(events.Resize)
    def resized(self) -> None:
        """The panel's place depends on the width, which is known after the layout."""
        self.call_after_refresh(self.place_panel)

    def place_panel(self) -> None:
        """Show or hide the memory panel, beside the transcript or in its place."""
        narrow = self.has_class("-narrow")
        shown = self._panel_wanted["narrow" if narrow else "wide"]
        self.panel.display = shown
        self.transcript.display = not (narrow and shown)

    def action_memory(self) -> None:
        """Open the panel and go to it; from within it, close it."""
        place = "narrow" if self.has_class("-narrow") else "wide"
        within = self.panel.display and any(node is self.panel for node in (self.focused or self).ancestors_with_self)
        empty = self.panel.query_one(OptionList).disabled
        if self.panel.display and (within or empty):
            self._panel_wanted[place] = False
            self.composer.focus()
        else:
            self._panel_wanted[place] = True
            self.call_after_refresh(self.panel.focus_list)
        self.place_panel()
        if place == "wide":
            self.mnemon.save("terminal", "memory_panel", self._panel_wanted["wide"])

    @work(exclusive=True, group="panel")
    async def look_at_answer(self) -> None:
        """Show what the selected answer, or the last one, rests on."""
        with self.reporting():
            view = self._answer_view()
            answer = view.message if view else None
            entries = []
            if answer is not None:
                entries = await self.blocking(memory_view.look_up, self.assistant.memory, answer.recalled)
            self.panel.show(answer, entries)

    @on(MemoryPanel.EditWanted)
    @work
    async def edit_memory(self, event: MemoryPanel.EditWanted) -> None:
        """Change what is known. What was said stays as it was said; facts begin and end."""
        fact, source = event.fact, event.entry.message
        if fact is None and event.entry.facts:
            self.notice("What you said stays as you said it. Choose one of the facts taken from it, or forget it.")
            return
        if fact is not None:
            asked = Ask(
                "Edit this memory", fact.text, hint="The old one stays as history; the new one holds from now."
            )
        else:
            asked = Ask("What follows from it?", source.text if source else "", hint="Written as a fact of its own.")
        text = await self.app.push_screen_wait(asked)
        if not text or (fact is not None and text == fact.text):
            return
        memory = self.assistant.memory

        def change() -> None:
            if fact is not None:
                changed = memory.facts.edit(fact.id, text)
            else:
                changed = memory.facts.add(text, source_id=source.id if source else None, origin="owner")
            memory.index_facts(changed)

        with self.reporting():
            await self.blocking(change)
            self.mnemon.say("Changed.")
        self.look_at_answer()

    @on(MemoryPanel.ForgetWanted)
    @work
    async def forget_memory(self, event: MemoryPanel.ForgetWanted) -> None:
        """Forget for good, after asking."""
        with self.reporting():
            preview = await self.blocking(self.assistant.memory.preview, event.memory_id)
            if await self.app.push_screen_wait(Confirm("Forget this?", _told(preview))):
                await self.blocking(self.assistant.forget, event.memory_id)
                self.mnemon.say("Forgotten.")
                await self.reload()

    @on(TurnScreen.ForgetAsked)
    @work
    async def forget_as_asked(self, event: TurnScreen.ForgetAsked) -> None:
        """The owner asked for it in the conversation: show what is meant, and forget what is confirmed."""
        sure, perhaps = (
            [(line.id, one_line(line.text, 200)) for line in found]
            for found in (event.proposal.sure, event.proposal.perhaps)
        )
        chosen = await self.app.push_screen_wait(Choose("Forget this? It cannot be undone.", sure, perhaps))
        if not chosen:
            self.mnemon.say("Nothing was forgotten.")
            return
        with self.reporting():
            await self.blocking(self.assistant.forget_as_asked, event.proposal, chosen)
            self.mnemon.say("Forgotten.")
            await self.reload()

    @on(MemoryPanel.SettleWanted)
    @work
    async def settle_memory(self, event: MemoryPanel.SettleWanted) -> None:
        """Of two facts that may not both hold, end the other one."""
        with self.reporting():
            if await self.blocking(memory_view.settle, self.assistant.memory, event.fact):
                self.mnemon.say("Settled.")
        self.look_at_answer()

    @on(MemoryPanel.OpenWanted)
    def open_source(self, event: MemoryPanel.OpenWanted) -> None:
        """Go to where it was said."""
        self.open(OpenConversation(self.assistant, event.message.conversation_id), at=event.message.id)

    def close_narrow_panel(self) -> bool:
        """Give the window back to the transcript; False when the panel does not cover it."""
        covering = self.has_class("-narrow") and self._panel_wanted["narrow"]
        if covering:
            self._panel_wanted["narrow"] = False
            self.place_panel()
        return covering

    def _answer_view(self) -> MessageView | None:
        selected = self.transcript.selected
        if selected is None or selected.role == "assistant":
            return selected or self.transcript.last_answer
        views = self.transcript.views
        after = views[views.index(selected) + 1 :]
        return next((view for view in after if view.role == "assistant"), None)


def _told(preview: Preview) -> str:
    """What would go, for a dialog."""
    shown = [f"“{one_line(line.text, 160)}”" for line in preview.lines[:_SHOWN]]
    if len(preview.lines) > _SHOWN:
        shown.append(f"and {len(preview.lines) - _SHOWN} more")
    if preview.answers:
        shown.append(f"Answers of mine that repeat it lose their words: {len(preview.answers)}.")
    if preview.stays:
        shown.append("It is also said in words that stay:")
        shown += [f"“{one_line(line.text, 160)}”" for line in preview.stays[:2]]
    return "\n".join([*shown, "What rests on it is erased with it. This cannot be undone."])
