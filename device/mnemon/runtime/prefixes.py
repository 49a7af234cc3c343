"""Where two lists of tokens agree: what a cache holds already of a prompt."""

from __future__ import annotations

import array
from collections.abc import Sequence


def common_length(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common beginning."""
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))


def find(tokens: Sequence[int], wanted: Sequence[int], start: int) -> int:
    """Where ``wanted`` occurs in ``tokens`` from ``start`` on, or -1."""
    hay, needle = array.array("i", tokens).tobytes(), array.array("i", wanted).tobytes()
    at = hay.find(needle, 4 * start)
    while at >= 0 and at % 4:
        at = hay.find(needle, at + 1)
    return at // 4 if at >= 0 else -1
