"""What a lesson came to, measured for the gate on examples that it did not learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from mnemon.learning import gate

if TYPE_CHECKING:
    from mnemon.learning.objectives import FromScores, Measured
    from mnemon.learning.plan import Plan
    from mnemon.runtime.adapters import Active

_ALL = slice(None)


@dataclass(slots=True)
class Known:
    """What the gate compares with, measured once at the beginning.

    Attributes:
        before: Held-out examples under the adapter in use.
        general: The general set under the base.
    """

    before: Measured
    general: Measured

    @classmethod
    def of(cls, plan: Plan, objective: FromScores, active: Active) -> Self:
        """Measured now, with ``active`` in use."""
        before = objective.measure(active, plan.held_out_numbers)
        return cls(before, objective.measure((), plan.general_numbers))

    def harm(self, plan: Plan, objective: FromScores, active: Active, places: slice = _ALL) -> float:
        """By which share of itself the loss of general examples grows over the base's."""
        some = range(len(plan.general_numbers))[places]
        base = self.general.of(some).loss
        return objective.measure(active, plan.general_numbers[places]).loss / base - 1 if base else 0.0


def judge(plan: Plan, objective: FromScores, known: Known, after: Active, *, look: int) -> gate.Verdict:
    """Ask the gate about ``after``; of the general set the half that is not rehearsed is asked."""
    unrehearsed = slice(1, None, 2) if len(plan.general) > 1 else _ALL
    return gate.judge(
        [example.conversation for example in plan.held_out],
        known.before,
        objective.measure(after, plan.held_out_numbers),
        general=known.harm(plan, objective, after, unrehearsed),
        look=look,
    )
