"""What a decode of one sequence reads, laid out for llama.cpp once: C arrays, and a ``llama_batch`` a sequence.

A decode fills in tokens and positions and says how many there are. Building the arrays for each token cost more than
the sampling. Batches over several sequences are :mod:`mnemon.runtime.together`.
"""

from __future__ import annotations

import ctypes

from mnemon.runtime import native

_Pointer = ctypes.POINTER(ctypes.c_int32)


class Batches:
    """One batch for each sequence, all over the same arrays.

    Args:
        size: Tokens a batch can hold.
        sequences: How many sequences there are, numbered from 0.

    Attributes:
        tokens: The tokens of the next decode.
        positions: Where in the sequence each stands.
        logits: For each token, whether its logits are wanted (1 or 0).
        native: The ``llama_batch`` of each sequence; its ``n_tokens`` says how many of the above count.
    """

    def __init__(self, size: int, sequences: int) -> None:
        self.tokens = (ctypes.c_int32 * size)()
        self.positions = (ctypes.c_int32 * size)()
        self.logits = (ctypes.c_int8 * size)()
        counts = (ctypes.c_int32 * size)(*([1] * size))  # each token belongs to one sequence
        self._numbers = [(ctypes.c_int32 * 1)(number) for number in range(sequences)]
        ids = [(_Pointer * size)(*([ctypes.cast(number, _Pointer)] * size)) for number in self._numbers]
        self.native = [
            native.library().llama_batch(
                n_tokens=0,
                token=self.tokens,
                pos=self.positions,
                n_seq_id=counts,
                seq_id=each,
                logits=self.logits,
            )
            for each in ids
        ]
        self._kept = (counts, ids)  # as long as the batches point to them
