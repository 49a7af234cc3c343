"""The chat screen's part in learning: thumbs, answers in the owner's own words, and now and then two to pick from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on, work

from mnemon.terminal.screens.chat_memory import MemoryScreen
from mnemon.terminal.screens.chat_turns import TurnScreen
from mnemon.terminal.screens.dialogs import PickOne, Rewrite
from mnemon.terminal.text import plain

if TYPE_CHECKING:
    from mnemon.assistant import Assistant
    from mnemon.learning.examples import Kind
    from mnemon.terminal.widgets.message_view import MessageView
    from mnemon.turns import Answer

_TOO_SHORT = 4
"""Words: of an answer such as "You are welcome." nobody wants to see two."""


class LearningScreen(MemoryScreen):
    """What the owner does with an answer is kept to learn from; see :mod:`mnemon.feedback`."""

    def __init__(self, assistant: Assistant) -> None:
        super().__init__(assistant)
        self._two: tuple[str, int] | None = None
        """The question, and the first of two answers, while the second one is written."""

    def _answer_looked_at(self) -> MessageView | None:
        selected = self.transcript.selected
        view = selected if selected is not None and selected.role == "assistant" else self.transcript.last_answer
        if self.answering or view is None or view.message is None:
            self.notice("There is no finished answer yet.")
            return None
        return view

    @work(exclusive=True, group="thumb")
    async def action_thumb(self, kind: Kind) -> None:
        """Praise or blame the selected answer, or the last one; once more takes it back."""
        view = self._answer_looked_at()
        if view is None or view.message is None:
            return
        with self.reporting():
            stands = await self.blocking(self.conversation.thumb, view.message.id, kind)
            words = {"praised": "Noted: a good answer.", "blamed": "Noted: not a good answer."}[kind]
            self.mnemon.say(words if stands else "Taken back.")
            await self.transcript.settle(await self.blocking(self.conversation.branch))

    @work
    async def action_rewrite(self) -> None:
        """Write the selected answer, or the last one, as it should have been; the old one stays beside it."""
        view = self._answer_looked_at()
        if view is None or view.message is None:
            return
        answer = view.message
        text = await self.app.push_screen_wait(Rewrite("The answer as it should be", answer.text, done="save"))
        if text and text.strip() != answer.text.strip() and not self.answering:
            with self.reporting():
                await self.blocking(self.conversation.rewrite, answer.id, text)
                await self.transcript.show(await self.blocking(self.conversation.branch))
                kept = "" if self.conversation.temporary else " It is kept to learn from."
                self.mnemon.say(f"That is the answer now; the old one is beside it.{kept}")
                self.post_message(self.Settled())

    def action_learned(self) -> None:
        """Show what was learned."""
        from mnemon.terminal.screens.learned import LearnedScreen

        self.app.push_screen(LearnedScreen())

    # -- two answers, pick one -------------------------------------------------------------------------------------

    @on(TurnScreen.Settled)
    def turn_is_over(self) -> None:
        """Another answer to pick from when it is time for that; when that one has come, ask which is better."""
        answer, self.finished = self.finished, None
        if answer is None:
            return
        if self._two is not None:
            question, first = self._two
            self._two = None
            self.offer_two(question, first, answer.answer_id)
        elif self._asked_anew is False and self._is_time_for_two(answer):
            question = self.transcript.question_of(answer.answer_id)
            self._two = question, answer.answer_id
            self.notice("A second answer comes, to pick from. Esc stops it.")
            self.regenerate(answer.answer_id)

    def _is_time_for_two(self, answer: Answer) -> bool:
        every = self.assistant.settings.learning.compare_every
        if not every or self.conversation.temporary or not self.assistant.settings.learning.record:
            return False
        if answer.route != "local" or answer.status != "complete" or len(answer.text.split()) < _TOO_SHORT:
            return False
        return answer.answer_id % (2 * every) < 2  # a turn takes two numbers: about every so many answers

    @work
    async def offer_two(self, question: str, first: int, second: int) -> None:
        """Ask which of two answers is better; it is shown, and learned from."""
        with self.reporting():
            texts = await self.blocking(self.conversation.texts, first, second)
            picked: int | None = None
            if texts[0].strip() != texts[1].strip():
                picked = await self.app.push_screen_wait(PickOne(plain(question), *map(plain, texts)))
            if picked is None:
                await self.blocking(self.conversation.show, first)
            else:
                order = (first, second) if picked == 0 else (second, first)
                await self.blocking(self.conversation.pick, *order)
                self.mnemon.say("Noted. The other answer stays beside it.")
            await self.reload()
            self.composer.focus()
