"""The chat screen and the cloud: may this leave, ask it for this answer, and what came in while nobody looked."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from textual import on, work

from mnemon.errors import NotEnrolledError
from mnemon.privacy.consent import Consent as Permissions
from mnemon.sync.daemon import deliver
from mnemon.terminal.screens.chat_turns import TurnScreen
from mnemon.terminal.screens.consent import Consent
from mnemon.terminal.screens.dialogs import Ask
from mnemon.terminal.text import one_line
from mnemon.terminal.turn_runner import TurnRunner
from mnemon.turns import TurnFinished

if TYPE_CHECKING:
    from mnemon.sync.outbox import Entry
    from mnemon.terminal.widgets.message_view import MessageView

LOOK_EVERY_S = 20.0
"""How often the app looks whether something may be sent or came in; without an account that costs nothing."""
TOPIC_LASTS = timedelta(days=1)


class CloudScreen(TurnScreen):
    """What the chat screen does about the cloud."""

    def on_mount(self) -> None:
        """Begin to look after the outbox."""
        self.set_interval(LOOK_EVERY_S, self.look_after_outbox)

    @on(TurnRunner.Asked)
    @work
    async def consent_asked(self, message: TurnRunner.Asked) -> None:
        """Show what would leave and ask; the turn waits for it."""
        try:
            if message.runner is not self._runner:
                return
            asked = message.consent
            choice = await self.app.push_screen_wait(Consent(asked))
            if choice == "topic":
                hint = "Questions with all of these words leave without being asked about, for a day."
                topic = await self.app.push_screen_wait(Ask("Which topic?", hint=hint))
                if topic:
                    with self.reporting():
                        await self.blocking(self._allow_topic, topic)
                        self.mnemon.say(f"“{topic}” is allowed for a day. `mnemon privacy mode` shows it.")
            if choice != "no":
                asked.allow(alone=choice == "alone")
        finally:
            message.settle()

    @on(TurnRunner.Progress)
    def tell_note(self, message: TurnRunner.Progress) -> None:
        """Say what the owner should know besides the answer."""
        if message.runner is self._runner and isinstance(message.event, TurnFinished) and message.event.answer.note:
            self.notice(message.event.answer.note)

    def action_ask_cloud(self) -> None:
        """Have the cloud answer what the selected answer, or the last one, answers; it learns that it was wanted."""
        if self.answering:
            self.notice("One moment: an answer is being written. Esc stops it.")
            return
        view = self._looked_at()
        if view is None or view.message is None:
            self.notice("There is no answer to ask the cloud about yet.")
            return
        answer_id = view.message.id
        self._begin(
            lambda: self.conversation.regenerate(answer_id, "cloud"), asked="", question=None, replacing=answer_id
        )

    @work
    async def action_fine(self) -> None:
        """Say that the selected answer, or the last one, was fine as it came from here: such questions stay here."""
        view = self._looked_at()
        if view is None or view.message is None or view.message.parent_id is None or self.conversation.temporary:
            self.notice("There is no answer to say that of yet.")
            return
        with self.reporting():
            question = await self.blocking(self.assistant.memory.messages.get, view.message.parent_id)
            await self.blocking(self.assistant.cloud.learn, question, "local")
            self.mnemon.say("Noted: questions like this one stay on this device.")

    @work(exclusive=True, group="outbox")
    async def look_after_outbox(self) -> None:
        """Send what waits, if there is a line and nobody else does it, and say what came in."""
        cloud = self.assistant.cloud
        with self.reporting():
            if await self.blocking(lambda: cloud.enrolled and cloud.outbox.has_work()):
                try:
                    await self.blocking(deliver, self.assistant.memory, self.assistant.settings, self.assistant.home)
                except NotEnrolledError:
                    return
            await self._tell_news()

    @on(TurnScreen.Settled)
    @work(exclusive=True, group="news")
    async def conversation_shown(self) -> None:
        """Say what came in for the conversation on screen."""
        with self.reporting():
            await self._tell_news()

    async def _tell_news(self) -> None:
        outbox = self.assistant.cloud.outbox
        news = await self.blocking(outbox.news)
        if not news or self.answering:
            return
        questions = await self.blocking(self.assistant.memory.messages.many, [one.question_id for one in news])
        for one in news:
            question = questions.get(one.question_id)
            if question is None or question.conversation_id != self.conversation.conversation_id:
                continue
            await self.blocking(outbox.seen, one.id)
            if one.answer_id is not None and not self._on_screen(one.answer_id):
                await self.reload()
            self.notice(self._news_line(one, question.text))

    def _news_line(self, one: Entry, question: str) -> str:
        about = f"“{one_line(question, 60)}”"
        if one.answer_id is None:
            return f"The cloud did not answer {about}: {one.problem}"
        if self._on_screen(one.answer_id):
            return f"The cloud has answered {about}."
        key = self.mnemon.key_of("chat.sibling-after")
        return f"The cloud has answered {about}: {key} on the old answer shows it."

    def _on_screen(self, message_id: int) -> bool:
        return any(view.message is not None and view.message.id == message_id for view in self.transcript.views)

    def _looked_at(self) -> MessageView | None:
        selected = self.transcript.selected
        return selected if selected is not None and selected.role == "assistant" else self.transcript.last_answer

    def _allow_topic(self, topic: str) -> None:
        memory = self.assistant.memory
        Permissions(memory.store, self.assistant.settings.privacy.mode, memory.now).allow(topic, TOPIC_LASTS)
