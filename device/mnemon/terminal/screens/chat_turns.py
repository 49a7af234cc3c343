"""The chat screen's turns: send, answer again, edit, retry are one path, and so is everything that can fail in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual import on, work
from textual.reactive import reactive

from mnemon.terminal.conversation import OpenConversation
from mnemon.terminal.screens.base import Connected
from mnemon.terminal.turn_runner import TurnRunner
from mnemon.turns import Delta, MemoriesRecalled, TurnFinished, TurnStarted

if TYPE_CHECKING:
    from mnemon.terminal.widgets.composer import Composer
    from mnemon.terminal.widgets.message_view import MessageView
    from mnemon.terminal.widgets.status_bar import StatusBar
    from mnemon.terminal.widgets.transcript import Transcript
    from mnemon.turns import Answer, Turn


class ChatTurns(Connected):
    """Mixed into the chat screen: runs one turn at a time and shows it."""

    answering: reactive[bool] = reactive(False)
    """Whether an answer is being looked for or written."""

    conversation: OpenConversation
    _runner: TurnRunner | None = None
    _answer: MessageView | None = None
    _asked: str = ""

    if TYPE_CHECKING:  # given by the screen

        @property
        def transcript(self) -> Transcript: ...
        @property
        def composer(self) -> Composer: ...
        @property
        def status(self) -> StatusBar: ...
        def notice(self, line: str = "") -> None: ...
        def key_of(self, command_id: str) -> str: ...
        def look_at_answer(self) -> object: ...

    # -- beginning -------------------------------------------------------------------------------------------------

    def send(self, text: str) -> None:
        """Send what the owner wrote."""
        waiting = self.conversation.unanswered
        replacing = waiting.id if waiting else None
        self._begin(lambda: self.conversation.send(text), asked=text, question=text, replacing=replacing)

    def edit(self, message_id: int, text: str) -> None:
        """Send one of the owner's messages again in other words."""
        self._begin(
            lambda: self.conversation.edit(message_id, text), asked=text, question=text, replacing=message_id
        )

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
        answer_id = view.message.id
        self._begin(lambda: self.conversation.regenerate(answer_id), asked="", question=None, replacing=answer_id)

    @work(group="turn")
    async def _begin(
        self, begin: Callable[[], Turn | None], *, asked: str, question: str | None, replacing: int | None
    ) -> None:
        if self.answering:
            return
        self.answering = True
        self.notice()
        self._asked = asked
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
                view.state = f"{found}thinking…"
            case Delta(text):
                view.state = "writing…"
                await view.append(text)
            case TurnFinished(answer):
                await view.finish(answer.text)
                view.state = ""
                self._show_figures(answer)

    def _show_figures(self, answer: Answer) -> None:
        from mnemon.terminal.text import ROUTES

        status = self.status
        status.route = ROUTES.get(answer.route, "")
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
        if message.error is not None:
            line = self.mnemon.line_about(message.error)
            if self._asked and not self.composer.text.strip():
                self.composer.put(self._asked)
            again = self.key_of("chat.regenerate")
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
        self.look_at_answer()

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
