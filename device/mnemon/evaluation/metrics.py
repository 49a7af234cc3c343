"""Figures that say how good and how fast something is."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence


def recall_at(ranked: Sequence[str], relevant: Collection[str], k: int) -> float:
    """The share of ``relevant`` among the first ``k`` of ``ranked``, in [0, 1].

    Raises:
        ValueError: Nothing is relevant: such a question cannot be counted.
    """
    if not relevant:
        raise ValueError("recall needs something relevant")
    return len(set(ranked[:k]) & set(relevant)) / len(set(relevant))


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; 0 of nothing."""
    return math.fsum(values) / len(values) if values else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value at least ``share`` (0 to 1) of all values do not exceed; 0 of nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
