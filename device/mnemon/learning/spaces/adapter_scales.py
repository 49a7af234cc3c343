"""How strongly each of several adapters is on: two numbers for a personal one and one shared by everybody.

The mixture of FDLoRA (arXiv 2406.07925), whose weights are found without gradients as here. A journal names the
adapters by the SHA-256 of their files and holds none of their numbers: whoever keeps the bank makes the space again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Self

from mnemon.errors import JournalError, LearningError

if TYPE_CHECKING:
    from mnemon.learning.spaces.space import Theta
    from mnemon.runtime.adapters import Active, Adapter


@dataclass(frozen=True, slots=True, eq=False)
class AdapterScales:
    """One number for each adapter of a bank.

    Attributes:
        bank: LoRAs and steering vectors that fit the base.
    """

    bank: Sequence[Adapter]
    name = "adapter scales"
    unit = 0.5

    @classmethod
    def again(cls, wanted: Sequence[str], bank: Sequence[Adapter]) -> Self:
        """The space of those adapters of ``bank`` whose files have the SHA-256s ``wanted``, in that order.

        Raises:
            JournalError: One of them is not there.
        """
        there = {_digest(adapter): adapter for adapter in bank}
        try:
            return cls([there[digest] for digest in wanted])
        except KeyError:
            raise JournalError(
                "An adapter that a version mixes is not there any more.", hint="Go back: `mnemon learn rollback`."
            ) from None

    @property
    def size(self) -> int:
        """Adapters in the bank."""
        return len(self.bank)

    @property
    def parameters(self) -> dict[str, Any]:
        """SHA-256 of each adapter's file, in hexadecimal."""
        return {"bank": [_digest(adapter) for adapter in self.bank]}

    def apply(self, theta: Theta) -> Active:
        """Every adapter with its scale."""
        return tuple((adapter, float(scale)) for adapter, scale in zip(self.bank, theta, strict=True))

    def along(self, theta: Theta, direction: Theta) -> Callable[[float], Active]:
        """Nothing is loaded again: only scales change."""
        return lambda t: self.apply(theta + t * direction)

    def export(self, theta: Theta) -> Adapter:
        """Several adapters are not one."""
        raise LearningError(
            f"A mixture of {self.size} adapters is no single adapter.", hint="Export the adapters one by one."
        )


def _digest(adapter: Adapter) -> str:
    from mnemon.runtime.adapter_file import to_bytes

    return sha256(to_bytes(adapter, "")).hexdigest()
