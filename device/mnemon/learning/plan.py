"""What a lesson reads before its first step, and how much of it there is time for.

Everything read costs one decode of its prompt, on a busy laptop up to a second. So the examples are read in pieces,
the newest first, while the clock runs: what there is no time for is not learned from, and as many held-out
conversations are asked as the gate can go through with time left for steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnemon.errors import LearningError, LossError, TooFewExamplesError
from mnemon.learning import gate
from mnemon.learning.examples import Example
from mnemon.learning.selection import MOST, plausible, select

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.learning.progress import Clock
    from mnemon.runtime.chat_model import ChatModel

_TEMPLATE_TOKENS = 16
"""That a chat template puts around a message, at most."""
_READ_SHARE = 0.15
"""Of the budget, for reading what is learned from."""
_TEST_SHARE = 1 / 8
"""Of the budget, for reading what is tested on once; the gate reads it three times more."""
_PIECE = 8


@dataclass(slots=True)
class Plan:
    """The examples of a lesson, in the order of the objective's numbers: learn, held out, general."""

    learn: list[Example]
    held_out: list[Example]
    general: list[Example]

    @property
    def all(self) -> list[Example]:
        """Every one of them."""
        return [*self.learn, *self.held_out, *self.general]

    @property
    def held_out_numbers(self) -> range:
        """The numbers of those held out."""
        return range(len(self.learn), len(self.learn) + len(self.held_out))

    @property
    def general_numbers(self) -> range:
        """The numbers of the general set."""
        first = len(self.learn) + len(self.held_out)
        return range(first, first + len(self.general))


def make_plan(
    examples: Sequence[Example],
    general: Sequence[Example],
    model: ChatModel,
    key: bytes,
    *,
    embed: Callable[[Sequence[str]], NDArray[np.float32]] | None = None,
    clock: Clock | None = None,
    again: Sequence[Collection[str]] = (),
) -> Plan:
    """Choose what a lesson learns from and is tested on.

    Args:
        examples: All there are, the oldest first.
        general: The general set.
        model: Reads them.
        key: Of the split.
        embed: Gives texts' meanings, to choose among more examples than a lesson takes.
        clock: Runs while examples are read; without one all are.
        again: Ids that lessons which were cut off learned from, the longest first. The first of them that are all
            still there are taken as they are, so that its steps can be gone on from.

    Raises:
        TooFewExamplesError: There is too little to learn from or to test on.
        LearningError: The time does not suffice for a test that proves anything.
        LossError: The model's loss is no number.
    """
    readable = [example for example in examples if _fits(example, model)]
    learn, held_out = gate.split(readable, key)
    asked = [readable[i] for i in held_out[-MOST:]]
    if len(learn) < gate.FEWEST_TO_LEARN or _conversations(asked) < gate.FEWEST_CONVERSATIONS:
        talks = _conversations(asked)
        raise TooFewExamplesError(
            f"There {'is' if len(learn) == 1 else 'are'} {len(learn)} example{'s'[: len(learn) != 1]} to learn from"
            f" and {talks} conversation{'s'[: talks != 1]} to test on;"
            f" {gate.FEWEST_TO_LEARN} and {gate.FEWEST_CONVERSATIONS} are needed.",
            hint="Edit answers, pick one of two, or give thumbs for a while, in several conversations.",
        )
    some = [readable[i] for i in learn]
    by_id = {example.id: example for example in some}
    for ids in again:
        if ids and all(id in by_id for id in ids):
            return Plan([by_id[id] for id in ids], asked, list(general))
    chosen, pace = _read(some, model, clock)
    if clock is not None:
        asked = _affordable(asked, len(general), pace, clock.budget.seconds)
    if len(chosen) > MOST:
        chosen = [chosen[i] for i in select(chosen, embed)] if embed else chosen[-MOST:]
    return Plan(chosen, asked, list(general))


def _fits(example: Example, model: ChatModel) -> bool:
    """Whether the model can read it in one piece; what it was told in a larger window it may not."""
    count = model.count_tokens
    answer = max(count(example.chosen), count(example.rejected or ""))
    prompt = sum(count(message.content) + _TEMPLATE_TOKENS for message in example.prompt)
    return prompt + answer + _TEMPLATE_TOKENS <= model.info.context_tokens


def _read(examples: Sequence[Example], model: ChatModel, clock: Clock | None) -> tuple[list[Example], float]:
    """The newest there is time for, without what is no language to the base; seconds that one of them took.

    A slip of the paste key teaches nothing.
    """
    losses: list[float] = []
    newest = list(reversed(examples))
    began = clock.seconds if clock else 0.0
    until = began + _READ_SHARE * clock.budget.seconds if clock else 0.0
    with model.scorer([(example.prompt, example.chosen) for example in newest]) as scorer:
        for start in range(0, len(newest), _PIECE):
            if clock and start and (clock.stop.is_set() or clock.seconds > until):
                break
            piece = range(start, min(start + _PIECE, len(newest)))
            losses += [-float(found.mean()) if len(found) else 0.0 for found in scorer.scores((), piece)]
    if not all(map(math.isfinite, losses)):
        raise LossError("The model's own loss is no number.", hint="The adapter in use stays; is the model whole?")
    pace = (clock.seconds - began) / len(losses) if clock else 0.0
    read = newest[: len(losses)]
    return [read[i] for i in reversed(plausible(read, losses))], pace


def _affordable(asked: Sequence[Example], general: int, pace: float, seconds: float) -> list[Example]:
    """The newest held-out examples that the gate can go through.

    Raises:
        LearningError: They are of too few conversations to prove anything.
    """
    count = len(asked) if pace <= 0 else min(len(asked), int(_TEST_SHARE * seconds / pace) - general)
    some = list(asked[len(asked) - count :]) if count > 0 else []
    if _conversations(some) >= gate.FEWEST_CONVERSATIONS:
        return some
    fewest = next(n for n in range(1, len(asked) + 1) if _conversations(asked[-n:]) >= gate.FEWEST_CONVERSATIONS)
    needed = (fewest + general + 1) * pace / _TEST_SHARE
    raise LearningError(
        f"The time is too short: this machine takes {pace:.1f} s to read an example now.",
        hint=f"Give it {max(1, -(-needed // 60)):.0f} minutes or more, or close what keeps the processor busy.",
    )


def _conversations(examples: Sequence[Example]) -> int:
    return len({example.conversation for example in examples})
