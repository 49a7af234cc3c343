"""What every space has in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mnemon.runtime.chat_model import ChatMessage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.runtime.adapters import Active, Adapter
    from mnemon.runtime.chat_model import ChatModel

    Theta = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a space has to know of the base model.

    Attributes:
        base: SHA-256 of its file, in hexadecimal.
        layers: Rows of a steering vector.
        width: Numbers in one of its rows.
        matrices: Name of each weight matrix, with the sizes of its input and output.
    """

    base: str
    layers: int
    width: int
    matrices: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, model: ChatModel) -> Shape:
        """The shape of a model that is loaded.

        Raises:
            ModelError: It does not show its hidden states.
        """
        inner = getattr(model, "model", None)
        if inner is not None:
            layers, width = inner.steering_shape
            return cls(model.base_sha256(), layers, width, dict(inner.matrices))
        with model.scorer([((ChatMessage("user", "Hello."),), "Hello.")]) as scorer:
            _, layers, width = scorer.hidden_states().shape
        return cls(model.base_sha256(), layers, width)


class Space(Protocol):
    """Some numbers, and the adapter they stand for. All spaces are linear, and theta 0 is the base model."""

    @property
    def name(self) -> str:
        """As in journals and reports."""

    @property
    def size(self) -> int:
        """How many numbers."""

    @property
    def parameters(self) -> dict[str, Any]:
        """JSON values from which the same space is made again (:mod:`mnemon.learning.spaces.making`)."""

    @property
    def unit(self) -> float:
        """How far a coordinate usually goes, in theta's own units: what eps and step sizes are multiples of."""

    def apply(self, theta: Theta) -> Active:
        """The adapters for these numbers."""

    def along(self, theta: Theta, direction: Theta) -> Callable[[float], Active]:
        """The adapters at ``theta + t * direction``, for several values of t."""

    def export(self, theta: Theta) -> Adapter:
        """One adapter for these numbers, to be written to a file that other programs read.

        Raises:
            LearningError: No single adapter says the same.
        """
