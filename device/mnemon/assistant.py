"""The assistant: one turn of conversation, from words in to words out, and what surrounds it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from mnemon import paths
from mnemon import settings as settings_module
from mnemon.answering.evidence import UNKNOWN, Evidence, quote, weigh
from mnemon.answering.gate import ABOUT_MNEMON, Gate, Sources, says_unknown
from mnemon.answering.questions import Asked, understand
from mnemon.background import Background
from mnemon.chat import Chat, check_text
from mnemon.errors import MnemonError
from mnemon.memory.consolidation import consolidate
from mnemon.memory.extraction import extract
from mnemon.memory.memory import Memory
from mnemon.memory.messages import Messages
from mnemon.memory.records import Fact, Message, MessageStatus, Recalled
from mnemon.memory.store import Store
from mnemon.profile import Profile
from mnemon.runtime import prompt
from mnemon.runtime.chat_model import ChatModel, Generation, GenerationReport, ModelInfo
from mnemon.runtime.holder import ModelHolder
from mnemon.turns import (
    Answer,
    Delta,
    MemoriesRecalled,
    Route,
    StopSignal,
    Timing,
    Turn,
    TurnEvent,
    TurnFinished,
    TurnStarted,
)
from mnemon.words import content_words

if TYPE_CHECKING:
    from mnemon.memory.forgetting import Forgotten
    from mnemon.settings import Settings

RECALL_CANDIDATES = 12
"""Memories looked at for one question; the model is given as many of them as its catalog entry says it can use."""
RECALLED_HERE = 4
"""Memories of the conversation itself that are looked at besides."""
HISTORY_MESSAGES = 400
"""The conversation is read back this far; the model's window is shorter and drops the oldest by itself."""
SAVE_EVERY_S = 0.5
"""A growing answer is saved this often, so that a crash costs half a second of it."""
SMALL_MODEL_PARAMETERS = 300_000_000
"""Below this (0: unknown) a model's wording is checked word for word, not only its names, numbers and dates."""

SHORT_QUESTION_WORDS = 8
"""Meaningful words of a question that may be about something told without saying so; longer ones explain a task."""

