"""Rows of a fixed length: several documents in each, best fit, so that hardly a token of a batch is padding."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from train_builtin.tokenizer import Encoded

_OPEN_ROWS = 128
"""Rows that wait for more at a time."""
_SHORTEST = 4


@dataclass(frozen=True, slots=True)
class Rows:
    """Packed documents, shape (rows, row length) each.

    Attributes:
        tokens: Token ids, 0 where nothing is.
        learned: Tokens the loss counts.
        documents: The number of the document a token belongs to, from 1 in each row; 0 where nothing is.
    """

    tokens: NDArray[np.uint16]
    learned: NDArray[np.bool_]
    documents: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.tokens)

    def save(self, path: Path) -> None:
        """Write as ``path`` (.npz)."""
        np.savez(path, tokens=self.tokens, learned=self.learned, documents=self.documents)

    @classmethod
    def load(cls, path: Path) -> Rows:
        """Read what :meth:`save` wrote."""
        with np.load(path) as stored:
            return cls(stored["tokens"], stored["learned"], stored["documents"])


def pack(documents: Iterable[Encoded], row: int, random: np.random.Generator) -> Rows:
    """Best-fit packing; documents longer than a row lose their end, rows come out in random order."""
    filled: list[list[Encoded]] = []
    waiting: list[tuple[int, int]] = []  # (room left, index in filled), sorted
    for ids, learned in documents:
        if not learned[:row].any():
            continue
        piece = ids[:row], learned[:row]
        size = len(piece[0])
        at = bisect_left(waiting, (size, 0))
        if at == len(waiting):
            if len(waiting) >= _OPEN_ROWS:
                waiting.pop(0)  # the fullest
            room, index = row, len(filled)
            filled.append([])
        else:
            room, index = waiting.pop(at)
        filled[index].append(piece)
        if room - size >= _SHORTEST and len(filled[index]) < 255:
            insort(waiting, (room - size, index))
    shape = (len(filled), row)
    rows = Rows(np.zeros(shape, np.uint16), np.zeros(shape, np.bool_), np.zeros(shape, np.uint8))
    for target, source in enumerate(random.permutation(len(filled))):
        start = 0
        for number, (ids, learned) in enumerate(filled[source], 1):
            stop = start + len(ids)
            rows.tokens[target, start:stop] = ids
            rows.learned[target, start:stop] = learned
            rows.documents[target, start:stop] = number
            start = stop
    return rows
