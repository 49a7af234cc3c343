"""The assistant: one turn of conversation, from words in to words out, and what surrounds it."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from mnemon import paths
from mnemon import settings as settings_module
from mnemon.afterwards import Afterwards
from mnemon.answering import forget_requests
from mnemon.answering.acknowledgement import ONLY_HERE, promises
from mnemon.answering.cloud import CloudAnswers
from mnemon.answering.draft import Draft
from mnemon.answering.forget_requests import Proposal
from mnemon.answering.local import LocalAnswers
from mnemon.answering.prompts import Prompts
from mnemon.answering.questions import understand
from mnemon.answering.retrieval import gather
from mnemon.background import Warming
from mnemon.chat import Chat, check_text
from mnemon.clock import Clock, utc_now
from mnemon.errors import CloudError
from mnemon.lessons import Lessons
from mnemon.memory import retention
from mnemon.memory.forgetting import FORGOTTEN_ANSWER, Forgotten
from mnemon.memory.locks import Presence
from mnemon.memory.memory import Memory
from mnemon.memory.records import Fact, Message, MessageStatus, Recalled
from mnemon.profile import Profile
from mnemon.runtime.chat_model import ChatModel, ModelInfo
from mnemon.runtime.holder import ModelHolder
from mnemon.turns import (
    Answer,
    Delta,
    ForgetProposed,
    MemoriesRecalled,
    StopSignal,
    Turn,
    TurnEvent,
    TurnFinished,
    TurnStarted,
    Where,
)

if TYPE_CHECKING:
    from mnemon.answering.evidence import Evidence
    from mnemon.answering.questions import Asked
    from mnemon.settings import Settings


class Assistant:
    """A personal assistant that remembers, on this device alone.

    Args:
        home: Where its data lives; ``MNEMON_HOME`` or the platform's data folder when left out.
        model: Overrides the setting ``model.name``.
        settings: Used as they are instead of ``settings.toml``.
        passphrase: Asked for when the memory's key is wrapped by one.
        chat_model: A model that is already loaded; it is not closed with the assistant.
        now: The clock, for tests.

    Raises:
        SettingsError: A setting cannot be understood.
        StoreError: The memory cannot be opened (wrong or lost key, damaged file, …).
        DiskError: The home cannot be written.

    Example:
        >>> from mnemon import Assistant
        >>> with Assistant() as mnemon:
        ...     _ = mnemon.ask("My dog is called Biscuit.")
        ...     answer = mnemon.ask("What is my dog called?")
        >>> "Biscuit" in answer.text
        True
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | None = None,
        *,
        model: str | None = None,
        settings: Settings | None = None,
        passphrase: Callable[[], str] | None = None,
        chat_model: ChatModel | None = None,
        now: Clock = utc_now,
    ) -> None:
        self.home = paths.home(home)
        overrides = {"model": {"name": model}} if model else {}
        self.settings = settings or settings_module.load(self.home, overrides=overrides)
        retention.check(self.settings.memory.retention)
        self.now = now
        self._models = ModelHolder(self._load, self.settings.model.name, chat_model)
        self._temporary: Memory | None = None
        self.memory = Memory.open(self.home, self.settings.memory, passphrase=passphrase, now=self.now)
        self.memory.on_forget(self._after_forgetting)
        self._presence = Presence(self.home.lock)
        if self._presence.first:  # else a growing answer may be another Mnemon's, and not cut short at all
            self.memory.messages.recover()
        self.profile = Profile(self.memory)
        self.lessons = Lessons(self.memory, self.profile, self._models, self.settings.learning)
        self._prompts = Prompts(self.profile, self.settings, self.now, self.lessons)
        self._local = LocalAnswers(self.memory, self._prompts, self._models.get, self.now)
        self.cloud = CloudAnswers(self.memory, self.settings, self.home)
        self._warming = Warming()
        self._forgotten = self.memory.forgotten_so_far()
        self._afterwards = Afterwards(
            self.memory, self.profile, lambda: self._models.loaded, wanted=self.settings.memory.extract
        )

    # -- the conversation ------------------------------------------------------------------------------------------

    def chat(self, conversation_id: int | None = None, *, temporary: bool = False) -> Chat:
        """Start a conversation, or go on with one.

        Args:
            conversation_id: The one to go on with; None starts a new one.
            temporary: Keep nothing of it: it lives in memory only, is never recalled, and ends with the program.

        Raises:
            NotFoundError: There is no such conversation.
        """
        memory = self._temporary_memory() if temporary else self.memory
        if conversation_id is not None:
            memory.messages.conversation(conversation_id)  # raises where there is none
        return Chat(self, memory, conversation_id)

    def ask(self, text: str) -> Answer:
        """Say something in a conversation of its own and wait for the answer; nothing leaves that is not allowed.

        Raises:
            InputError: The text is empty, binary or too long.
            ModelError: The model cannot be loaded or used; the words are saved all the same.
        """
        return self.stream(text).finish()

    def stream(self, text: str, where: Where = "auto") -> Turn:
        """Like :meth:`ask`, giving the answer's words as they come; ``where`` as in :meth:`take_turn`."""
        return self.chat().send(text, where)

    async def aask(self, text: str) -> Answer:
        """:meth:`ask` for asyncio: the work runs in a thread."""
        return await asyncio.to_thread(self.ask, text)

    async def astream(self, text: str) -> AsyncIterator[TurnEvent]:
        """:meth:`stream` for asyncio. Leaving the loop stops the answer."""
        turn = await asyncio.to_thread(self.stream, text)
        try:
            while (event := await asyncio.to_thread(next, turn, None)) is not None:
                yield event
        finally:
            turn.stop()

    def take_turn(self, kept: Memory, question: Message, *, attempt: int = 0, where: Where = "auto") -> Turn:
        """Answer a message that is saved already: what send, regenerate, edit and retry all come down to.

        Args:
            kept: The memory the conversation is kept in: the owner's, or a temporary one.
            question: The owner's message.
            attempt: How many answers it has already; above 0 another one is looked for.
            where: Where the answer is looked for. Of a temporary conversation nothing leaves.
        """
        signal = StopSignal()
        return Turn(self._turn(kept, question, attempt, where, signal), signal)

    def _turn(
        self, kept: Memory, question: Message, attempt: int, where: Where, signal: StopSignal
    ) -> Generator[TurnEvent, None, None]:
        """Recall, decide, answer from the cloud or here, save; what follows from it is done in the background."""
        draft = self._begin(kept, question)
        try:
            yield TurnStarted(question.conversation_id, question.id, draft.answer_id)
            if kept is self.memory and (request := forget_requests.understand(question.text)):
                proposal = forget_requests.answer(self.memory, request, draft)
                if proposal is not None:
                    yield ForgetProposed(proposal)
                if draft.text:
                    yield Delta(draft.text)
                    yield TurnFinished(self._finish(kept, draft, "complete"))
                    return
            asked = understand(question.text)
            evidence = self._recall(kept, asked, draft)
            yield MemoriesRecalled(draft.recalled)

            here = kept is not self.memory or not (  # nothing leaves of a temporary conversation
                yield from self.cloud.answer(question, where, asked, evidence, draft, signal)
            )
            for text in self._local.answer(kept, asked, evidence, draft, attempt, signal) if here else ():
                draft.grow(text)
                yield Delta(text)
            if kept is not self.memory and promises(draft.text):
                draft.note = ONLY_HERE
            finished = self._finish(kept, draft, "stopped" if signal else "complete")
        except GeneratorExit:
            signal.set()
            self._finish(kept, draft, "stopped")
            raise
        except CloudError:
            self._finish(kept, draft, "failed")
            draft.withdraw()
            raise
        except BaseException:
            self._finish(kept, draft, "failed")
            raise
        finally:
            if kept is self.memory:  # the owner said it, however the answer ended
                self._afterwards.of_message(question.id)
                self._afterwards.later(partial(self.lessons.went_on, question))
                self._afterwards.later(self.cloud.settle)
        yield TurnFinished(finished)

    def _begin(self, kept: Memory, question: Message) -> Draft:
        """Make the message known to recall, and a place for its answer."""
        if self._forgotten != self.memory.forgotten_so_far():  # another process did it
            self._forget_sessions()
        self._afterwards.keep_rules(self.settings.memory.retention, self.now().date())
        kept.index(question)
        kept.corrections.note(question)
        answer = kept.messages.add(
            question.conversation_id, "assistant", "", parent_id=question.id, status="generating", said_at=self.now()
        )
        return Draft(kept.messages, question, answer)

    def _recall(self, kept: Memory, asked: Asked, draft: Draft) -> Evidence:
        """What memory holds for the question; the draft gets as much of it as the model has room for."""
        started = time.perf_counter()
        evidence = gather(self.memory, kept, asked, draft.question)
        draft.recall_ms = 1000 * (time.perf_counter() - started)
        info = self.model.info
        draft.model = info.name
        draft.recalled = evidence.memories[: self._prompts.memory_limit(info)]
        return evidence

    def _finish(self, kept: Memory, draft: Draft, status: MessageStatus) -> Answer:
        """Save the answer; it does not bring back what was forgotten while it was being written."""
        load_ms = self._models.take_load_ms()
        with kept.store.transaction():
            if not (kept.holds(draft.question.memory_id) and self.memory.holds(*(m.id for m in draft.recalled))):
                draft.text, draft.recalled = FORGOTTEN_ANSWER, ()
            if kept is self.memory:
                kept.facts.rehearsal.use(draft.facts_said())
            return draft.finish(status, load_ms)

    # -- what memory does ------------------------------------------------------------------------------------------

    def remember(self, text: str) -> list[Fact]:
        """Remember something without an answer; returns the facts found in it (its words are kept in any case).

        Raises:
            InputError: The text is empty, binary or too long.
        """
        check_text(text)
        chat = self.chat()
        message = self.memory.messages.add(chat.conversation_id, "owner", text, said_at=self.now())
        self.memory.index(message)
        self._afterwards.take_facts(message.id)
        return self.memory.facts.of_messages([message.id]).get(message.id, [])

    def recall(self, question: str, limit: int = 10) -> list[Recalled]:
        """What memory holds that bears on ``question``, best first."""
        return self.memory.recall(question, limit=limit)

    def forget(self, *ids: str, source: bool | None = None) -> Forgotten:
        """Forget memories for good, with everything that rests on them. ``memory.preview`` shows it beforehand.

        Args:
            ids: Such as ``"m12"`` (a message), ``"f3"`` (a fact) or ``"c2"`` (a conversation).
            source: Whether the messages a fact was taken from go with it. None: those that say nothing else.

        Raises:
            NotFoundError: One of them does not exist; then nothing is forgotten.
        """
        return self.memory.forget(*ids, source=source)

    def forget_as_asked(self, proposal: Proposal, ids: Sequence[str]) -> Forgotten:
        """Forget what the owner confirmed of a proposal, with the message that asked for it and its answer.

        Args:
            ids: Those of ``proposal.sure`` and ``proposal.perhaps`` the owner wants gone; none: nothing happens.

        Raises:
            NotFoundError: One of them does not exist any more; then nothing is forgotten.
        """
        if not ids:
            return Forgotten()
        asked = [f"m{id}" for id in (proposal.request_id, proposal.answer_id)]
        return self.memory.forget(*ids, *(id for id in asked if self.memory.holds(id)))

    def corrected(self, kept: Memory, message: Message, answer: Message) -> None:
        """Remember a message as what an answer should have been."""
        kept.index(message)
        kept.corrections.add(message, answer)
        if kept is self.memory:
            self._afterwards.of_message(message.id)

    def take_back(self, message_id: int, *, reason: str) -> None:
        """End what is known from a message alone, because its owner took it back."""
        self._afterwards.take_back(message_id, at=self.now(), reason=reason)

    def catch_up(self) -> None:
        """What has to be done since the last time, in the background: forget what the retention rules say, take facts
        from messages that a crash or an import left without, and bring the profile in step."""
        self._afterwards.keep_rules(self.settings.memory.retention, self.now().date())
        self._afterwards.catch_up()
        self._afterwards.later(self.lessons.after_forgetting)  # by another process, or a test that was cut short

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to ``timeout`` seconds (None: as long as it takes) for facts and profile; True when done."""
        return self._afterwards.wait(timeout)

    # -- the model -------------------------------------------------------------------------------------------------

    @property
    def model(self) -> ChatModel:
        """The local model, loaded at first use.

        Raises:
            ModelError: It is missing, damaged, or not supported.
        """
        return self._models.get()

    def use_model(self, name: str) -> ModelInfo:
        """Talk with another model from now on; the old one stays if the new one cannot be loaded.

        Raises:
            ModelError: It is missing, damaged, or not supported.
        """
        return self._models.use(name)

    def _load(self, name: str) -> ChatModel:
        from mnemon.runtime.catalog import resolve
        from mnemon.runtime.worker import LocalModel

        return LocalModel.load(
            resolve(name, self.home),
            self.settings.model,
            session_dir=self.home.sessions,
            session_key=self.memory.store.derive_key("sessions"),
        )

    def _after_forgetting(self) -> None:
        self._forget_sessions()
        self._afterwards.of_forgetting()
        self._afterwards.later(self.lessons.after_forgetting)

    def _forget_sessions(self) -> None:
        """What was forgotten may still be in a conversation's key-value cache: drop them all."""
        self._forgotten = self.memory.forgotten_so_far()
        self._prompts.forget()
        self.cloud.forget()
        shutil.rmtree(self.home.sessions, ignore_errors=True)
        model = self._models.loaded
        if model is not None:
            model.forget_all_sessions()

    # -- beginning and end -----------------------------------------------------------------------------------------

    def warm(self) -> None:
        """Load model and embedder in the background, so that the first answer does not wait for them."""
        self._warming.load(self._models.get, self.memory.warm)

    def close(self) -> None:
        """Finish background work that is near its end, then free everything. Calling it again does nothing."""
        self._afterwards.close(patience=5.0)
        self.cloud.close()
        self._models.close()
        self.lessons.close()
        if self._temporary is not None:
            self._temporary.close()
            self._temporary = None
        self.memory.close()
        self._presence.close()
        self._warming.join()

    def __enter__(self) -> Assistant:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _temporary_memory(self) -> Memory:
        if self._temporary is None:
            self._temporary = Memory.temporary(embedder=self.memory.embedder, now=self.now)
        return self._temporary
