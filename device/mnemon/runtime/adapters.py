"""Adapters on a live context: low-rank changes of the weights, vectors added between layers, soft prompts.

They are active on the answer's part only: from the last token of the prompt on, whose logits choose the answer's
first token. Everything before it is decoded by the base model, so its keys and values belong to every adapter and to
none, and switching costs no decoding (DESIGN 5; the idea of activating late is aLoRA's, arXiv 2504.12397).

``Steering`` is added to the residual stream, ``Lora`` changes a matrix W to W + scale · alpha / r · B A, and a
``SoftPrompt`` stands before the answer's part like words that no vocabulary has. All numbers are in single precision;
several adapters are added up in the order given.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mnemon.errors import AdapterError
from mnemon.runtime import native
from mnemon.runtime.steering_rows import SteeringRows, set_all

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.runtime.engine import Engine
    from mnemon.runtime.vocabulary import Model

    Floats = NDArray[np.float32]

_OTHER = "Make it anew for this model, or use the model it was made for."
MOST_VECTORS = 16
"""Of soft prompts, all that are active together."""
_KEPT = 4
"""Loaded LoRAs that nobody uses just now; loading one of rank 8 takes 3.6 ms on a 0.5B model."""


@dataclass(frozen=True, slots=True, eq=False)
class Steering:
    """A control vector: row ``i`` is added to the residual stream after block ``i + 1``, the first being block 0.

    Attributes:
        values: Shape (layers, width), one layer less than the model has blocks: llama.cpp has none after block 0.
    """

    values: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Lora:
    """A low-rank change of named weight matrices.

    Attributes:
        tensors: llama.cpp's name of a matrix, such as ``blk.0.attn_q.weight``, to A of shape (r, in) and B of shape
            (out, r).
        alpha: The change is ``alpha / r`` times B A; 0 means r, the change being B A.
    """

    tensors: Mapping[str, tuple[Floats, Floats]]
    alpha: float


@dataclass(frozen=True, slots=True, eq=False)
class SoftPrompt:
    """Vectors that stand before the answer's part, in the space of the token embeddings.

    Attributes:
        vectors: Shape (n, width), n up to 16; the adapter's scale multiplies them.
    """

    vectors: Floats


Adapter = Steering | Lora | SoftPrompt
Active = Sequence[tuple[Adapter, float]]
"""Adapters, each with its scale; one with scale 0 is not there, and () is the base model."""


class Loras:
    """The LoRAs of one model that llama.cpp holds, loaded when first asked for. Belongs to the owner thread."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._loaded: dict[int, tuple[Lora, Any]] = {}  # by identity: the arrays of a Lora are not to be changed
        self._users: dict[int, int] = {}

    def take(self, lora: Lora) -> Any:
        """The native handle; :meth:`give_back` it.

        Raises:
            AdapterError: It does not fit the model.
        """
        from mnemon.runtime import adapter_file

        known = self._loaded.pop(id(lora), None)
        if known is None:
            known = lora, adapter_file.load(lora, self._model)
        self._loaded[id(lora)] = known  # the last one used is the last to go
        self._users[id(lora)] = self._users.get(id(lora), 0) + 1
        return known[1]

    def give_back(self, lora: Lora) -> None:
        """It is no longer set on a context; a few are kept for the next time."""
        self._users[id(lora)] -= 1
        idle = [key for key in self._loaded if not self._users[key]]
        for key in idle[: max(0, len(idle) - _KEPT)]:
            native.library().llama_adapter_lora_free(self._loaded.pop(key)[1])
            del self._users[key]


