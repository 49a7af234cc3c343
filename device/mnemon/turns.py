"""What one turn of conversation gives back: events while it runs, an answer at its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mnemon.answering.forget_requests import Proposal
from mnemon.memory.records import MessageStatus, Recalled
from mnemon.runtime.chat_model import GenerationReport

if TYPE_CHECKING:
    from mnemon.privacy.guard import Outgoing

Route = Literal["local", "quoted", "unknown", "cloud"]
"""Who found the words: the local model, the owner (quoted), nobody (Mnemon says it does not know), or the cloud."""

Where = Literal["auto", "local", "cloud"]
"""Where an answer is looked for: as the router decides, on this device only, or in the cloud."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What a turn took, in milliseconds from its start, and how many tokens went through the model."""

    load_ms: float = 0.0
    """Waiting for memory and model to be loaded; 0 when they were."""
    recall_ms: float = 0.0
    first_token_ms: float = 0.0
    """From the start of the turn until the first words could be shown."""
    total_ms: float = 0.0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    answer_tokens: int = 0

    def as_dict(self) -> dict[str, float | int]:
        """As printed by ``--json``."""
        return {
            "load_ms": round(self.load_ms, 1),
            "recall_ms": round(self.recall_ms, 1),
            "first_token_ms": round(self.first_token_ms, 1),
            "total_ms": round(self.total_ms, 1),
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "answer_tokens": self.answer_tokens,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer and everything it rests on.

    Attributes:
        text: What Mnemon said.
        route: Who found the words.
        reason: Why that route, in words for the owner.
        status: ``complete``, or ``stopped`` when the owner ended it.
        recalled: What was found in memory for it, best first.
        report: What the model did; None when it was not asked.
        note: What the owner should know besides, such as why the cloud was not asked; mostly empty.
    """

    text: str
    route: Route
    reason: str
    status: MessageStatus
    conversation_id: int
    question_id: int
    answer_id: int
    recalled: tuple[Recalled, ...]
    timing: Timing
    report: GenerationReport | None = None
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As printed by ``mnemon ask --json``; the keys are a contract."""
        return {
            "answer": self.text,
            "route": self.route,
            "route_reason": self.reason,
            "note": self.note,
            "status": self.status,
            "conversation": self.conversation_id,
            "recalled": [memory.as_dict() for memory in self.recalled],
            "timing": self.timing.as_dict(),
        }


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The owner's words are saved; the answer has its place."""

    conversation_id: int
    question_id: int
    answer_id: int


@dataclass(frozen=True, slots=True)
class MemoriesRecalled:
    """What memory found, best first."""

    memories: tuple[Recalled, ...]


@dataclass(frozen=True, slots=True)
class Delta:
    """The next words of the answer. They are never taken back."""

    text: str


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """The end of the turn."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class ForgetProposed:
    """The message asks to forget something. Nothing is forgotten: show it and give what the owner confirms to
    :meth:`mnemon.Assistant.forget_as_asked`."""

    proposal: Proposal


@dataclass(slots=True)
class ConsentAsked:
    """Words would leave this device. Nothing does unless :meth:`allow` is called before the turn goes on.

    Attributes:
        whole: What would leave: ``whole.text`` are the exact words.
        words: The same before anything was replaced; ``whole.findings`` says where.
        alone: The question without what was added so that it can be understood; None when nothing was.
        recipient: Host and port it would go to.
        reason: Why it is not answered here.
        later: There is no line now: the words would wait, and leave when there is one.
    """

    whole: Outgoing
    words: str
    alone: Outgoing | None
    recipient: str
    reason: str
    later: bool = False
    allowed: Outgoing | None = None
    """What may leave; None: nothing."""

    def allow(self, *, alone: bool = False) -> None:
        """Let it leave: all that is shown, or the question alone."""
        self.allowed = self.alone if alone and self.alone is not None else self.whole


TurnEvent = TurnStarted | MemoriesRecalled | ForgetProposed | ConsentAsked | Delta | TurnFinished


class StopSignal:
    """Carries "stop" from any thread to whatever is running now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped = False
        self._running: Callable[[], None] | None = None

    def __bool__(self) -> bool:
        return self._stopped

    def attach(self, stop: Callable[[], None]) -> None:
        """Say what ``set`` has to end from now on; ends it at once when it is already set."""
        with self._lock:
            self._running = stop
            stopped = self._stopped
        if stopped:
            stop()

    def set(self) -> None:
        """Stop, now and for good."""
        with self._lock:
            self._stopped = True
            running = self._running
        if running is not None:
            running()


class Turn:
    """A turn under way: iterate for its events, which come as they happen.

    Iterating blocks and may raise any :class:`~mnemon.errors.MnemonError`; the owner's words and what had been
    answered by then are saved all the same. Leaving the loop early stops the answer as soon as nothing holds the turn
    any more; :meth:`stop` does it in any case.
    """

    def __init__(self, events: Generator[TurnEvent, None, None], signal: StopSignal) -> None:
        self._events = events
        self._signal = signal

    def __iter__(self) -> Iterator[TurnEvent]:
        return self

    def __next__(self) -> TurnEvent:
        return next(self._events)

    def stop(self) -> None:
        """End the answer within one decode and keep what is there. Safe from any thread."""
        self._signal.set()

    def close(self) -> None:
        """Leave it between two events: what is there is kept as stopped. Does nothing to one that ended."""
        self._events.close()

    def finish(self) -> Answer:
        """Run to the end and return the answer."""
        for event in self:
            if isinstance(event, TurnFinished):
                return event.answer
        raise RuntimeError("a turn ends with TurnFinished or an error")
