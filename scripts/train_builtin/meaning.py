"""Embeddings to start from: tokens that keep the same company lie close together.

Positive pointwise mutual information of neighbouring tokens, factorised (Levy and Goldberg, "Neural Word Embedding as
Implicit Matrix Factorization", NIPS 2014). It costs 15 s,
and a fact told with "lives" is near to a question that says "live" before any training.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_DISTANCES = (1, 2, 3)
_MEANING = 0.6
"""Share of meaning in a direction; the rest is random, so that no two tokens look alike to a copying head."""


def embeddings(documents: list[NDArray[np.uint16]], vocabulary: int, width: int, *, seed: int) -> Tensor:
    """Directions for every token, shape (vocabulary, width), unit length."""
    random = torch.Generator().manual_seed(seed)
    noise = torch.nn.functional.normalize(torch.randn(vocabulary, width, generator=random), dim=1)
    counts = np.zeros(vocabulary * vocabulary, np.float32)
    stream = np.concatenate(documents).astype(np.int64)
    for distance in _DISTANCES:
        pairs = stream[:-distance] * vocabulary + stream[distance:]
        where, seen = np.unique(pairs, return_counts=True)
        counts[where] += seen / distance
    table = torch.from_numpy(counts.reshape(vocabulary, vocabulary))
    both = torch.cat([table, table.T], dim=1)  # what follows, what precedes
    total = both.sum()
    expected = both.sum(1, keepdim=True) * (both.sum(0, keepdim=True) ** 0.75)
    expected *= total / expected.sum()
    information = torch.log((both + 1e-9) / (expected + 1e-9)).clamp_(min=0)
    rank = min(width, 192)
    torch.manual_seed(seed)
    left, strengths, _ = torch.svd_lowrank(information, q=rank, niter=2)
    found = left * strengths.sqrt()
    found = torch.nn.functional.normalize(found - found.mean(0), dim=1)
    spread = torch.linalg.qr(torch.randn(width, width, generator=random))[0][:rank]
    return torch.nn.functional.normalize(_MEANING * (found @ spread) + (1 - _MEANING) * noise, dim=1)
