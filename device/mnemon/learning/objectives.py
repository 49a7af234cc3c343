"""Towards what: how good a set of answers is under an adapter, as one number that shall get smaller.

==========  ==================================================================================================
likelihood  nats a token of the answers the owner wants
preference  direct preference optimisation (DPO, arXiv 2305.18290) against the base model, which costs no second
            model because the base is the model without the adapter; plus the likelihood of the wanted answer, so
            that both do not just get less likely (RPO, arXiv 2404.19733)
reward      minus the mean of any function of the answers the model then writes: a metric, a rule, a judge
==========  ==================================================================================================

Each gives a numerator and a denominator for every example, so that sets and conversations are added up alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from mnemon.errors import LossError
from mnemon.learning.examples import Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.runtime.adapters import Active
    from mnemon.runtime.chat_model import AnswerScorer, ChatMessage

    Floats = NDArray[np.float64]

Kind = Literal["likelihood", "preference"]

_BETA = 0.1
"""How strongly DPO holds on to the base, per nat of a whole answer: the paper's value."""
_LIKELIHOOD_SHARE = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Losses of some examples.

    Attributes:
        totals: Nats of each (or minus its reward).
        weights: Tokens of each (or 1).
    """

    totals: Floats
    weights: Floats

    @property
    def loss(self) -> float:
        """The whole set's: totals by weights.

        Raises:
            LossError: It is no number.
        """
        loss = float(self.totals.sum()) / float(self.weights.sum() or 1.0)
        if not math.isfinite(loss):
            raise LossError(f"The loss came out as {loss}.", hint="The adapter in use stays; try another space.")
        return loss

    def of(self, which: Sequence[int]) -> Measured:
        """Some of them, by their place in this list."""
        return Measured(self.totals[list(which)], self.weights[list(which)])


class Objective(Protocol):
    """Measures examples, named by their numbers, under an adapter.

    Attributes:
        evaluations: Sets measured so far.
    """

    evaluations: int

    def measure(self, active: Active, which: Sequence[int]) -> Measured:
        """Losses of the examples ``which``, in that order."""


def texts(examples: Sequence[Example]) -> list[tuple[tuple[ChatMessage, ...], str]]:
    """What a scorer has to hold for :class:`FromScores`: the wanted answers, then those not wanted."""
    wanted = [(example.prompt, example.chosen) for example in examples]
    return wanted + [(example.prompt, example.rejected) for example in examples if example.rejected]


@dataclass(slots=True)
class FromScores:
    """Likelihood or preference, from log-probabilities of given answers.

    Attributes:
        scorer: Holds :func:`texts` of the examples.
        examples: In the same order.
        kind: Which of the two.
    """

    scorer: AnswerScorer
    examples: Sequence[Example]
    kind: Kind = "likelihood"
    evaluations: int = 0
    _rejected: dict[int, int] = field(init=False)
    _base: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with_other = (i for i, example in enumerate(self.examples) if example.rejected)
        self._rejected = {i: len(self.examples) + place for place, i in enumerate(with_other)}

    def measure(self, active: Active, which: Sequence[int]) -> Measured:
        """Losses of the examples ``which``, in that order."""
        import numpy as np

        self.evaluations += 1
        if self.kind == "likelihood":
            found = self.scorer.scores(active, which)
            return Measured(
                np.array([-float(scores.sum(dtype=np.float64)) for scores in found]),
                np.array([float(len(scores)) for scores in found]),
            )
        wanted = [*which, *(self._rejected[i] for i in which if i in self._rejected)]
        now = dict(zip(wanted, self.scorer.scores(active, wanted), strict=True))
        if missing := [i for i in wanted if i not in self._base]:
            for i, scores in zip(missing, self.scorer.scores((), missing), strict=True):
                self._base[i] = float(scores.sum(dtype=np.float64))
        return Measured(np.array([self._preference(i, now) for i in which]), np.ones(len(which)))

    def _preference(self, i: int, now: dict[int, NDArray[np.float32]]) -> float:
        import numpy as np

        chosen = float(now[i].sum(dtype=np.float64))
        margin = loss = 0.0
        if len(now[i]):
            margin += chosen - self._base[i]
            loss -= _LIKELIHOOD_SHARE * chosen / len(now[i])
        if (other := self._rejected.get(i)) is not None:
            margin -= float(now[other].sum(dtype=np.float64)) - self._base[other]
            loss += _softplus(-_BETA * margin)
        return loss


@dataclass(slots=True)
class FromReward:
    """Minus the mean reward of what the model writes.

    Attributes:
        answer: Writes an answer to a prompt under an adapter; the same for the same arguments (greedy, or with a
            fixed seed), so that two points of a slope differ by their adapters alone.
        reward: Of a prompt and its answer, any number; more is better.
        examples: Give the prompts.
    """

    answer: Callable[[Sequence[ChatMessage], Active], str]
    reward: Callable[[Sequence[ChatMessage], str], float]
    examples: Sequence[Example]
    evaluations: int = 0

    def measure(self, active: Active, which: Sequence[int]) -> Measured:
        """Losses of the examples ``which``, in that order."""
        import numpy as np

        self.evaluations += 1
        prompts = [self.examples[i].prompt for i in which]
        rewards = [self.reward(prompt, self.answer(prompt, active)) for prompt in prompts]
        return Measured(-np.array(rewards, np.float64), np.ones(len(rewards)))


def kind_for(examples: Sequence[Example]) -> Kind:
    """Preference where a good part of the examples only say what is not wanted, else likelihood."""
    without = sum(not example.chosen.strip() for example in examples)
    return "preference" if 4 * without > len(examples) else "likelihood"


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))
