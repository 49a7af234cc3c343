"""Multinomial logistic regression where some rows are only known to be one of several kinds.

The loss of a row is the negative log of the share of the kinds it may be of, and as much again for being hard or not:
that is what the figure is used for. Full-batch Adam on some 10,000 rows; weights decay towards 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STEPS = 250
RATE = 0.02
DECAY = 2e-4


def fit(
    features: NDArray[np.float32],
    allowed: NDArray[np.float32],
    hard: NDArray[np.bool_],
    importance: NDArray[np.float32],
    *,
    decay: float = DECAY,
    steps: int = STEPS,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (kinds, features) and bias (kinds).

    Args:
        features: Shape (rows, features).
        allowed: Shape (rows, kinds): 1 for each kind the row may be of.
        hard: Shape (kinds): the kinds that are hard.
        importance: Shape (rows): what each row counts.
        decay: Half the weight of the squared weights in the mean loss.
    """
    rows, kinds = allowed.shape
    same = (allowed @ hard.astype(np.float32) > 0)[:, None] == hard[None, :]  # kinds as hard as the row
    x = np.hstack([features, np.ones((rows, 1), np.float32)])
    weights = np.zeros((kinds, x.shape[1]), np.float32)
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    share = (importance / importance.sum())[:, None]
    for step in range(1, steps + 1):
        scores = x @ weights.T
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        of_kind, of_side = p * allowed, p * same
        of_kind /= of_kind.sum(axis=1, keepdims=True) + 1e-9
        of_side /= of_side.sum(axis=1, keepdims=True) + 1e-9
        gradient = ((2 * p - of_kind - of_side) * share).T @ x
        gradient[:, :-1] += decay * weights[:, :-1]
        mean += 0.1 * (gradient - mean)
        square += 0.01 * (gradient**2 - square)
        rate = RATE * min(1.0, 2 * (1 - step / (steps + 1)))
        weights -= rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.99**step)) + 1e-8)
    return weights[:, :-1], weights[:, -1]
