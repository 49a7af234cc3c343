"""Spaces by name: made for a lesson, and made again from the header of a journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mnemon.errors import JournalError, LearningError
from mnemon.learning.spaces.adapter_scales import AdapterScales
from mnemon.learning.spaces.lora import LoraB
from mnemon.learning.spaces.shared_vector import SharedVector
from mnemon.learning.spaces.soft_prompt import SoftPromptMix
from mnemon.learning.spaces.space import Shape, Space
from mnemon.learning.spaces.steering_basis import SteeringBasis, Trace
from mnemon.learning.spaces.steering_vector import SteeringVector

if TYPE_CHECKING:
    from mnemon.learning.journal import Header
    from mnemon.runtime.adapters import Adapter

BANKED = AdapterScales.name
"""The space that needs a bank of adapters."""
NAMES = ("vector", "shared vector", "lora", "steering basis", "soft prompt", BANKED)
"""The spaces a lesson can choose from."""
NEED_TRACES = ("steering basis", "soft prompt")

_BASIS_VECTORS = 5
_SOFT_ROWS, _SOFT_VECTORS = 8, 4


def check(name: str) -> None:
    """Make sure that a space has a name that is known, before anything is read for it.

    Raises:
        LearningError: It is none of :data:`NAMES`.
    """
    if name not in NAMES:
        raise LearningError(f"There is no space {name!r}.", hint=f"Known: {', '.join(NAMES)}.")


def make(name: str, shape: Shape, traces: Sequence[Trace] = (), bank: Sequence[Adapter] = ()) -> Space:
    """A space of the usual size.

    Args:
        name: One of :data:`NAMES`.
        shape: Of the model.
        traces: Of the examples to learn from; those in :data:`NEED_TRACES` cannot do without.
        bank: Adapters to mix; :data:`BANKED` cannot do without.

    Raises:
        LearningError: There is no such space, or this model does not allow it.
    """
    check(name)
    if name in NEED_TRACES and not traces:
        raise LearningError(f"The space {name!r} needs examples' traces.", hint="Choose another space.")
    if name == BANKED and not bank:
        raise LearningError(f"The space {name!r} needs a bank of adapters.", hint="Choose another space.")
    space: Space
    if name == "vector":
        space = SteeringVector(shape)
    elif name == "shared vector":
        space = SharedVector(shape, (1.0,) * shape.layers)
    elif name == "lora":
        space = LoraB.chosen(shape)
    elif name == "steering basis":
        space = SteeringBasis.made(shape, traces, _BASIS_VECTORS)
    elif name == "soft prompt":
        space = _soft_prompt(shape, traces, _SOFT_VECTORS)
    else:
        space = AdapterScales(bank)
    if not space.size:
        raise LearningError(f"This model has nothing for the space {name!r}.", hint="Choose another space.")
    return space


def described(space: Space, shape: Shape) -> dict[str, Any]:
    """What a journal's header keeps of a space: JSON values."""
    matrices = getattr(space, "matrices", ())
    kept = {name: list(shape.matrices[name]) for name in matrices}
    return {"space": space.parameters, "layers": shape.layers, "width": shape.width, "sizes": kept}


def traced(header: Header) -> Sequence[str]:
    """Ids of the examples that a space's basis was made from: later ones get traces too, which must not change it."""
    found: Sequence[str] = header.parameters.get("traced", header.examples)
    return found


def again(header: Header, traces: Sequence[Trace] = (), bank: Sequence[Adapter] = ()) -> Space:
    """The space a journal is about.

    Args:
        header: Of the journal.
        traces: Of those of its examples that are still there, in the order of their ids.
        bank: Adapters it may mix.

    Raises:
        JournalError: It names a space that cannot be made.
    """
    try:
        known = header.parameters
        sizes = {name: (int(size[0]), int(size[1])) for name, size in known["sizes"].items()}
        shape = Shape(header.base, known["layers"], known["width"], sizes)
        own = known["space"]
        if header.space == "vector":
            return SteeringVector(shape, tuple(own["rows"]))
        if header.space == "shared vector":
            return SharedVector(shape, tuple(own["weights"]))
        if header.space == "lora":
            return LoraB(shape, tuple(own["matrices"]), own["rank"])
        if header.space == BANKED:
            return AdapterScales.again(own["bank"], bank)
        if header.space in NEED_TRACES and traces:
            if header.space == "steering basis":
                return SteeringBasis.made(shape, traces, own["vectors"])
            return _soft_prompt(shape, traces, own["vectors"])
    except (KeyError, TypeError, ValueError) as error:
        raise JournalError("The header of a lesson is damaged.", hint="The adapter before it is used.") from error
    raise JournalError(f"A lesson's space {header.space!r} cannot be made again.", hint="Run a new lesson.")


def _soft_prompt(shape: Shape, traces: Sequence[Trace], vectors: int) -> SoftPromptMix:
    """Its bank: directions in which the owner's answers differ after the first blocks, in the space of the words."""
    import numpy as np

    first = Shape(shape.base, 1, shape.width)
    rows = [Trace(trace.data[:1], trace.exponent) for trace in traces]
    basis = SteeringBasis.made(first, rows, _SOFT_ROWS).basis[0]
    return SoftPromptMix(basis.astype(np.float32), vectors)
