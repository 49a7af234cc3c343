"""A growing matrix of unit vectors, and the cosine of all of them with a question's.

Up to 20,000 rows it is one exact matrix product. Beyond, reading the whole matrix is what costs (154 MB for
100,000 rows), so the product is first taken in the 96 directions in which these vectors differ most, then again for
the best fiftieth with all 384 numbers, which are kept in eight bits each: 77 MB for 100,000 rows. On real talk the
first step keeps 99.8 % of the exact first ten, for a third of the time; eight bits move a cosine by 0.003 at most.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mnemon.memory.embedding import DIMENSIONS

_EXACT_UP_TO = 20_000
_DIRECTIONS = 96
_REFINED = 50  # one in so many …
_MOST_REFINED = 5000  # … but no more: reading rows here and there costs 1 ms for 2,000 of them
_SAMPLE = 5000
_BLOCK = 2048


class Vectors:
    """Rows of 384 numbers: float32 up to 20,000 of them, then eight bits and a scale for each row."""

    def __init__(self) -> None:
        self._count = 0
        self._rows = np.zeros((0, DIMENSIONS), np.float32)
        self._scales = np.zeros(0, np.float32)  # of eight-bit rows
        self._basis: np.ndarray | None = None
        self._coarse = np.zeros((0, _DIRECTIONS), np.float32)

    def __len__(self) -> int:
        return self._count

    def append(self, rows: np.ndarray) -> None:
        """Add rows at the end."""
        self._grow(self._count + len(rows), [rows])
        for start in range(0, len(rows), _BLOCK):
            block = np.asarray(rows[start : start + _BLOCK], np.float32)
            here = slice(self._count, self._count + len(block))
            if self._basis is None:
                self._rows[here] = block
            else:
                self._rows[here], self._scales[here] = quantized(block)
                self._coarse[here] = block @ self._basis
            self._count += len(block)

    def wants_sample(self, more: int) -> bool:
        """Whether with so many more rows it will be time to choose the directions of the first step."""
        return self._basis is None and self._count + more > _EXACT_UP_TO

    def make_room(self, more: int, sample: Sequence[tuple[np.ndarray, np.ndarray]] = ()) -> None:
        """Room for so many more rows at once: growing step by step copies them, and leaves holes in memory.

        Args:
            more: Rows.
            sample: Some of them, as :func:`quantized` makes them.
        """
        self._grow(self._count + more, [_widened(*each) for each in sample])

    def append_packed(self, rows: np.ndarray, scales: np.ndarray) -> None:
        """Add rows at the end that have eight bits already, as :func:`quantized` makes them."""
        if self._basis is None:
            self.append(_widened(rows, scales))
            return
        self._grow(self._count + len(rows))
        end = self._count + len(rows)
        self._rows[self._count : end], self._scales[self._count : end] = rows, scales
        for start in range(0, len(rows), _BLOCK):
            part = slice(start, start + _BLOCK)
            at = self._count + start
            found = rows[part].astype(np.float32) @ self._basis
            found *= scales[part, None]
            self._coarse[at : at + len(found)] = found
        self._count = end

    def put(self, position: int, row: np.ndarray) -> None:
        """Replace one row."""
        if self._basis is None:
            self._rows[position] = row
            return
        packed, scale = quantized(row[None])
        self._rows[position], self._scales[position] = packed[0], scale[0]
        self._coarse[position] = row @ self._basis

    def blank(self, positions: np.ndarray) -> None:
        """Overwrite rows with zeros: nothing of them is left in memory."""
        self._rows[positions] = 0
        if self._basis is not None:
            self._scales[positions] = 0
            self._coarse[positions] = 0

    def row(self, position: int) -> np.ndarray:
        """One row."""
        if self._basis is None:
            found: np.ndarray = self._rows[position]
            return found
        return _widened(self._rows[position], self._scales[position])

    def exact(self, positions: np.ndarray, meaning: np.ndarray) -> np.ndarray:
        """The cosines of these rows; beyond 20,000 rows within 0.003."""
        if self._basis is None:
            return np.asarray(self._rows[positions] @ meaning, np.float32)
        return np.asarray((self._rows[positions].astype(np.float32) @ meaning) * self._scales[positions], np.float32)

    def cosines(self, meaning: np.ndarray) -> np.ndarray:
        """The cosine of every row with ``meaning``; beyond 20,000 rows exact for the highest fiftieth only."""
        if self._basis is None:
            return np.asarray(self._rows[: self._count] @ meaning, np.float32)
        found = np.asarray(self._coarse[: self._count] @ (meaning @ self._basis), np.float32)
        sample = found[::16]  # where the highest fiftieth begins need not be exact
        wanted = max(1, min(len(sample) // _REFINED, _MOST_REFINED // 16))
        best = np.flatnonzero(found >= np.partition(sample, -wanted)[-wanted])
        found[best] = self.exact(best, meaning)
        return found

    def _grow(self, rows: int, sample: Sequence[np.ndarray] = ()) -> None:
        """Make room; past 20,000 rows change over to eight bits."""
        if self._basis is None and rows > _EXACT_UP_TO:
            old = self._rows[: self._count]
            self._basis = _main_directions([old, *sample])
            self._rows, self._scales = quantized(old)
            self._coarse = np.asarray(old @ self._basis, np.float32)
        self._rows = _with_room(self._rows, rows)
        if self._basis is not None:
            self._scales = _with_room(self._scales, rows)
            self._coarse = _with_room(self._coarse, rows)


def quantized(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of float32 as rows of int8 and the factor that gives each of them back."""
    scales = np.asarray(np.abs(rows).max(axis=1, initial=0.0) / 127, np.float32)
    safe = np.where(scales > 0, scales, np.float32(1))
    return np.rint(rows / safe[:, None]).astype(np.int8), scales


def _widened(rows: np.ndarray, scales: np.ndarray) -> np.ndarray:
    return rows.astype(np.float32) * np.asarray(scales, np.float32)[..., None]


def _main_directions(pieces: Sequence[np.ndarray]) -> np.ndarray:
    """The directions in which these rows differ most; any, when there are too few to tell."""
    step = max(1, sum(map(len, pieces)) // _SAMPLE)
    sample = np.concatenate([np.asarray(piece[::step], np.float32) for piece in pieces])
    if len(sample) < _DIRECTIONS:
        return np.eye(DIMENSIONS, _DIRECTIONS, dtype=np.float32)
    _, directions = np.linalg.eigh(sample.T @ sample)
    return np.ascontiguousarray(directions[:, -_DIRECTIONS:], np.float32)


def _with_room(array: np.ndarray, rows: int) -> np.ndarray:
    """The same rows in an array with room for ``rows``; a tenth more than that when it has to grow a second time."""
    if rows <= len(array):
        return array
    wider = np.zeros((max(rows, len(array) * 11 // 10, 64), *array.shape[1:]), array.dtype)
    wider[: len(array)] = array
    return wider
