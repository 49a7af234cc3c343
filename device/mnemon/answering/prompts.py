"""Asking the model: what a turn's prompt is made of, what stays the same from turn to turn, and what the answer may
rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mnemon.answering.gate import ABOUT_MNEMON, Sources
from mnemon.clock import Clock
from mnemon.runtime import prompt
from mnemon.runtime.chat_model import ChatModel, Generation, ModelInfo

if TYPE_CHECKING:
    from mnemon.answering.draft import Draft
    from mnemon.answering.questions import Asked
    from mnemon.lessons import Lessons
    from mnemon.memory.messages import Messages
    from mnemon.memory.records import Message
    from mnemon.profile import Profile
    from mnemon.settings import Settings

_AGAIN_TEMPERATURE = 0.7
"""Another answer to the same message is drawn at least this freely, else it would be the same one."""


class Prompts:
    """The prompts of all conversations.

    Args:
        profile: Stands at the beginning of each.
        settings: The owner's.
        now: The clock.
        lessons: What was learned about answering this owner.
    """

    def __init__(self, profile: Profile, settings: Settings, now: Clock, lessons: Lessons) -> None:
        self._profile = profile
        self._settings = settings
        self._now = now
        self._lessons = lessons
        self._profiles: dict[str, tuple[str, str]] = {}

    def memory_limit(self, info: ModelInfo) -> int:
        """How many memories a prompt holds at most."""
        return self._settings.memory.recall or info.memory_limit

    def with_notes(
        self, messages: Messages, draft: Draft, info: ModelInfo, history: Sequence[Message], *, told: bool
    ) -> Message:
        """The question with its notes, kept with it so that the prompt can be laid out again as it was.

        What the model has read in this conversation is noted again only for a question that rests on it: with notes
        at every message, twenty turns of telling and small talk filled 3,400 tokens of a window, and now 1,000.

        Args:
            history: The conversation before the question, oldest first.
            told: The answer lies in what the owner told.
        """
        question = draft.question
        if info.memory_placement == "system" or question.context:
            return question
        standing = [] if told else _surely_read(history, info.context_tokens)
        context = prompt.notes(draft.recalled, self._now(), limit=self.memory_limit(info), standing=standing)
        messages.update(question.id, context=context)
        return replace(question, context=context)

    def generate(
        self,
        model: ChatModel,
        history: Sequence[Message],
        question: Message,
        draft: Draft,
        *,
        attempt: int,
        temporary: bool,
    ) -> Generation:
        """Have the model answer.

        Args:
            history: The conversation before ``question``, oldest first.
            question: As :meth:`with_notes` gave it.
            draft: Knows what was recalled.
            attempt: How many answers there are already.
            temporary: Nothing of the conversation may reach a disk.
        """
        sampling = model.info.sampling
        if self._settings.model.temperature >= 0:
            sampling = replace(sampling, temperature=self._settings.model.temperature)
        if attempt:
            sampling = replace(sampling, temperature=max(sampling.temperature, _AGAIN_TEMPERATURE), seed=attempt)
        # A name with a tilde is kept in memory only, never on disk.
        session = f"{'~' if temporary else ''}c{question.conversation_id}"
        return model.generate(
            prompt.lay_out(model.info, history, question, draft.recalled, *self._profile_for(session)),
            max_tokens=self._settings.model.max_answer_tokens,
            sampling=sampling,
            session=session,
            adapters=self._lessons.adapters(model),
        )

    def forget(self) -> None:
        """Let go of the profiles of conversations under way: a line of them may have been forgotten."""
        self._profiles.clear()

    def _profile_for(self, session: str) -> tuple[str, str]:
        """Profile and manner as they were when the conversation was first spoken in: a prompt's beginning does not
        change."""
        if session not in self._profiles:
            self._profiles[session] = self._profile.text(), self._lessons.manner()
        return self._profiles[session]


def _surely_read(history: Sequence[Message], window: int) -> Sequence[Message]:
    """The newest of the conversation, as many as stand in a window of so many tokens whatever their language."""
    characters = 0
    for count, message in enumerate(reversed(history)):
        characters += len(message.context) + len(message.text)
        if characters > window:
            return history[len(history) - count :]
    return history


def sources(asked: Asked, history: Sequence[Message], draft: Draft, *, told: bool, small: bool) -> Sources:
    """What an answer may rest on. A small model mixes memories up: about what was told it gets only the best one."""
    holding = [memory for memory in draft.recalled if memory.valid or asked.past]
    if told and small:
        return Sources([draft.question.text], holding[:1])
    own = [ABOUT_MNEMON] if asked.asks else []
    return Sources([*own, draft.question.text, *(message.text for message in history)], holding)
