"""The conversation on the chat screen: send, answer again, edit and retry are one path, with one way to fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual import on, work
from textual.message import Message
from textual.reactive import reactive
from textual.screen import Screen
from textual.widgets import Static

from mnemon.terminal import conversation as conversations
from mnemon.terminal.conversation import OpenConversation
from mnemon.terminal.screens.base import Connected
from mnemon.terminal.text import ROUTES
from mnemon.terminal.turn_runner import TurnRunner
from mnemon.terminal.widgets.composer import Composer
from mnemon.terminal.widgets.status_bar import StatusBar
from mnemon.terminal.widgets.transcript import Transcript
from mnemon.turns import Delta, ForgetProposed, MemoriesRecalled, TurnFinished, TurnStarted

if TYPE_CHECKING:
    from mnemon.answering.forget_requests import Proposal
    from mnemon.assistant import Assistant
    from mnemon.terminal.widgets.message_view import MessageView
    from mnemon.turns import Answer, Turn


class TurnScreen(Connected, Screen[None]):
    """What the chat screen does about turns: it runs one at a time and shows it."""

    class Settled(Message):
        """The transcript now shows what is stored."""

    class ForgetAsked(Message):
        """The owner's words asked to forget something, and the turn is over."""

        def __init__(self, proposal: Proposal) -> None:
            super().__init__()
            self.proposal = proposal

    answering: reactive[bool] = reactive(False)
    """Whether an answer is being looked for or written."""

    def __init__(self, assistant: Assistant) -> None:
        super().__init__()
        self.conversation = OpenConversation(assistant)
        self._runner: TurnRunner | None = None
        self._answer: MessageView | None = None
        self._asked = ""
        self._proposal: Proposal | None = None
        self._asked_anew = False
        self.finished: Answer | None = None
        """The answer of the turn that has just ended, until somebody took it from here."""

    @property
    def transcript(self) -> Transcript:
        """The messages."""
        return self.query_one(Transcript)

    @property
    def composer(self) -> Composer:
        """The input."""
        return self.query_one(Composer)

    @property
    def status(self) -> StatusBar:
        """The status line."""
        return self.query_one(StatusBar)

    def notice(self, line: str = "") -> None:
        """Say one thing above the input until the owner does something else."""
        note = self.query_one("#notice", Static)
        note.update(line)
        note.display = bool(line)

    # -- which conversation ----------------------------------------------------------------------------------------

    @work(exclusive=True, group="conversation")
    async def resume(self) -> None:
        """Open the conversation the owner had last."""
        with self.reporting():
            found = await self.blocking(conversations.newest, self.assistant)
            await self._open(OpenConversation(self.assistant, found))

    @work(exclusive=True, group="conversation")
    async def open(self, conversation: OpenConversation, *, at: int | None = None) -> None:
        """Show another conversation; an answer under way is stopped and kept."""
        with self.reporting():
            if (runner := self.leave_turn()) is not None:
                await self.blocking(runner.join, 3.0)
            await self._open(conversation)
            if at is not None and not await self.transcript.go_to(at):
                self.notice("The message itself is further up (Ctrl+Home), or stands in another version (2/3).")

    async def _open(self, conversation: OpenConversation) -> None:
        branch = await self.blocking(conversation.branch)
        sent = await self.blocking(conversations.sent_before, self.assistant, conversation.conversation_id)
        self.conversation = conversation
        self.set_class(conversation.temporary, "-temporary")
        self.status.temporary = conversation.temporary
        self.status.route = self.status.reason = ""
        self.status.dropped = 0
        await self.transcript.show(branch, temporary=conversation.temporary)
        self.composer.set_history(sent)
        self.notice()
        if conversation.unanswered is not None:
            self.notice(f"Your last message has no answer yet. {self.mnemon.key_of('chat.regenerate')} tries again.")
        self.post_message(self.Settled())

    # -- beginning -------------------------------------------------------------------------------------------------

    def send(self, text: str) -> None:
        """Send what the owner wrote."""
        waiting = self.conversation.unanswered
        replacing = waiting.id if waiting else None
        self._begin(lambda: self.conversation.send(text), asked=text, question=text, replacing=replacing)

    def edit(self, message_id: int, text: str) -> None:
        """Send one of the owner's messages again in other words."""
        self._begin(lambda: self.conversation.edit(message_id, text), asked=text, question=text, replacing=message_id)

    def action_regenerate(self) -> None:
        """Answer again: the selected answer, or the last one; also when there was none yet."""
        if self.answering:
            self.notice("One moment: an answer is being written. Esc stops it.")
            return
        waiting = self.conversation.unanswered
        if waiting is not None:
            if self.composer.text.strip() == waiting.text.strip():
                self.composer.clear()
            replacing = waiting.id
            self._begin(self.conversation.retry, asked=waiting.text, question=waiting.text, replacing=replacing)
            return
        selected = self.transcript.selected
        view = selected if selected is not None and selected.role == "assistant" else self.transcript.last_answer
        if view is None or view.message is None:
            self.notice("There is no answer to write again yet.")
            return
        self.regenerate(view.message.id)

    def regenerate(self, answer_id: int) -> None:
        """Another answer to the same question."""
        self._begin(lambda: self.conversation.regenerate(answer_id), asked="", question=None, replacing=answer_id)

    def _begin(
        self, begin: Callable[[], Turn | None], *, asked: str, question: str | None, replacing: int | None
    ) -> None:
        if self.answering:
            return
        self.answering = True
        self._asked = asked
        self._asked_anew = question is None
        self._proposal = None
        self.finished = None
        self._run(begin, question, replacing)

    @work(group="turn")
    async def _run(self, begin: Callable[[], Turn | None], question: str | None, replacing: int | None) -> None:
        self.notice()
        self.status.activity = "" if self.mnemon.model_ready else "loading model…"
        self._answer = await self.transcript.begin(question, replacing=replacing)
        self._answer.state = "thinking…"
        self.composer.focus()
        self._runner = TurnRunner(begin, self.post_message)
        self._runner.start()

    # -- on the way ------------------------------------------------------------------------------------------------

    @on(TurnRunner.Progress)
    async def turn_progress(self, message: TurnRunner.Progress) -> None:
        """Show what the turn has to tell; news of a turn that is no longer on screen is left out."""
        view = self._answer
        if message.runner is not self._runner or view is None or not view.is_mounted:
            return
        match message.event:
            case TurnStarted():
                view.state = "remembering…"
            case MemoriesRecalled(memories):
                count = len(memories)
                found = f"{count} {'memory' if count == 1 else 'memories'} · " if count else ""
                view.state = f"{found}thinking… {self.mnemon.key_of('chat.stop')} stops"
            case ForgetProposed(proposal):
                self._proposal = proposal
            case Delta(text):
                view.state = f"writing… {self.mnemon.key_of('chat.stop')} stops"
                await view.append(text)
            case TurnFinished(answer):
                await view.finish(answer.text)
                view.state = ""
                self.finished = answer
                self._show_figures(answer)

    def _show_figures(self, answer: Answer) -> None:
        status = self.status
        status.route = ROUTES.get(answer.route, "")
        status.reason = answer.reason if answer.route == "cloud" else ""
        report = answer.report
        status.speed = report.tokens_per_second if report else 0.0
        if report is not None:
            status.context_used, status.context_size = report.context_used, report.context_size
            status.dropped = report.dropped_messages

    # -- the end ---------------------------------------------------------------------------------------------------

    @on(TurnRunner.Ended)
    async def turn_ended(self, message: TurnRunner.Ended) -> None:
        """Unlock the input; after a failure give the text back and say what to do."""
        if message.runner is not self._runner:
            return
        self._runner = None
        if self._answer is not None and self._answer.is_mounted:
            await self._answer.finish()
            self._answer.state = ""
        self._answer = None
        self.answering = False
        self.status.activity = ""
        with self.reporting():
            await self.reload()
        if self._proposal is not None and message.error is None:
            self.post_message(self.ForgetAsked(self._proposal))
        if message.error is not None:
            line = self.mnemon.line_about(message.error)
            if self._asked and not self.composer.text.strip():
                self.composer.put(self._asked)
            again = self.mnemon.key_of("chat.regenerate")
            saved = self.conversation.unanswered is not None or not self._asked
            self.notice(f"{line} {again} tries again." if saved else f"{line} Your text is back in the input.")
        self._asked = ""

    async def reload(self) -> None:
        """Bring the screen in line with what is stored."""
        branch = await self.blocking(self.conversation.branch)
        shown = [view.message.id if view.message else None for view in self.transcript.views]
        stored = [entry.message.id for entry in branch]
        known = [(at, id) for at, id in enumerate(shown) if id is not None]
        tail = stored[-len(shown) :] if shown else []
        if shown and len(tail) == len(shown) and all(tail[at] == id for at, id in known):
            await self.transcript.settle(branch)
        else:
            await self.transcript.show(branch, temporary=self.conversation.temporary)
        self.post_message(self.Settled())

    def stop_answer(self) -> None:
        """End the answer; what there is of it stays."""
        if self._runner is not None:
            self._runner.stop()
            if self._answer is not None:
                self._answer.state = "stopping…"

    def leave_turn(self) -> TurnRunner | None:
        """Stop the answer because the screen turns to something else; returns the turn, to be waited for."""
        runner = self._runner
        if runner is not None:
            runner.stop()
            self._runner = self._answer = None
            self._asked = ""
            self.answering = False
            self.status.activity = ""
        return runner
