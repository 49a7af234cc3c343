"""Batches of rows, family by family, drawn in the shares of the current phase."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from train_builtin.packing import Rows
from train_builtin.prepare import rows_path
from train_builtin.settings import Training


class Feed:
    """What one process of a run reads.

    Args:
        work: The run's folder.
        training: Its phases and seed.
        device: Where batches go.
        start: Anything that is different after a restart and in every process, so that other rows are drawn.
    """

    def __init__(self, work: Path, training: Training, device: torch.device, start: tuple[int, ...]) -> None:
        self._work, self._training, self._device = work, training, device
        self._random = np.random.default_rng((training.seed, *start))
        self._rows: dict[str, Rows] = {}
        self._order: dict[str, list[int]] = {}

    def take(self, rows: int, done: float) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens, learned and document numbers, shape (rows, length) each, at ``done`` (0..1) of the run."""
        shares = self._shares(done)
        families, weights = list(shares), np.array(list(shares.values()))
        chosen = self._random.choice(len(families), size=rows, p=weights / weights.sum())
        picked = [self._next(families[i]) for i in chosen]
        arrays = (np.stack([getattr(r, name)[i] for r, i in picked]) for name in ("tokens", "learned", "documents"))
        tokens, learned, documents = (torch.from_numpy(a).to(self._device) for a in arrays)
        return tokens.long(), learned, documents

    def _shares(self, done: float) -> Mapping[str, float]:
        phase = next((p for p in self._training.phases if done < p.until), self._training.phases[-1])
        there = {f: share for f, share in phase.shares.items() if rows_path(self._work, f).exists()}
        if not there:
            raise FileNotFoundError(f"None of {', '.join(phase.shares)} is prepared in {self._work}.")
        return there

    def _next(self, family: str) -> tuple[Rows, int]:
        if family not in self._rows:
            self._rows[family] = Rows.load(rows_path(self._work, family))
        rows = self._rows[family]
        if not self._order.get(family):
            self._order[family] = self._random.permutation(len(rows)).tolist()
        return rows, self._order[family].pop()
