"""How long a lesson may take, how far it is, and what it came to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mnemon.learning.course import Course

Phase = Literal["reading", "choosing", "learning", "testing"]


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a lesson may take.

    Attributes:
        seconds: From beginning to end, the gate included.
        evaluations: Measurements of learning at most; None: as many as there is time for.
    """

    seconds: float
    evaluations: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a lesson is.

    Attributes:
        phase: ``reading``, ``choosing``, ``learning`` or ``testing``.
        step: Steps so far.
        loss: At the last look, nats a token on a part of what is learned from.
        best: The least so far.
        seconds: Since it began.
        share: Of the budget, 0 to 1.
    """

    phase: Phase
    step: int
    loss: float
    best: float
    seconds: float
    share: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a lesson came to.

    Attributes:
        accepted: Whether there is a new version.
        before: Held-out loss of what was in use, nats a token.
        after: Held-out loss of what was learned.
        steps: Records of its journal.
        seconds: How long it took.
        space: What was tuned.
        evaluations: Measurements of learning.
        version: The new version's number; None: the one before stays.
        reason: For a person, one sentence.
        general: By which share of itself the general set's loss grew over the base's.
    """

    accepted: bool
    before: float
    after: float
    steps: int
    seconds: float
    space: str
    evaluations: int
    version: int | None
    reason: str
    general: float = 0.0


@dataclass(slots=True)
class Clock:
    """The budget, as it runs out.

    Attributes:
        budget: What there is.
        report: Told by :meth:`tell`.
        stop: Ends it early.
        evaluations: Gives how many there were.
        reserve: Seconds that the end of the lesson will take.
        now: Seconds, of a clock that never goes back.
        began: By that clock.
    """

    budget: Budget
    report: Callable[[Progress], None]
    stop: threading.Event
    evaluations: Callable[[], int] = lambda: 0
    reserve: float = 0.0
    now: Callable[[], float] = time.monotonic
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.now()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self.now() - self.began

    @property
    def share(self) -> float:
        """Of the budget, 0 to 1."""
        shares = [self.seconds / max(self.budget.seconds - self.reserve, 1e-9)]
        if self.budget.evaluations is not None:
            shares.append(self.evaluations() / max(self.budget.evaluations, 1))
        return min(1.0, max(shares))

    @property
    def over(self) -> bool:
        """Whether learning has to end."""
        return self.stop.is_set() or self.share >= 1.0

    def tell(self, phase: Phase, course: Course | None = None) -> None:
        """Report how far it is."""
        step, loss, best = 0, 0.0, 0.0
        if course is not None and course.curve:
            step, loss, best = len(course.page.records), course.curve[-1], course.best
        self.report(Progress(phase, step, loss, best, self.seconds, self.share))
