"""Keep it or not: an adapter is used only when it is proved to help on what it never learned from.

Examples are split once, by conversation, by a keyed hash: a conversation that is held out stays held out in every
lesson. The proof is a paired bootstrap and a randomisation test over held-out conversations of what the new adapter
gains over the one in use; beside it more than half of the conversations must gain, and the gain must not rest on the
tenth that gains most (where a poisoned answer would hide). Each further look at much the same held-out examples is
paid for by a stricter level, so that trying night after night does not pass by luck: 0.05 · 6/π² / k² at the k-th
look, 0.05 in all.

A fixed general set, plain questions with plain answers, must not get worse than the base by more than one percent.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnemon.learning.examples import Example
from mnemon.learning.generator import BOOTSTRAP, Stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.learning.objectives import Measured

LEVEL = 0.05
GENERAL_WORSE = 0.01
"""The general set's loss may grow by this share of itself."""
HELD_OUT_SHARE = 1 / 3
FEWEST_CONVERSATIONS = 6
"""Held-out conversations below which nothing can be proved: with five, luck alone has all of them gain in 1 of 32."""
FEWEST_TO_LEARN = 8

_SAMPLES = 4_000
_MOST_SAMPLES = 100_000
_TRIMMED = 0.1


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says.

    Attributes:
        accepted: Whether the new adapter is to be used.
        before: Held-out loss with the adapter in use.
        after: With the new one.
        chance: Share of bootstrap samples without a gain.
        level: What that share had to stay below.
        general: By which share of itself the general set's loss grew over the base's.
        reason: For a person, one sentence.
    """

    accepted: bool
    before: float
    after: float
    chance: float
    level: float
    general: float
    reason: str


def split(examples: Sequence[Example], key: bytes) -> tuple[list[int], list[int]]:
    """Places of the examples to learn from, and of those held out.

    A conversation's side depends on its name and ``key`` alone: it never changes, whatever else is added.

    Args:
        examples: All there are.
        key: A secret of the memory's, so that the split is the memory's own.
    """
    sides: tuple[list[int], list[int]] = ([], [])
    for i, example in enumerate(examples):
        digest = hmac.digest(key, example.conversation.encode(), "sha256")
        sides[int.from_bytes(digest[:8], "little") < HELD_OUT_SHARE * 2**64].append(i)
    return sides


def level_of(look: int) -> float:
    """The level of the ``look``-th look, from 1 on; all of them together spend :data:`LEVEL`."""
    return LEVEL * 6 / (math.pi * look) ** 2


def judge(
    conversations: Sequence[str],
    before: Measured,
    after: Measured,
    *,
    general: float,
    look: int = 1,
) -> Verdict:
    """Compare two adapters on held-out examples.

    Args:
        conversations: Of each example.
        before: With the adapter in use.
        after: With the new one, the same examples.
        general: By which share the general set's loss grew over the base's.
        look: The how-manieth time that much the same held-out examples are asked.
    """
    import numpy as np

    level = level_of(look)
    gains, weights = _by_conversation(conversations, before, after)
    better = int((gains > 0).sum())
    chance = _chance(gains, level, look)
    trimmed = np.argsort(gains / weights, kind="stable")[: max(1, math.ceil(len(gains) * (1 - _TRIMMED)))]
    old, new = before.loss, after.loss
    if general > GENERAL_WORSE:
        reason = f"Everything else got {general:.1%} worse, more than {GENERAL_WORSE:.0%}."
    elif new >= old:
        reason = "It does not help with conversations that it did not learn from."
    elif chance >= level:
        reason = f"It may be luck: {chance:.1%} of samples show no gain, and {level:.2%} are allowed."
    elif 2 * better <= len(gains) or gains[trimmed].sum() <= 0:
        reason = "Only a few conversations gain, the others do not."
    else:
        share = f"{1 - new / old:.0%}" if old > 0 else f"{old - new:.3g}"
        reason = f"{share} better on {len(gains)} conversations that it did not learn from."
        return Verdict(True, old, new, chance, level, general, reason)
    return Verdict(False, old, new, chance, level, general, reason)


def look_number(held_out: Sequence[str], earlier: Sequence[Sequence[str]]) -> int:
    """Which look this is: one more than the earlier ones that had at least half of these examples held out."""
    now = set(held_out)
    return 1 + sum(2 * len(now & set(ids)) >= len(now) for ids in earlier)


def _by_conversation(
    conversations: Sequence[str], before: Measured, after: Measured
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    import numpy as np

    names = {name: place for place, name in enumerate(dict.fromkeys(conversations))}
    gains, weights = np.zeros(len(names)), np.zeros(len(names))
    for i, conversation in enumerate(conversations):
        gains[names[conversation]] += before.totals[i] - after.totals[i]
        weights[names[conversation]] += after.weights[i]
    return gains, np.maximum(weights, 1e-9)


def _chance(gains: NDArray[np.float64], level: float, look: int) -> float:
    """How often luck alone would look like this: the more doubtful of two answers.

    The first is the share of bootstrap samples (conversations drawn with replacement) in which nothing is gained.
    With few conversations, or at a strict level, it is too sure of itself, so the second flips the signs of the gains
    at random (Fisher's randomisation test) and counts how often as much is gained: exact at every level wherever a
    gain and a loss of the same size are equally likely without learning.

    The samples are a fixed function of how many conversations there are and of the look.
    """
    import numpy as np

    count = len(gains)
    samples = min(_MOST_SAMPLES, max(_SAMPLES, math.ceil(20 / level)))
    seed = int.from_bytes(hashlib.sha256(f"{count} {look}".encode()).digest()[:8], "little")
    stream = Stream(seed, BOOTSTRAP)
    total = gains.sum()
    lost = as_much = 0
    for start in range(0, samples, _SAMPLES):
        rows = min(_SAMPLES, samples - start)
        words = np.frombuffer(stream.bytes(8 * rows * count), "<u8").reshape(rows, count)
        lost += int((gains[(words % np.uint64(count)).astype(np.int64)].sum(axis=1) <= 0).sum())
        flipped = np.where(words >> np.uint64(63), gains, -gains).sum(axis=1)
        as_much += int((flipped >= total - 1e-12 * np.abs(gains).sum()).sum())
    return max(lost / samples, (as_much + 1) / (samples + 1))