NOTED = "Noted. I'll remember that."
LOST = "I'm not sure what to say to that. You can put it another way, or tell me more."
TOO_HARD = "That is more than my small built-in model can answer well. `mnemon models list` shows larger ones."


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
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self.home = paths.home(home)
        overrides = {"model": {"name": model}} if model else {}
        self.settings = settings or settings_module.load(self.home, overrides=overrides)
        self.now = now or (lambda: datetime.now(UTC))
        self._models = ModelHolder(self._load, self.settings.model.name, chat_model)
        self._temporary: tuple[Store, Messages] | None = None
        self.memory = Memory.open(self.home, self.settings.memory, passphrase=passphrase, now=self.now)
        self.memory.on_forget(self._forget_sessions)
        self.memory.messages.recover()
        self.profile = Profile(self.memory)
        self._profiles: dict[int, str] = {}
        self._background = Background()

    # -- the conversation ------------------------------------------------------------------------------------------

    def chat(self, conversation_id: int | None = None, *, temporary: bool = False) -> Chat:
        """Start a conversation, or go on with one.

        Args:
            conversation_id: The one to go on with; None starts a new one.
            temporary: Keep nothing of it: it lives in memory only, is never recalled, and ends with the program.

        Raises:
            NotFoundError: There is no such conversation.
        """
        messages = self._temporary_messages() if temporary else self.memory.messages
        conversation = messages.start() if conversation_id is None else messages.conversation(conversation_id)
        return Chat(self, messages, conversation.id, temporary=temporary)

    def ask(self, text: str) -> Answer:
        """Say something in a conversation of its own and wait for the answer.

        Raises:
            InputError: The text is empty, binary or too long.
            ModelError: The model cannot be loaded or used; the words are saved all the same.
        """
        return self.stream(text).finish()

    def stream(self, text: str) -> Turn:
        """Like :meth:`ask`, giving the answer's words as they come."""
        check_text(text)
        return self.chat().send(text)

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

    def take_turn(self, messages: Messages, question: Message, *, temporary: bool = False, attempt: int = 0) -> Turn:
        """Answer a message that is saved already: what send, regenerate, edit and retry all come down to.

        Args:
            messages: Where the conversation is kept.
            question: The owner's message.
            temporary: Neither remember nor learn from it.
            attempt: How many answers it has already; above 0 another one is looked for.
        """
        signal = StopSignal()
        return Turn(self._turn(messages, question, temporary, attempt, signal), signal)

    def _turn(
        self, messages: Messages, question: Message, temporary: bool, attempt: int, signal: StopSignal
    ) -> Iterator[TurnEvent]:
        started = time.perf_counter()
        if not temporary:
            self.memory.index(question)
        history = messages.around(question.id, HISTORY_MESSAGES, 0)[:-1]
        answer = messages.add(
            question.conversation_id, "assistant", "", parent_id=question.id, status="generating", said_at=self.now()
        )
        saved = _SavedAnswer(messages, answer.id)
        try:
            yield TurnStarted(question.conversation_id, question.id, answer.id)

            asked = understand(question.text)
            recall_started = time.perf_counter()
            recalled = self._recall(asked, question)
            evidence = weigh(asked, recalled, conversation_id=question.conversation_id)
            recall_ms = _ms_since(recall_started)
            model = self.model
            given = evidence.memories[: self._memory_limit(model.info)]
            saved.recalled(given)
            yield MemoriesRecalled(given)

            strict = 0 < model.info.parameters < SMALL_MODEL_PARAMETERS
            told = _is_about_what_was_told(asked, evidence, strict=strict)
            saved.of_model(model.info.name)
            report: GenerationReport | None = None
            first_ms = 0.0
            route: Route = "local"
            sources = _sources(asked, history, question, given, told=told, strict=strict)
            gate = Gate(asked, sources, told=told, strict=strict and not asked.of_mnemon)
            reason = "said by the model"
            if not (told and strict and (evidence.strength != "strong" or attempt)):
                question = self._with_notes(messages, question, given, model.info)
                generation = self._generate(model, history, question, given, attempt, temporary=temporary)
                report = generation.report
                signal.attach(generation.stop)
                for text in _said(generation, gate):
                    first_ms = first_ms or _ms_since(started)
                    saved.grow(text)
                    yield Delta(text)
                reason = gate.refusal or reason
                if told and says_unknown(gate.said):
                    route = "unknown"
            if not gate.said.strip() and not signal:
                text, route, reason = self._in_other_words(asked, evidence, told, strict, attempt, reason)
                first_ms = first_ms or _ms_since(started)
                saved.grow(text)
                yield Delta(text)

            status: MessageStatus = "stopped" if signal else "complete"
            saved.finish(status, route)
        except GeneratorExit:
            signal.set()
            saved.finish("stopped", "local")
            raise
        except BaseException:
            saved.finish("failed", "local")
            raise
        messages.update(question.id, status="complete")
        if not temporary:
            self._background.later(partial(self._remember_what_was_said, question.id))
        yield TurnFinished(
            Answer(
                text=saved.text,
                route=route,
                reason=reason,
                status=status,
                conversation_id=question.conversation_id,
                question_id=question.id,
                answer_id=answer.id,
                recalled=given,
                timing=Timing(
                    load_ms=self._models.take_load_ms(),
                    recall_ms=recall_ms,
                    first_token_ms=first_ms,
                    total_ms=_ms_since(started),
                    prompt_tokens=report.prompt_tokens if report else 0,
                    cached_tokens=report.cached_tokens if report else 0,
                    answer_tokens=report.answer_tokens if report else 0,
                ),
                report=report,
            )
        )

    def _recall(self, asked: Asked, question: Message) -> list[Recalled]:
        """What bears on the message in all of memory, and in this conversation, which one mostly asks about."""
        found: dict[str, Recalled] = {}
        for within, limit in ((None, RECALL_CANDIDATES), (question.conversation_id, RECALLED_HERE)):
            for memory in self.memory.recall(
                asked.text, limit=limit, exclude=(question.memory_id,), at=question.said_at, within=within
            ):
                found.setdefault(memory.id, memory)
        return list(found.values())

    def _generate(
        self,
        model: ChatModel,
        history: list[Message],
        question: Message,
        memories: tuple[Recalled, ...],
        attempt: int,
        *,
        temporary: bool,
    ) -> Generation:
        sampling = model.info.sampling
        if self.settings.model.temperature >= 0:
            sampling = replace(sampling, temperature=self.settings.model.temperature)
        if attempt:
            sampling = replace(sampling, temperature=max(sampling.temperature, 0.7), seed=attempt)
        return model.generate(
            prompt.lay_out(model.info, history, question, memories, self._profile_for(question.conversation_id)),
            max_tokens=self.settings.model.max_answer_tokens,
            sampling=sampling,
            session=None if temporary else session_name(question.conversation_id),
        )

    def _profile_for(self, conversation_id: int) -> str:
        """The profile as it was when the conversation was first spoken in: a prompt's beginning does not change."""
        return self._profiles.setdefault(conversation_id, self.profile.text())

    def _with_notes(
        self, messages: Messages, question: Message, memories: tuple[Recalled, ...], info: ModelInfo
    ) -> Message:
        """The question with its notes, kept with it so that the prompt can be laid out again as it was."""
        if info.memory_placement == "system" or question.context:
            return question
        context = prompt.notes(memories, self.now(), limit=self._memory_limit(info))
        messages.update(question.id, context=context)
        return replace(question, context=context)

    def _in_other_words(
        self, asked: Asked, evidence: Evidence, told: bool, strict: bool, attempt: int, reason: str
    ) -> tuple[str, Route, str]:
        """What Mnemon says when the model said nothing it may say."""
        if told:
            text = quote(asked, evidence, self.now(), skip=max(0, attempt))
            if text == UNKNOWN:
                return text, "unknown", "nothing told comes near enough"
            return text, "quoted", reason if reason != "said by the model" else "the owner's own words are surer"
        if not asked.asks:
            return NOTED, "local", reason
        return (TOO_HARD if strict and not asked.of_mnemon else LOST), "local", reason

    def _memory_limit(self, info: ModelInfo) -> int:
        return self.settings.memory.recall or info.memory_limit

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
        self._remember_what_was_said(message.id)
        return self.memory.facts.of_messages([message.id]).get(message.id, [])

    def recall(self, question: str, limit: int = 10) -> list[Recalled]:
        """What memory holds that bears on ``question``, best first."""
        return self.memory.recall(question, limit=limit)

    def forget(self, *ids: str) -> Forgotten:
        """Forget memories for good, with everything that rests on them.

        Args:
            ids: Such as ``"m12"`` (a message) or ``"f3"`` (a fact).

        Raises:
            NotFoundError: One of them does not exist; then nothing is forgotten.
        """
        return self.memory.forget(*ids)

    def end_facts_of(self, message_id: int, *, reason: str) -> None:
        """End the validity of what was taken from a message, because its owner took it back."""
        for fact in self.memory.facts.of_messages([message_id]).get(message_id, []):
            if fact.valid_to is None:
                self.memory.facts.end(fact.id, at=self.now(), reason=reason)

    def _remember_what_was_said(self, message_id: int) -> None:
        """After the answer: facts are taken from the owner's words, consolidated, and the profile follows."""
        message = self.memory.messages.get(message_id)
        drafts = extract(message, self._models.loaded) if self.settings.memory.extract else []
        if consolidate(self.memory, message, drafts):
            self._background.later(self._refresh_profile)
        self.memory.messages.mark_extracted(message_id)

    def catch_up(self) -> None:
        """Take facts from messages that a crash or an import left without, and refresh the profile."""
        for message in self.memory.messages.pending_extraction(1000):
            self._background.later(partial(self._remember_what_was_said, message.id))
        self._background.later(self._refresh_profile)

    def _refresh_profile(self) -> None:
        self.profile.refresh(self._models.loaded)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until background work (facts, profile) is done.

        Args:
            timeout: Seconds; None waits as long as it takes.

        Returns:
            Whether all of it is done.
        """
        return self._background.wait(timeout)

    # -- the model -------------------------------------------------------------------------------------------------

    @property
    def model(self) -> ChatModel:
        """The local model, loaded at first use.

        Raises:
            ModelError: It is missing, damaged, or not supported.
        """
        return self._models.get()

    @property
    def model_is_loaded(self) -> bool:
        """Whether :attr:`model` is at hand without loading."""
        return self._models.loaded is not None

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

    def _forget_sessions(self) -> None:
        """What was forgotten may still be in a conversation's key-value cache: drop them all."""
        self._profiles.clear()
        shutil.rmtree(self.home.sessions, ignore_errors=True)
        model = self._models.loaded
        if model is not None:
            model.forget_all_sessions()

    # -- beginning and end -----------------------------------------------------------------------------------------

    def warm(self) -> None:
        """Load model and embedder in the background, so that the first answer does not wait for them."""

        def load() -> None:
            with contextlib.suppress(MnemonError):  # the first turn raises it where it can be shown
                _ = self.model

        threading.Thread(target=load, name="mnemon-warm", daemon=True).start()
        threading.Thread(target=self.memory.warm, name="mnemon-warm-memory", daemon=True).start()

    def close(self) -> None:
        """Finish background work that is near its end, then free everything. Calling it again does nothing."""
        self._background.close(patience=5.0)
        self._models.close()
        if self._temporary is not None:
            self._temporary[0].close()
            self._temporary = None
        self.memory.close()

    def __enter__(self) -> Assistant:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _temporary_messages(self) -> Messages:
        if self._temporary is None:
            store = Store.open(None, os.urandom(32))
            self._temporary = store, Messages(store, now=self.now)
        return self._temporary[1]


