"""An answer in the making: what it says so far, on what it rests, and how it ended."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from mnemon.errors import NotFoundError
from mnemon.memory.messages import Messages
from mnemon.memory.records import Message, MessageStatus, Recalled
from mnemon.runtime.chat_model import GenerationReport
from mnemon.turns import Answer, Route, Timing

SAVE_EVERY_S = 0.5
"""A growing answer is saved this often, so that a crash costs half a second of it."""


class Draft:
    """Written to memory as it grows, and once more when it ends.

    Args:
        messages: Where it is kept.
        question: The owner's message.
        answer: The empty message that will hold it.
    """

    def __init__(self, messages: Messages, question: Message, answer: Message) -> None:
        self.question = question
        self.answer_id = answer.id
        self.text = ""
        self.route: Route = "local"
        self.reason = "said by the model"
        self.note = ""
        self.model = ""
        self.recalled: tuple[Recalled, ...] = ()
        self.report: GenerationReport | None = None
        self.recall_ms = 0.0
        self._messages = messages
        self._started = self._saved_at = time.perf_counter()
        self._first_ms = 0.0

    def grow(self, text: str) -> None:
        """Add the next words."""
        self._first_ms = self._first_ms or self._ms()
        self.text += text
        if time.perf_counter() - self._saved_at >= SAVE_EVERY_S:
            self._save(self.answer_id, text=self.text, recalled=self._recalled_ids)
            self._saved_at = time.perf_counter()

    def facts_said(self) -> set[int]:
        """The numbers of the facts that were recalled, still hold, and whose value the answer says."""
        said = self.text.casefold()
        facts = (fact for memory in self.recalled for fact in memory.facts if fact.valid_to is None)
        return {fact.id for fact in facts if fact.value and fact.value.casefold() in said}

    def finish(self, status: MessageStatus, load_ms: float = 0.0) -> Answer:
        """Save it for good.

        Args:
            status: How it ended.
            load_ms: What the turn spent on loading the model.
        """
        self._save(
            self.answer_id,
            text=self.text,
            status=status,
            route=self.route,
            model=self.model,
            recalled=self._recalled_ids,
        )
        if status != "failed":
            self._save(self.question.id, status="complete")
        report = self.report or GenerationReport()
        timing = Timing(
            load_ms=load_ms,
            recall_ms=self.recall_ms,
            first_token_ms=self._first_ms,
            total_ms=self._ms(),
            prompt_tokens=report.prompt_tokens,
            cached_tokens=report.cached_tokens,
            answer_tokens=report.answer_tokens,
        )
        return Answer(
            text=self.text,
            route=self.route,
            reason=self.reason,
            note=self.note,
            status=status,
            conversation_id=self.question.conversation_id,
            question_id=self.question.id,
            answer_id=self.answer_id,
            recalled=self.recalled,
            timing=timing,
            report=self.report,
        )

    def withdraw(self) -> None:
        """Take an answer of which no word was said out of the conversation, as if it had not been asked for."""
        if not self.text:
            self._messages.withdraw(self.answer_id)

    def _save(self, id: int, **changes: Any) -> None:
        with contextlib.suppress(NotFoundError):  # it was forgotten meanwhile: there is nothing to save any more
            self._messages.update(id, **changes)

    @property
    def _recalled_ids(self) -> tuple[str, ...]:
        return tuple(memory.id for memory in self.recalled)

    def _ms(self) -> float:
        return 1000 * (time.perf_counter() - self._started)
