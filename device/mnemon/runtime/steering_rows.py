"""Where llama.cpp keeps a context's steering vector: found once, and then written to in place.

``llama_set_adapter_cvec`` copies the numbers into tensors that live as long as the context, and then has all graphs
and the compute buffer made anew, although only numbers have changed: 1,530 page faults and 6 % of an evaluation of
the built-in model. There is no call that only writes; ``ggml_backend_tensor_set`` does, given the tensor. Tensors are
found in a graph by name, and llama.cpp gives these none, so that ggml calls them ``leaf_N``. They are therefore
recognised by what they hold: numbers put there through the usual call, read back through ``ggml_backend_tensor_get``.
Whatever is missing, or looks different in another llama.cpp, means that the usual call is all there is.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Self

from mnemon.runtime import native

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

_GRAPH = "_Z19llama_graph_reserveP13llama_contextjjj"
"""``llama_graph_reserve`` of ``llama-ext.h``, a C++ function: with this name where Clang or GCC compiled it."""
_POINTER, _SIZE, _NUMBER = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32


class SteeringRows:
    """The tensors that one context adds after its blocks. Belongs to the owner thread.

    Args:
        handle: The native context.
        tensors: Of each row of a steering vector.
        width: Numbers of a row.
    """

    def __init__(self, handle: Any, tensors: list[int], width: int) -> None:
        self._handle, self._tensors, self._bytes = handle, tensors, 4 * width
        self._wait = native.library().llama_synchronize
        self._set = _function("ggml_backend_tensor_set", None, _POINTER, _POINTER, _SIZE, _SIZE)

    @classmethod
    def find(cls, handle: Any, shape: tuple[int, int]) -> Self | None:
        """The tensors of a context, or None where they cannot be told.

        Other numbers are in them afterwards, and the next decode begins with new graphs, as after the usual call.

        Args:
            handle: The native context.
            shape: Of a steering vector: rows, and numbers of a row.
        """
        import numpy as np

        rows, width = shape
        marks = np.arange(1, rows * width + 1, dtype=np.float32).reshape(shape)
        try:
            reserve = _function(_GRAPH, _POINTER, _POINTER, _NUMBER, _NUMBER, _NUMBER)
            nodes = _function("ggml_graph_n_nodes", ctypes.c_int, _POINTER)
            named = _function("ggml_graph_get_tensor", _POINTER, _POINTER, ctypes.c_char_p)
            data = _function("ggml_get_data", _POINTER, _POINTER)
            size = _function("ggml_nbytes", _SIZE, _POINTER)
            get = _function("ggml_backend_tensor_get", None, _POINTER, _POINTER, _SIZE, _SIZE)
        except AttributeError:
            return None
        if not set_all(handle, marks) or not (graph := reserve(handle, 1, 1, 1)):
            return None
        held, found = np.empty(width, np.float32), {}
        for number in range(nodes(graph)):  # leaves are fewer than nodes
            tensor = named(graph, b"leaf_%d" % number)
            if tensor and size(tensor) == held.nbytes and data(tensor):  # what has no memory yet is no one's constant
                get(tensor, held.ctypes.data, 0, held.nbytes)
                row = int(held[0] - 1) // width if 1 <= held[0] <= marks[-1, 0] else 0
                if np.array_equal(held, marks[row]):
                    found[row] = tensor
        return cls(handle, [found[row] for row in range(rows)], width) if len(found) == rows else None

    def write(self, values: Floats) -> None:
        """Have other numbers added from the next decode on; ``values`` are contiguous, of the shape."""
        self._wait(self._handle)
        start = values.ctypes.data
        for row, tensor in enumerate(self._tensors):
            self._set(tensor, start + row * self._bytes, 0, self._bytes)


def set_all(handle: Any, values: Floats) -> bool:
    """The usual call, for all rows; whether llama.cpp took them. The next decode makes everything anew."""
    layers, width = values.shape
    data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    return not native.library().llama_set_adapter_cvec(handle, data, values.size, width, 1, layers)


def _function(name: str, result: Any, *arguments: Any) -> Any:
    return ctypes.CFUNCTYPE(result, *arguments)((name, native.library()._lib))
