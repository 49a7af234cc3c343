"""Optimisers that only ever ask for losses.

MeZO (arXiv 2305.17333) as needed here: the two points of a slope are measured on the same examples (common random
numbers), several directions make a step, and everything that a step rests on goes into a record, through which alone
theta changes (:class:`mnemon.learning.journal.State`). Nothing is perturbed in place, so there is nothing to restore
when a measurement fails: the record is then never made.

CMA-ES (arXiv 1604.00772, the ``cmaes`` package) for up to 64 numbers. Its own arithmetic differs in the last bits
between machines; what is recorded is where its mean went, and that is what is replayed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mnemon.errors import LossError
from mnemon.learning.generator import CHOICE, Stream, direction
from mnemon.learning.journal import Move, State, Step, single

if TYPE_CHECKING:
    from mnemon.learning.objectives import Objective
    from mnemon.learning.spaces.space import Space

CMA_MOST = 64
"""Numbers up to which CMA-ES is worth its covariance matrix."""

_TINY = 1e-4
_LADDER = (0.02, 0.05, 0.1, 0.2, 0.4)
_USUAL = 0.05
"""Ten times clear of the noise on the built-in model."""
_SIGNAL = 10.0
_PROBES = 3
_FIRST_MOVE = 0.06
"""Units that the first step moves each number by."""


@dataclass(frozen=True, slots=True)
class Noise:
    """How far two losses differ that should be the same, and the eps that follows.

    Attributes:
        floor: Root mean square, in nats, of the difference of two losses ``2e-4`` units apart. llama.cpp quantizes
            what goes into a multiplication, so that the loss is not smooth: 2e-4 at Q8_0, 4e-4 at Q4_0.
        eps: The least of a ladder of distances at which the difference is ten times that.
    """

    floor: float
    eps: float


def noise(
    space: Space,
    objective: Objective,
    theta: Any,
    which: Sequence[int],
    seed: int,
    hurried: Callable[[], bool] = lambda: False,
) -> Noise:
    """Estimate the floor and choose eps; some 12 to 36 evaluations, or six and the usual eps where time is short."""
    lines = [space.along(theta, direction(seed, i, space.size)) for i in range(_PROBES)]

    def difference(t: float) -> float:
        found = [objective.measure(line(t), which).loss - objective.measure(line(-t), which).loss for line in lines]
        return math.sqrt(sum(d * d for d in found) / len(found))

    floor = difference(_TINY * space.unit)
    step = _USUAL
    for step in () if hurried() else _LADDER:
        if (apart := difference(step * space.unit)) >= _SIGNAL * floor and apart:
            break
        if hurried():
            step = max(step, _USUAL)
            break
    return Noise(floor, single(step * space.unit))


@dataclass(slots=True)
class Mezo:
    """Steps along random directions.

    Attributes:
        space: What is tuned.
        objective: What for.
        eps: How far apart the points of a slope are from theta.
        directions: Of a step; a step takes twice as many evaluations.
        rate: The step size; 0: chosen so that the first step moves each number by 0.06 units.
    """

    space: Space
    objective: Objective
    eps: float
    directions: int = 4
    rate: float = 0.0

    def step(self, state: State, which: Sequence[int], seed: int) -> Step:
        """Measure the slopes at ``state`` on the examples ``which``; theta is left as it is.

        Raises:
            LossError: A loss is no number.
        """
        slopes = []
        for number in range(self.directions):
            line = self.space.along(state.theta, direction(seed, number, self.space.size))
            up, down = (self.objective.measure(line(t), which).loss for t in (self.eps, -self.eps))
            slopes.append(single((up - down) / (2 * self.eps)))
        if not self.rate:
            usual = math.sqrt(sum(slope * slope for slope in slopes)) / self.directions
            self.rate = _FIRST_MOVE * self.space.unit / usual if usual else 1.0
        return Step(seed, tuple(slopes), single(self.rate), single(self.eps), tuple(which))

    @property
    def cost(self) -> int:
        """Evaluations of a step."""
        return 2 * self.directions


@dataclass(slots=True)
class Cma:
    """Generations of CMA-ES around a mean.

    Attributes:
        space: What is tuned, at most 64 numbers.
        objective: What for.
        seed: Of its samples.
    """

    space: Space
    objective: Objective
    seed: int
    _engine: Any = field(default=None, init=False)

    def step(self, state: State, which: Sequence[int], seed: int) -> Move:
        """One generation on the examples ``which``; how its mean moves.

        Raises:
            LossError: A loss is no number.
        """
        import numpy as np
        from cmaes import CMA

        if self._engine is None:
            start = Stream(self.seed, CHOICE).below(1 << 31)
            # with one number cmaes has no covariance to adapt: a second one that nothing depends on
            mean = np.zeros(max(2, self.space.size))
            mean[: self.space.size] = state.theta
            self._engine = CMA(mean=mean, sigma=0.5 * self.space.unit, seed=start)
        found = []
        for _ in range(self._engine.population_size):
            point = self._engine.ask()
            loss = self.objective.measure(self.space.apply(point[: self.space.size]), which).loss
            found.append((point, loss))
        self._engine.tell(found)
        moved = self._engine.mean[: self.space.size] - state.theta
        if not np.isfinite(moved).all():
            raise LossError("The search left all bounds.", hint="The adapter in use stays.")
        return Move(tuple(single(float(value)) for value in moved), tuple(which))

    @property
    def cost(self) -> int:
        """Evaluations of a generation."""
        return 4 + int(3 * math.log(max(2, self.space.size)))
