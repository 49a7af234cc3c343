"""Coefficients of a steering basis: how the owner's answers differ inside the model from its own.

For each example the hidden states of the owner's answer, minus those of the model's own answer to the same prompt
(both averaged over the answer's tokens), are kept as 16-bit integers times a power of two: its *trace*. The basis of
a layer is the mean trace and the leading singular vectors of the rest, as in CHAMELEON (arXiv 2503.01048).

Written rule, so that the same traces give the same basis on every machine: products of traces are whole numbers
(exact in 64 bits, in any order); the eigenvectors of their Gram matrix come from Jacobi rotations in a fixed order in
double precision, with nothing but the four operations and square roots, which IEEE 754 rounds in one way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.learning.spaces.space import Shape, Theta
    from mnemon.runtime.adapters import Active, Steering

_SWEEPS = 12
_NEGLIGIBLE = 1e-24
MOST = 64
"""Coefficients at most: what CMA-ES is for."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """One example's difference, shape (layers, width): ``data * 2.0 ** exponent``."""

    data: NDArray[np.int16]
    exponent: int

    @classmethod
    def of(cls, difference: NDArray[np.float32]) -> Trace:
        """Rounded to 16 bits of the largest; a difference that is not finite counts as none."""
        import numpy as np

        largest = float(np.abs(difference).max(initial=0.0))
        if not math.isfinite(largest) or not largest:
            return cls(np.zeros(difference.shape, np.int16), 0)
        exponent = math.frexp(largest)[1] - 15
        data = np.rint(np.ldexp(difference.astype(np.float64), -exponent)).clip(-32767, 32767)
        return cls(data.astype(np.int16), exponent)


@dataclass(frozen=True, slots=True, eq=False)
class SteeringBasis:
    """``layers * vectors`` numbers; for each layer the coefficient of the mean first.

    Attributes:
        shape: Of the model.
        vectors: Basis vectors of a layer.
        basis: Shape (layers, vectors, width), each vector as long as the mean trace of its layer.
    """

    shape: Shape
    vectors: int
    basis: NDArray[np.float64]
    name = "steering basis"
    unit = 0.5

    @classmethod
    def made(cls, shape: Shape, traces: Sequence[Trace], vectors: int) -> SteeringBasis:
        """The basis of some examples' traces.

        Args:
            traces: At least one, in the order of the examples' ids.
            vectors: Of each layer; fewer when there are not as many traces.
        """
        import numpy as np

        vectors = max(1, min(vectors, len(traces), MOST // shape.layers or 1))
        lowest = min(trace.exponent for trace in traces)
        # differences of exponents beyond 16 would not fit; what is so much smaller counts for nothing
        whole = np.stack([_shifted(trace, lowest) for trace in traces])
        basis = np.stack([_of_layer(whole[:, layer], vectors) for layer in range(shape.layers)])
        return cls(shape, vectors, np.ldexp(basis, lowest))

    @property
    def size(self) -> int:
        """Coefficients of all layers."""
        return self.shape.layers * self.vectors

    @property
    def parameters(self) -> dict[str, Any]:
        """How many vectors; the traces are in the encrypted memory."""
        return {"vectors": self.vectors}

    def apply(self, theta: Theta) -> Active:
        """One steering vector."""
        return ((self.export(theta), 1.0),)

    def along(self, theta: Theta, direction: Theta) -> Callable[[float], Active]:
        """Sums are made here."""
        return lambda t: self.apply(theta + t * direction)

    def export(self, theta: Theta) -> Steering:
        """The sum in single precision, vector after vector."""
        import numpy as np

        from mnemon.runtime.adapters import Steering

        coefficients = theta.reshape(self.shape.layers, self.vectors)
        values = np.zeros((self.shape.layers, self.shape.width))
        for k in range(self.vectors):
            values = values + coefficients[:, k, None] * self.basis[:, k]
        return Steering(values.astype(np.float32))


def _shifted(trace: Trace, lowest: int) -> NDArray[np.int64]:
    import numpy as np

    return trace.data.astype(np.int64) << min(trace.exponent - lowest, 12)


def _of_layer(rows: NDArray[np.int64], vectors: int) -> NDArray[np.float64]:
    """The mean of some rows and the leading right singular vectors of what is left, shape (vectors, width)."""
    import numpy as np

    count = len(rows)
    total = rows.sum(axis=0)
    mean = total / count
    length = math.sqrt(int(total @ total)) / count or 1.0
    found = [mean]
    if vectors > 1:
        # count * row - total is a whole number too; a shift keeps the products within 63 bits
        centred = (rows * count - total) >> max(0, int(count * 2).bit_length() - 2)
        values, weights = _eigen((centred @ centred.T).astype(np.float64))
        for k in np.argsort(-values, kind="stable")[: vectors - 1]:
            vector = np.zeros(rows.shape[1])
            for weight, row in zip(weights[:, k], centred, strict=True):
                vector = vector + weight * row
            norm = math.sqrt(math.fsum((vector * vector).tolist()))
            found.append(vector * (length / norm) if norm else vector)
    return np.stack(found)


def _eigen(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues and eigenvectors (columns) of a symmetric matrix, by Jacobi's rotations, row by row."""
    import numpy as np

    a, vectors = matrix.copy(), np.eye(len(matrix))
    size = len(a)
    for _ in range(_SWEEPS):
        rotated = False
        for p in range(size - 1):
            for q in range(p + 1, size):
                if a[p, q] * a[p, q] <= _NEGLIGIBLE * abs(a[p, p] * a[q, q]):
                    continue
                rotated = True
                ratio = (a[q, q] - a[p, p]) / (2.0 * a[p, q])
                tangent = math.copysign(1.0, ratio) / (abs(ratio) + math.sqrt(ratio * ratio + 1.0))
                cosine = 1.0 / math.sqrt(tangent * tangent + 1.0)
                sine = tangent * cosine
                for m in (a, vectors):
                    left, right = m[:, p].copy(), m[:, q].copy()
                    m[:, p], m[:, q] = cosine * left - sine * right, sine * left + cosine * right
                top, bottom = a[p].copy(), a[q].copy()
                a[p], a[q] = cosine * top - sine * bottom, sine * top + cosine * bottom
        if not rotated:
            break
    return np.diagonal(a).copy(), vectors
