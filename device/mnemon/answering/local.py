"""The answer of this device: the model's words where they may be said, else the owner's own, else "I don't know"."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from mnemon.answering.evidence import Evidence, is_about_what_was_told
from mnemon.answering.fallback import in_other_words
from mnemon.answering.gate import Gate, says_unknown
from mnemon.answering.history import told_as_change
from mnemon.answering.prompts import Prompts, sources
from mnemon.answering.questions import Asked
from mnemon.answering.summary import asks_for_summary, summary
from mnemon.clock import Clock
from mnemon.turns import StopSignal

if TYPE_CHECKING:
    from mnemon.answering.draft import Draft
    from mnemon.memory.memory import Memory
    from mnemon.runtime.chat_model import ChatModel

HISTORY_MESSAGES: Final = 400
"""The conversation is read back this far; the model's window is shorter and drops the oldest by itself."""
SMALL_MODEL_PARAMETERS: Final = 300_000_000
"""Below this (0: unknown) a model's wording is checked word for word, not only its names, numbers and dates."""


class LocalAnswers:
    """Answers here.

    Args:
        memory: The owner's.
        prompts: Lay out what the model reads.
        model: The local model, loaded at first use.
        now: The clock.
    """

    def __init__(self, memory: Memory, prompts: Prompts, model: Callable[[], ChatModel], now: Clock) -> None:
        self._memory = memory
        self._prompts = prompts
        self._model = model
        self._now = now

    def answer(
        self, kept: Memory, asked: Asked, evidence: Evidence, draft: Draft, attempt: int, signal: StopSignal
    ) -> Iterator[str]:
        """The words, as they come.

        Args:
            kept: The memory the conversation is kept in: the owner's, or a temporary one.
            asked: The form of the question.
            evidence: What memory holds for it.
            draft: Is told route, reason and what the model did.
            attempt: How many answers there are already; above 0 another one is looked for.
            signal: Stops it.

        Raises:
            ModelError: The model cannot be loaded or used.
        """
        if asks_for_summary(asked.text):
            draft.route, draft.reason = "quoted", "noted from what the owner told"
            yield summary(self._memory.facts.list())
            return
        info = self._model().info
        small = 0 < info.parameters < SMALL_MODEL_PARAMETERS
        told = is_about_what_was_told(asked, evidence, small=small)
        gate = Gate(asked, told=told, strict=small)
        unsure = small and (evidence.strength != "strong" or told_as_change(evidence) or attempt > 0)
        corrected = evidence.best is not None and evidence.best.corrects  # a model would repeat what it believes
        if not (told and (unsure or corrected)):
            before = kept.messages.around(draft.question.id, HISTORY_MESSAGES, 0)[:-1]
            question = self._prompts.with_notes(kept.messages, draft, info, before, told=told)
            gate.rest_on(sources(asked, before, draft, told=told, small=small))
            generation = self._prompts.generate(
                self._model(), before, question, draft, attempt=attempt, temporary=kept is not self._memory
            )
            draft.report = generation.report
            signal.attach(generation.stop)
            yield from gate.let_through(generation)
            draft.reason = gate.refusal or draft.reason
            if told and says_unknown(gate.said):
                draft.route = "unknown"
        if not gate.said.strip() and not signal:
            yield in_other_words(asked, evidence, draft, self._now(), told=told, small=small, attempt=attempt)
