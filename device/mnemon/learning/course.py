"""One space and one optimiser on their way: steps, a look now and then, and back after a bad stretch.

Every step is on disk before the next one begins. When a look at a fixed part of the examples finds things worse than
at the best look so far, the journal is cut back to that point and the steps get shorter: the step size takes care of
itself, and what is left in the journal is only what led to the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mnemon.errors import LossError
from mnemon.learning.generator import BATCH, CHOICE, SEEDS, Stream
from mnemon.learning.journal import Scale, State, single
from mnemon.learning.objectives import Measured
from mnemon.learning.zeroth_order import CMA_MOST, Cma, Mezo, Noise, noise

if TYPE_CHECKING:
    from mnemon.learning.book import Page
    from mnemon.learning.objectives import Objective
    from mnemon.learning.spaces.space import Space, Theta
    from mnemon.runtime.adapters import Active

BATCH_SIZE = 8
"""Few: what limits a step is that a handful of directions sees little of the slope, not that few examples do, and
half the examples take half the time."""
_WATCHED = 32
_SAME_BATCH = 4
"""Steps on the same examples: their prompts stay in the scorer's small cache meanwhile."""
_LOOK_EVERY = 8
_LONGER, _SHORTER = 1.3, 0.5
_MOST_FAILURES = 4
REHEARSED = 2
"""General examples beside a batch."""
REHEARSAL_SHARE = 0.5
"""What their loss counts for beside that of the owner's."""


@dataclass(slots=True)
class Rehearsing:
    """An objective that also minds the general set: a share of its loss is added to that of the owner's examples.

    Attributes:
        objective: Measures both.
        general: Numbers of the general examples that are rehearsed.
    """

    objective: Objective
    general: Sequence[int]
    evaluations: int = 0

    def measure(self, active: Active, which: Sequence[int]) -> Measured:
        """One number for the examples ``which`` together; the first of them chooses the general ones."""
        import numpy as np

        self.evaluations += 1
        some = Stream(which[0] if which else 0, BATCH, 1).sample(len(self.general), REHEARSED)
        both = [*which, *(self.general[i] for i in some)]
        found = self.objective.measure(active, both)
        loss = found.of(range(len(which))).loss
        if some:
            loss += REHEARSAL_SHARE * found.of(range(len(which), len(both))).loss
        return Measured(np.array([loss]), np.ones(1))


@dataclass(slots=True)
class Course:
    """A lesson's search in one space.

    Attributes:
        page: Where its steps are written; those that are there already are gone through again.
        space: What is tuned.
        objective: What for.
        pool: How many examples there are to learn from: for the objective they have the numbers from 0 on, which are
            their places in the page's header.
        seed: Of everything that is drawn.
        start: Theta to begin with; zero when left out.
        cma_most: Numbers up to which CMA-ES does it.
        curve: The loss at each look.
        noise: What was found out about it; None for CMA-ES, which compares ranks.
    """

    page: Page
    space: Space
    objective: Objective
    pool: int
    seed: int
    start: Theta | None = None
    cma_most: int = CMA_MOST
    curve: list[float] = field(default_factory=list)
    noise: Noise | None = None
    _state: State = field(init=False)
    _optimiser: Mezo | Cma | None = field(default=None, init=False)
    _best: float = field(default=float("inf"), init=False)
    _best_at: int = field(default=0, init=False)
    _drawn: int = field(default=0, init=False)
    _failures: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._rewind()
        self._drawn = len(self.page.records)

    @property
    def theta(self) -> Theta:
        """Where it is."""
        return self._state.theta

    @property
    def active(self) -> Active:
        """The adapters where it is."""
        return self.space.apply(self.theta)

    @property
    def best(self) -> float:
        """The least loss of a look so far."""
        return self._best

    @property
    def by_covariance(self) -> bool:
        """Whether CMA-ES does it."""
        return self.space.size <= self.cma_most

    @property
    def tried(self) -> int:
        """Steps so far, with those that were taken back."""
        return self._drawn

    def begin(self, hurried: Callable[[], bool] = lambda: False) -> None:
        """Find the noise floor, choose eps, and look where it stands.

        Args:
            hurried: Whether there is no time for a better choice of eps.

        Raises:
            LossError: The loss is no number already.
        """
        if self.by_covariance:
            self._optimiser = Cma(self.space, self.objective, self.seed)
        else:
            self.noise = noise(self.space, self.objective, self.theta, self._batch(0), self._seed(SEEDS - 1), hurried)
            self._optimiser = Mezo(self.space, self.objective, self.noise.eps)
        self._look()

    def advance(self) -> None:
        """One step, on disk when this returns; every eighth time a look.

        Raises:
            LossError: Loss after loss is no number.
            DiskFullError: The step cannot be written.
        """
        optimiser = self._optimiser
        assert optimiser is not None  # noqa: S101  (begin() was called)
        number, self._drawn = self._drawn, self._drawn + 1
        try:
            record = optimiser.step(self._state, self._batch(number), self._seed(number))
            state = self._state.copy()
            state.apply(record)
            self.page.write(record)
            self._state = state
            if self._drawn % _LOOK_EVERY == 0:
                self._look()
        except LossError:
            self._failures += 1
            if self._failures >= _MOST_FAILURES:
                raise
            self._back()

    def finish(self) -> None:
        """Back to the best look, with a last one before."""
        if len(self.page.records) > self._best_at:
            try:
                self._look()
            except LossError:
                self._back()

    def weaken(self, harm: Callable[[Active], float], allowed: float) -> float:
        """Make it weaker until it does no more harm than ``allowed``; what harm it then does.

        Args:
            harm: Measures an adapter's.
            allowed: As ``harm`` gives it.
        """
        theta, worse = self.theta, harm(self.active)
        for factor in (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2):
            if worse <= allowed:
                break
            if (worse := harm(self.space.apply(theta * single(factor)))) <= allowed:
                record = Scale(single(factor))
                self.page.write(record)
                self._state.apply(record)
        return worse

    def _look(self) -> None:
        watched = range(0, self.pool, max(1, self.pool // _WATCHED))[:_WATCHED]
        loss = self.objective.measure(self.active, watched).loss
        self.curve.append(loss)
        optimiser = self._optimiser
        if loss < self._best:
            self._best, self._best_at = loss, len(self.page.records)
            if isinstance(optimiser, Mezo) and len(self.curve) > 1:
                optimiser.rate *= _LONGER
        else:
            self._back()

    def _back(self) -> None:
        self.page.cut(self._best_at)
        self._rewind()
        if isinstance(self._optimiser, Mezo):
            self._optimiser.rate *= _SHORTER
        elif self._optimiser is not None:
            self._optimiser = Cma(self.space, self.objective, self._seed(SEEDS - 1 - self._drawn))

    def _rewind(self) -> None:
        self._state = State(self.page.header, self.start)
        for record in self.page.records:
            self._state.apply(record)

    def _batch(self, number: int) -> tuple[int, ...]:
        return tuple(Stream(self.seed, BATCH, number // _SAME_BATCH + 2).sample(self.pool, BATCH_SIZE))

    def _seed(self, number: int) -> int:
        return int.from_bytes(Stream(self.seed, CHOICE, number).bytes(8), "little")
