"""Muon for the matrices, AdamW for embeddings and norms.

Muon (Keller Jordan and others, https://kellerjordan.github.io/posts/muon/, 2024) replaces a matrix's momentum by the
nearest semi-orthogonal matrix, found with five Newton-Schulz steps; every direction then learns at the same speed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from train_builtin.model import Decoder
from train_builtin.parallel import Group

_MOMENTUM = 0.95
_DECAY = 0.1
_OUTPUT_FACTOR = 0.5
"""Matrices that write into the residual stream learn at half speed: at full speed their outputs drowned the
embeddings, and with them what is to be copied."""


class Muon:
    """Steps for the matrices of a model's layers.

    Args:
        model: Whose matrices.
        rate: Learning rate at the top of the schedule; a step changes a matrix's singular values by about this.
        group: Processes that share the work: each steps its own matrices, then they are exchanged.
    """

    def __init__(self, model: Decoder, rate: float, group: Group) -> None:
        named = [(name, p) for name, p in model.layers.named_parameters() if p.dim() == 2]
        self.rate, self._group = rate, group
        self.matrices = [p for _, p in named]
        self._factors = [_OUTPUT_FACTOR if name.endswith(("out.weight", "down.weight")) else 1.0 for name, _ in named]
        self.momenta = [torch.zeros_like(p) for p in self.matrices]

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """One step at ``scale`` (0..1) of the rate; gradients are used up."""
        for i, (matrix, momentum, factor) in enumerate(zip(self.matrices, self.momenta, self._factors, strict=True)):
            gradient = matrix.grad
            if gradient is None:
                continue
            matrix.grad = None
            if not self._group.mine(i):
                continue
            momentum.lerp_(gradient, 1 - _MOMENTUM)
            direction = orthogonal(gradient.lerp(momentum, _MOMENTUM))
            shape = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
            matrix.mul_(1 - self.rate * scale * _DECAY)
            matrix.add_(direction, alpha=-self.rate * scale * factor * shape)
        self._group.exchange([m.data for m in self.matrices])

    def state(self) -> list[Tensor]:
        """What a checkpoint keeps; every process of the group must ask."""
        self._group.exchange(self.momenta)
        return self.momenta

    def restore(self, momenta: list[Tensor]) -> None:
        """Go on from :meth:`state`."""
        for mine, saved in zip(self.momenta, momenta, strict=True):
            mine.copy_(saved)


def orthogonal(matrix: Tensor) -> Tensor:
    """Nearly the nearest semi-orthogonal matrix: singular values end up between 0.7 and 1.2."""
    x = matrix.to(torch.bfloat16)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return (x.T if tall else x).float()


def adam(model: Decoder, rate: float) -> torch.optim.AdamW:
    """AdamW for what Muon leaves; each group's ``factor`` scales the rate.

    Embeddings have unit size, fifty times the usual, and take steps four times as large; the last norm sets the
    temperature of everything and moves slowly.
    """
    groups: list[dict[str, Any]] = [
        {"params": [model.embedding.weight], "factor": 4.0},
        {"params": [model.norm.weight], "factor": 0.3},
        {"params": [p for p in model.layers.parameters() if p.dim() == 1], "factor": 1.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
