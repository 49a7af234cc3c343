"""Conversations that rest on memory, made up without end: what the built-in chat model is trained on.

Every conversation comes from the same seed in the same way, and the values of the two splits never meet.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from train_builtin.conversations import chatter, duties, manners, memories
from train_builtin.conversations.scene import Conversation, Scene, World
from train_builtin.conversations.values import Split

__all__ = ["KINDS", "Conversation", "generate"]

KINDS: dict[str, tuple[Callable[[World], Scene], float]] = {
    "recall": (memories.recall, 30),
    "unknown": (memories.not_known, 13),
    "in_conversation": (memories.telling, 13),
    "acknowledge": (memories.acknowledging, 2),
    "update": (memories.update, 15),
    "list": (memories.listing, 6),
    "dated": (memories.dated, 8),
    "style": (manners.style, 3),
    "advice": (manners.advice, 2),
    "extraction": (duties.extract, 17),
    "profile": (duties.profile, 4),
    "smalltalk": (chatter.small, 4),
    "meta": (chatter.meta, 3),
    "hard": (chatter.hard, 4),
    "copy": (duties.copy, 6),
}
"""Each kind with its share of the conversations."""


def generate(seed: int, *, split: Split, pieces: Sequence[str] = ()) -> Iterator[Conversation]:
    """Conversations without end, the same ones for the same seed.

    Args:
        seed: Which ones.
        split: Whose values they have: ``train`` to learn from, ``heldout`` to measure with.
        pieces: Parts of words, such as a vocabulary's tokens, for values that no list has.
    """
    rng = random.Random(f"{split} {seed}")
    world = World(rng, split, pieces)
    makers = [maker for maker, _ in KINDS.values()]
    shares = list(accumulate(share for _, share in KINDS.values()))
    while True:
        yield rng.choices(makers, cum_weights=shares)[0](world).lay_out(rng)
