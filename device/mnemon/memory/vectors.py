"""A growing matrix of unit vectors, and the cosine of all of them with a question's.

Up to 20,000 rows they are exact. Beyond, reading the whole matrix is what costs (154 MB for 100,000 rows), so its
numbers are kept in eight bits each (38 MB) and multiplied as they are, with the question in eight bits too.

Products are SimSIMD's: numpy cannot multiply eight-bit numbers without widening them first, and its BLAS has threads
of its own, which keep spinning after a product on a core that the rest of the search has work for.
"""

from __future__ import annotations

from concurrent.futures import Executor

import numpy as np

from mnemon.memory.embedding import DIMENSIONS

_EXACT_UP_TO = 20_000
_BLOCK = 2048
_SHARED_FROM = 10_000_000  # bytes: handing half of them to another thread costs 0.1 ms, reading so many 0.3 to 1


class Vectors:
    """Rows of 384 numbers: float32 up to 20,000 of them, then eight bits and a scale for each row."""

    def __init__(self) -> None:
        self._count = 0
        self._rows = np.zeros((0, DIMENSIONS), np.float32)
        self._scales = np.zeros(0, np.float32)  # of eight-bit rows

    def __len__(self) -> int:
        return self._count

    @property
    def _in_eight_bits(self) -> bool:
        return self._rows.dtype == np.int8

    def append(self, rows: np.ndarray) -> None:
        """Add rows at the end."""
        self.make_room(len(rows))
        for start in range(0, len(rows), _BLOCK):
            block = np.asarray(rows[start : start + _BLOCK], np.float32)
            here = slice(self._count, self._count + len(block))
            if self._in_eight_bits:
                self._rows[here], self._scales[here] = quantized(block)
            else:
                self._rows[here] = block
            self._count += len(block)

    def append_packed(self, rows: np.ndarray, scales: np.ndarray) -> None:
        """Add rows at the end that have eight bits already, as :func:`quantized` makes them."""
        self.make_room(len(rows))
        if not self._in_eight_bits:
            self.append(_widened(rows, scales))
            return
        here = slice(self._count, self._count + len(rows))
        self._rows[here], self._scales[here] = rows, scales
        self._count += len(rows)

    def make_room(self, more: int) -> None:
        """Room for so many more rows at once: growing step by step copies them, and leaves holes in memory.

        With over 20,000 rows all of them change over to eight bits.
        """
        rows = self._count + more
        if rows > _EXACT_UP_TO and not self._in_eight_bits:
            self._rows, self._scales = quantized(self._rows[: self._count])
        self._rows = _with_room(self._rows, rows)
        if self._in_eight_bits:
            self._scales = _with_room(self._scales, rows)

    def put(self, position: int, row: np.ndarray) -> None:
        """Replace one row."""
        if self._in_eight_bits:
            packed, scale = quantized(row[None])
            self._rows[position], self._scales[position] = packed[0], scale[0]
        else:
            self._rows[position] = row

    def blank(self, positions: np.ndarray) -> None:
        """Overwrite rows with zeros: nothing of them is left in memory."""
        self._rows[positions] = 0
        if self._in_eight_bits:
            self._scales[positions] = 0

    def row(self, position: int) -> np.ndarray:
        """One row."""
        found: np.ndarray = self._rows[position]
        return _widened(found, self._scales[position]) if self._in_eight_bits else found

    def exact(self, positions: np.ndarray, meaning: np.ndarray) -> np.ndarray:
        """The cosines of these rows; beyond 20,000 rows within 0.003."""
        found = dots(self._rows[positions].astype(np.float32, copy=False), meaning)
        return found * self._scales[positions] if self._in_eight_bits else found

    def cosines(self, meaning: np.ndarray, beside: Executor | None = None) -> np.ndarray:
        """The cosine of every row with ``meaning``; beyond 20,000 rows within 0.005.

        Args:
            meaning: The question's vector.
            beside: Of many rows it goes through half, while this thread goes through the others.
        """
        if beside is None or self._rows[: self._count].nbytes < _SHARED_FROM:
            return self._between(0, self._count, meaning)
        middle = self._count // 2
        half = beside.submit(self._between, 0, middle, meaning)
        rest = self._between(middle, self._count, meaning)
        return np.concatenate((half.result(), rest))

    def _between(self, start: int, end: int, meaning: np.ndarray) -> np.ndarray:
        if not self._in_eight_bits:
            return dots(self._rows[start:end], meaning)
        packed, scale = quantized(meaning[None])
        found = dots(self._rows[start:end], packed[0])
        found *= self._scales[start:end]
        found *= scale
        return found


def dots(rows: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The dot product of each row with ``vector``, both of float32 or both of int8, as float32 (n,). Other threads
    run meanwhile."""
    import simsimd

    if not len(rows):
        return np.empty(0, np.float32)
    # Not with ``out``: at every such call simsimd 6.5 gives away a reference to None that is not its own.
    return np.array(simsimd.cdist(rows, vector[None], "dot", out_dtype="float32"))[:, 0]


def quantized(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of float32 as rows of int8 and the factor that gives each of them back."""
    scales = np.asarray(np.abs(rows).max(axis=1, initial=0.0) / 127, np.float32)
    safe = np.where(scales > 0, scales, np.float32(1))
    return np.rint(rows / safe[:, None]).astype(np.int8), scales


def _widened(rows: np.ndarray, scales: np.ndarray) -> np.ndarray:
    return rows.astype(np.float32) * np.asarray(scales, np.float32)[..., None]


def _with_room(array: np.ndarray, rows: int) -> np.ndarray:
    """The same rows in an array with room for ``rows``; a tenth more than that when it has to grow a second time."""
    if rows <= len(array):
        return array
    wider = np.zeros((max(rows, len(array) * 11 // 10, 64), *array.shape[1:]), array.dtype)
    wider[: len(array)] = array
    return wider
