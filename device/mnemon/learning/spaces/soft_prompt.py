"""How much of each of a few directions among the words goes into vectors that stand before the answer.

llama.cpp gives no gradient to its input, so that a soft prompt of thousands of free numbers is out of reach here;
mixing weights over a bank are few (FIELD C3: encoders are trained elsewhere, the device mixes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.learning.spaces.space import Theta
    from mnemon.runtime.adapters import Active, SoftPrompt


@dataclass(frozen=True, slots=True, eq=False)
class SoftPromptMix:
    """``vectors * rows of the bank`` numbers: the weights of the first vector, then those of the next.

    Attributes:
        bank: Shape (r, width), in the space of the token embeddings.
        vectors: How many stand before the answer.
    """

    bank: NDArray[np.float32]
    vectors: int = 1
    name = "soft prompt"
    unit = 0.5

    @property
    def size(self) -> int:
        """Weights of all vectors."""
        return self.vectors * len(self.bank)

    @property
    def parameters(self) -> dict[str, Any]:
        """How many vectors; the bank is made again from the examples' words."""
        return {"vectors": self.vectors, "rows": len(self.bank)}

    def apply(self, theta: Theta) -> Active:
        """One soft prompt; with theta 0 there is none, not one of zeros, so that the base is the base."""
        return ((self.export(theta), 1.0),) if theta.any() else ()

    def along(self, theta: Theta, direction: Theta) -> Callable[[float], Active]:
        """Sums are made here."""
        return lambda t: self.apply(theta + t * direction)

    def export(self, theta: Theta) -> SoftPrompt:
        """The vectors in single precision, row of the bank after row."""
        import numpy as np

        from mnemon.runtime.adapters import SoftPrompt

        weights = theta.reshape(self.vectors, len(self.bank))
        values = np.zeros((self.vectors, self.bank.shape[1]))
        for k, row in enumerate(self.bank):
            values = values + weights[:, k, None] * row
        return SoftPrompt(values.astype(np.float32))
