"""A question's vector turned towards those of what answers it.

The embedder puts a question near to other questions; what answers it is said in other words and lies farther away.
A learned map (384 x 384, ``scripts/train_recall``) turns the question alone, so that the vectors of memories stay
what they are. It costs 15 µs a question.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from mnemon.memory.phrasing import asks, is_plain_question
from mnemon.memory.vectors import dots


def asks_something(text: str) -> bool:
    """Whether it is a question, which the map was learned for, and not words to look up or something told."""
    return is_plain_question(text) or asks(text)


def turned(meaning: np.ndarray, share: float, table: np.ndarray | None = None) -> np.ndarray:
    """The vector to look for.

    Args:
        meaning: Of a question, (384,), of length 1.
        share: 0 leaves it as it is, 1 turns it as learned.
        table: Another map than the one that comes with Mnemon, float32 (385, 384).
    """
    used = _table() if table is None else table
    there = meaning + dots(used[:-1], meaning) + used[-1]
    there /= np.linalg.norm(there)
    between = meaning + np.float32(share) * (there - meaning)
    return np.asarray(between, np.float32)


@cache
def _table() -> np.ndarray:
    import mnemon_models

    return np.ascontiguousarray(np.load(mnemon_models.towards_answers(), allow_pickle=False), np.float32)
