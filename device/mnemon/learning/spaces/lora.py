"""A LoRA whose A is frozen and random; only B is tuned (LoRA-FA, arXiv 2308.03303).

The change of the weights is then linear in theta, so that the two points of a slope are one more LoRA at two scales:
llama.cpp loads it once a step, and nothing is loaded between the two points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mnemon.learning.generator import FROZEN, Stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.learning.spaces.space import Shape, Theta
    from mnemon.runtime.adapters import Active, Lora


@dataclass(frozen=True, slots=True, eq=False)
class LoraB:
    """The numbers of B, matrix after matrix, each (out, rank), row after row.

    Attributes:
        shape: Of the model.
        matrices: Which are changed, by llama.cpp's names.
        rank: Of each change.
    """

    shape: Shape
    matrices: tuple[str, ...]
    rank: int = 1
    name = "lora"
    unit = 0.1
    _frozen: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @classmethod
    def chosen(cls, shape: Shape, *, rank: int = 1, kinds: Sequence[str] = ("ffn_down",)) -> LoraB:
        """All matrices of some kinds but those of the first block, as a steering vector has them."""
        names = tuple(
            sorted(
                name
                for name in shape.matrices
                if name.split(".")[-2] in kinds and name.startswith("blk.") and not name.startswith("blk.0.")
            )
        )
        return cls(shape, names, rank)

    @property
    def size(self) -> int:
        """Numbers of all B."""
        return sum(self.shape.matrices[name][1] * self.rank for name in self.matrices)

    @property
    def parameters(self) -> dict[str, Any]:
        """Matrices and rank; A follows from the names."""
        return {"matrices": list(self.matrices), "rank": self.rank}

    def apply(self, theta: Theta) -> Active:
        """One LoRA."""
        return ((self.export(theta), 1.0),) if theta.any() else ()

    def along(self, theta: Theta, direction: Theta) -> Callable[[float], Active]:
        """Two LoRAs, each made once; only the second one's scale changes."""
        here, step = self.apply(theta), self.export(direction)
        return lambda t: (*here, (step, t))

    def export(self, theta: Theta) -> Lora:
        """B in single precision beside A."""
        import numpy as np

        from mnemon.runtime.adapters import Lora

        tensors, at = {}, 0
        for name in self.matrices:
            out = self.shape.matrices[name][1]
            b = theta[at : at + out * self.rank].reshape(out, self.rank).astype(np.float32)
            tensors[name] = self._a(name), b
            at += out * self.rank
        return Lora(tensors, 0.0)

    def _a(self, name: str) -> NDArray[np.float32]:
        """Signs over the root of the width: A x is about as large as one element of x."""
        import zlib

        import numpy as np

        if name not in self._frozen:
            wide = self.shape.matrices[name][0]
            signs = Stream(zlib.crc32(name.encode()), FROZEN).signs(self.rank * wide)
            self._frozen[name] = (signs / math.sqrt(wide)).reshape(self.rank, wide).astype(np.float32)
        return self._frozen[name]
