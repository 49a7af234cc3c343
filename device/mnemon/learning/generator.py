"""The random numbers of learning: the same on every machine, for ever, from a seed of 64 bits.

They are bits of the ChaCha20 keystream (RFC 8439): the key holds the seed, the nonce says what the numbers are for,
and a block counter stands for the state, so that nothing else in the program can advance or reset them. A direction
consists of +1 and -1 only (Rademacher; Spall, 1992, doi 10.1109/9.119632): no logarithm or cosine, whose last bit
differs between libraries, and a two-point slope along it scatters less than along a normal one.

Written rule of order: element ``i`` of a direction is +1 where bit ``i % 8`` (the lowest first) of keystream byte
``i // 8`` is set, else -1. Whole numbers are read as 64-bit little-endian words, those that would favour small
results being skipped.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SEEDS = 1 << 64
"""Seeds are whole numbers from 0 up to this, exclusive."""

_NAME = b"mnemon learning, form 1\0"
DIRECTION, BATCH, BOOTSTRAP, CHOICE, FROZEN = range(5)
"""What numbers are for; streams for different purposes have nothing in common."""
_WORDS = 64


class Stream:
    """One stream of random numbers.

    Args:
        seed: In [0, 2**64).
        purpose: One of the constants above.
        number: Which stream of that kind, in [0, 2**64): the number of a direction within a step, say.
    """

    def __init__(self, seed: int, purpose: int, number: int = 0) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher
        from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

        key = struct.pack("<Q", seed) + _NAME
        nonce = struct.pack("<IIQ", 0, purpose, number)
        self._keystream = Cipher(ChaCha20(key, nonce), mode=None).encryptor()
        self._words: list[int] = []

    def bytes(self, count: int) -> bytes:
        """The next ``count`` bytes of the keystream."""
        return self._keystream.update(bytes(count))

    def signs(self, size: int) -> NDArray[np.float64]:
        """The next direction: ``size`` numbers, each +1.0 or -1.0."""
        import numpy as np

        bits = np.unpackbits(np.frombuffer(self.bytes(-(-size // 8)), np.uint8), count=size, bitorder="little")
        return bits.astype(np.float64) * 2.0 - 1.0

    def below(self, bound: int) -> int:
        """A whole number in [0, ``bound``), all equally likely; ``bound`` is at most 2**63."""
        limit = SEEDS - SEEDS % bound
        while True:
            if not self._words:
                self._words = list(struct.unpack(f"<{_WORDS}Q", self.bytes(8 * _WORDS)))[::-1]
            if (word := self._words.pop()) < limit:
                return word % bound

    def sample(self, size: int, count: int) -> list[int]:
        """``count`` different numbers below ``size``, in ascending order; all of them when there are not as many."""
        numbers = list(range(size))
        for i in range(min(count, size)):
            j = i + self.below(size - i)
            numbers[i], numbers[j] = numbers[j], numbers[i]
        return sorted(numbers[:count])


def direction(seed: int, number: int, size: int) -> NDArray[np.float64]:
    """Direction ``number`` of the step that has ``seed``: ``size`` signs."""
    return Stream(seed, DIRECTION, number).signs(size)
