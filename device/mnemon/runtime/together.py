"""Several sequences in one decode, and vectors where words would stand: batches that are put together anew each time.

An :class:`~mnemon.runtime.engine.Engine` decodes one sequence at a time from arrays made once. Scoring wants the
answers of many examples in one decode: the weights are read from memory once for all of them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mnemon.runtime import native

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.runtime.engine import Engine

VECTOR = -1
"""Stands in the engine's lists for a position that holds a vector instead of a token."""

_Pointer = ctypes.POINTER(ctypes.c_int32)


class Together:
    """Batches over several sequences of one engine.

    Args:
        engine: Its ``batch`` is the most that one decode takes.
        sequences: How many it has.
    """

    def __init__(self, engine: Engine, sequences: int) -> None:
        self._engine = engine
        size = engine.batch
        self._tokens = (ctypes.c_int32 * size)()
        self._pos = (ctypes.c_int32 * size)()
        self._counts = (ctypes.c_int32 * size)(*([1] * size))
        self._logits = (ctypes.c_int8 * size)()
        self._numbers = [(ctypes.c_int32 * 1)(i) for i in range(sequences)]
        self._pointers = [ctypes.cast(number, _Pointer) for number in self._numbers]
        self._ids = (_Pointer * size)()

    def decode(self, parts: Sequence[tuple[int, Sequence[int]]]) -> None:
        """Append tokens to sequences, each named once; the logits after every token are ready, in this order.

        Raises:
            DecodeAborted: The flag was raised. All sequences are as they were.
            CacheFull: No room. All sequences are as they were.
        """
        tokens: list[ctypes.c_int32 | int] = [token for _, part in parts for token in part]
        self._tokens[: len(tokens)] = tokens
        self._place([(sequence, len(part)) for sequence, part in parts])
        ctypes.memset(self._logits, 1, len(tokens))
        batch = native.library().llama_batch(
            n_tokens=len(tokens),
            token=self._tokens,
            pos=self._pos,
            n_seq_id=self._counts,
            seq_id=self._ids,
            logits=self._logits,
        )
        if status := self._engine.run(batch):
            self._engine.failed(status, *[sequence for sequence, _ in parts])
        for sequence, part in parts:
            self._engine.enter(sequence, part)

    def decode_vectors(self, sequences: Sequence[int], vectors: NDArray[np.float32]) -> None:
        """Append the same vectors, shape (n, width), to each of the sequences; no logits.

        Raises:
            DecodeAborted: The flag was raised. All sequences are as they were.
            CacheFull: No room. All sequences are as they were.
        """
        import numpy as np

        data = np.ascontiguousarray(np.tile(vectors, (len(sequences), 1)), np.float32)
        self._place([(sequence, len(vectors)) for sequence in sequences])
        ctypes.memset(self._logits, 0, len(data))
        batch = native.library().llama_batch(
            n_tokens=len(data),
            embd=data.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
            pos=self._pos,
            n_seq_id=self._counts,
            seq_id=self._ids,
            logits=self._logits,
        )
        if status := self._engine.run(batch):
            self._engine.failed(status, *sequences)
        for sequence in sequences:
            self._engine.enter(sequence, [VECTOR] * len(vectors))

    def _place(self, parts: Sequence[tuple[int, int]]) -> None:
        at = 0
        for sequence, count in parts:
            held = len(self._engine.tokens(sequence))
            self._pos[at : at + count] = list(range(held, held + count))
            self._ids[at : at + count] = [self._pointers[sequence]] * count
            at += count