class Activation:
    """Which adapters are set on one context. Belongs to the owner thread, as the context does."""

    def __init__(self, engine: Engine, loras: Loras) -> None:
        self._engine, self._loras = engine, loras
        self._lib = native.library()
        self._active: Active = ()
        self._taken: list[Lora] = []
        self._steered = False
        self._rows: SteeringRows | None = None
        self._searched = False

    def use(self, active: Active) -> None:
        """Set exactly these; at once when they are set already (the same object).

        Raises:
            AdapterError: One does not fit the model, or is not a number somewhere. Then none is set.
        """
        if active is self._active:
            return
        vectors = [(a.values, scale) for a, scale in active if isinstance(a, Steering) and scale]
        loras = [(a, scale) for a, scale in active if isinstance(a, Lora) and scale]
        if loras or self._taken or not vectors:
            self.off()
        try:
            self._steer(vectors)
            self._set_loras(loras)
        except BaseException:
            self._active = active  # whatever was set of it is taken off
            self.off()
            raise
        self._active = active

    def off(self) -> None:
        """The base model again; nothing happens when it is the base already."""
        if not self._active:
            return
        if self._steered:
            self._lib.llama_set_adapter_cvec(self._engine.handle, None, 0, 0, 0, 0)
            self._steered = False
        if self._taken:
            self._lib.llama_set_adapters_lora(self._engine.handle, None, 0, None)
            for lora in self._taken:
                self._loras.give_back(lora)
            self._taken.clear()
        self._active = ()

    def soft_prompt(self, active: Active) -> Floats | None:
        """The vectors to decode before the answer's part, shape (n, width), or None.

        Raises:
            AdapterError: They do not fit the model.
        """
        import numpy as np

        width = self._engine.model.width
        parts = [(a.vectors, scale) for a, scale in active if isinstance(a, SoftPrompt) and scale]
        for vectors, _ in parts:
            if vectors.ndim != 2 or vectors.shape[1] != width:
                raise AdapterError(
                    f"A soft prompt of shape {vectors.shape} does not fit a model of width {width}.", hint=_OTHER
                )
        if not parts:
            return None
        if (count := sum(len(vectors) for vectors, _ in parts)) > MOST_VECTORS:
            raise AdapterError(
                f"{count} vectors are more than the {MOST_VECTORS} a soft prompt may have.", hint=_OTHER
            )
        return _finite(np.concatenate([np.float32(scale) * vectors for vectors, scale in parts]), "soft prompt")

    def _steer(self, parts: list[tuple[Floats, float]]) -> None:
        import numpy as np

        if not parts:
            return
        wanted = self._engine.model.steering_shape
        total = np.zeros(wanted, np.float32)
        for values, scale in parts:
            if values.shape != wanted:
                raise AdapterError(
                    f"A steering vector of shape {values.shape} does not fit a model that takes {wanted}.",
                    hint=_OTHER,
                )
            total += np.float32(scale) * values
        _finite(total, "steering vector")
        if self._steered and not self._searched:  # another one at once: somebody is trying many
            self._rows, self._searched = SteeringRows.find(self._engine.handle, wanted), True
        if self._steered and self._rows is not None:
            self._rows.write(total)
            return
        self._steered = True
        if not set_all(self._engine.handle, total):
            raise AdapterError(f"llama.cpp refused a steering vector: {native.last_error()}.", hint=_OTHER)

    def _set_loras(self, parts: list[tuple[Lora, float]]) -> None:
        scales: dict[int, tuple[Any, float]] = {}  # llama.cpp knows each adapter once
        for lora, scale in parts:
            _finite_scale(scale)
            handle = self._loras.take(lora)
            self._taken.append(lora)
            scales[id(lora)] = handle, scales.get(id(lora), (handle, 0.0))[1] + scale
        if not scales:
            return
        handles = (self._lib.llama_adapter_lora_p_ctypes * len(scales))(*[handle for handle, _ in scales.values()])
        numbers = (ctypes.c_float * len(scales))(*[scale for _, scale in scales.values()])
        if self._lib.llama_set_adapters_lora(self._engine.handle, handles, len(scales), numbers):
            raise AdapterError(f"llama.cpp refused an adapter: {native.last_error()}.", hint=_OTHER)


def check_lora(lora: Lora, model: Model) -> None:
    """Make sure that a LoRA fits.

    Raises:
        AdapterError: A matrix the model does not have, of other sizes, or that holds no numbers.
    """
    matrices = model.matrices
    if not lora.tensors:
        raise AdapterError(
            "A LoRA without a single matrix changes nothing.", hint="Choose matrices for it to change."
        )
    _finite_scale(lora.alpha)
    for name, (a, b) in lora.tensors.items():
        fits = (
            a.ndim == b.ndim == 2 and (a.shape[1], b.shape[0]) == matrices.get(name) and a.shape[0] == b.shape[1] > 0
        )
        if not fits:
            base = f"of {matrices[name]}" if name in matrices else "which the model does not have"
            raise AdapterError(f"A LoRA of {a.shape} and {b.shape} does not fit {name}, {base}.", hint=_OTHER)
        _finite(a, name)
        _finite(b, name)


def _finite(values: Floats, what: str) -> Floats:
    import numpy as np

    if not np.isfinite(values).all():
        raise AdapterError(f"The {what} holds values that are no numbers.", hint="Go back to the version before it.")
    return values


def _finite_scale(scale: float) -> None:
    if not abs(scale) < float("inf"):
        raise AdapterError(f"{scale} is no scale for an adapter.", hint="Go back to the version before it.")
