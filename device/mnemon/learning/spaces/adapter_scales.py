"""How strongly each of several adapters is on: two numbers for a personal one and one shared by everybody.

The mixture of FDLoRA (arXiv 2406.07925), whose weights are found without gradients as here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mnemon.errors import LearningError

if TYPE_CHECKING:
    from mnemon.learning.spaces.space import Theta
    from mnemon.runtime.adapters import Active, Adapter


@dataclass(frozen=True, slots=True, eq=False)
class AdapterScales:
    """One number for each adapter of a bank.

    Attributes:
        bank: The adapters, each with the name it is known by.
    """

    bank: Sequence[tuple[str, Adapter]]
    name = "adapter scales"
    unit = 0.5

    @property
    def size(self) -> int:
        """Adapters in the bank."""
        return len(self.bank)

    @property
    def parameters(self) -> dict[str, Any]:
        """Names of the adapters."""
        return {"bank": [name for name, _ in self.bank]}

    def apply(self, theta: Theta) -> Active:
        """Every adapter with its scale."""
        return tuple((adapter, float(scale)) for (_, adapter), scale in zip(self.bank, theta, strict=True))

    def along(self, theta: Theta, direction: Theta) -> Callable[[float], Active]:
        """Nothing is loaded again: only scales change."""
        return lambda t: self.apply(theta + t * direction)

    def export(self, theta: Theta) -> Adapter:
        """Several adapters are not one."""
        raise LearningError(
            f"A mixture of {self.size} adapters is no single adapter.", hint="Export the adapters one by one."
        )