class _SavedAnswer:
    """The answer as it grows, written to memory often enough that a crash costs little of it."""

    def __init__(self, messages: Messages, answer_id: int) -> None:
        self._messages = messages
        self._id = answer_id
        self._saved_at = time.perf_counter()
        self._details: dict[str, Any] = {}
        self.text = ""

    def of_model(self, name: str) -> None:
        self._details["model"] = name

    def recalled(self, memories: tuple[Recalled, ...]) -> None:
        self._details["recalled"] = tuple(memory.id for memory in memories)

    def grow(self, text: str) -> None:
        self.text += text
        if time.perf_counter() - self._saved_at >= SAVE_EVERY_S:
            self._messages.update(self._id, text=self.text)
            self._saved_at = time.perf_counter()

    def finish(self, status: MessageStatus, route: Route) -> None:
        self._messages.update(self._id, text=self.text, status=status, route=route, **self._details)


def session_name(conversation_id: int) -> str:
    """The name under which a conversation's key-value cache is kept."""
    return f"c{conversation_id}"


def _sources(
    asked: Asked, history: list[Message], question: Message, given: tuple[Recalled, ...], *, told: bool, strict: bool
) -> Sources:
    """What an answer may rest on. A small model mixes memories up: about what was told it gets only the best one."""
    if told and strict:
        return Sources([question.text], given[:1])
    own = [ABOUT_MNEMON] if asked.asks else []
    return Sources([*own, question.text, *(m.text for m in history)], given)


def _said(generation: Generation, gate: Gate) -> Iterator[str]:
    """The words of ``generation`` that may be shown; ends it at the first that may not."""
    for piece in generation:
        yield from gate.push(piece)
        if gate.refusal:
            generation.stop()
            return
    yield from gate.close()


def _is_about_what_was_told(asked: Asked, evidence: Evidence, *, strict: bool) -> bool:
    """A question that memory, not the model's knowledge, has to answer.

    It speaks of the owner's own affairs, or memory plainly holds it; a small model, which knows little of the world,
    leaves it to memory as soon as anything comes near.
    """
    if not asked.asks or (asked.of_mnemon and (asked.advice or not asked.of_owner)):
        return False
    if evidence.strength == "strong":
        return True
    if strict and evidence.strength == "weak" and len(content_words(asked.text)) <= SHORT_QUESTION_WORDS:
        return True
    return asked.of_owner and not asked.advice and not asked.of_mnemon


def _ms_since(started: float) -> float:
    return 1000 * (time.perf_counter() - started)
