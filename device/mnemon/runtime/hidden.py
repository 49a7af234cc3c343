"""What goes on inside: the output of every block, read while llama.cpp computes.

llama.cpp asks a callback before every node of its graph, some 30 a block, and waits for the answer: a token of the
built-in model takes 1.08 times as long even where nothing is wanted. So no context that anybody waits for has one;
this one is made, used and closed again.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from mnemon.errors import ModelUnsupportedError
from mnemon.runtime import native
from mnemon.runtime.engine import Engine
from mnemon.runtime.together import Together

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.runtime.vocabulary import Model

    Floats = NDArray[np.float32]

_OUTPUT = b"l_out-"


class WatchedEngine(Engine):
    """An engine of one sequence that shows the outputs of the blocks.

    Args:
        model: The loaded model; must outlive the engine.
        cells: Tokens the cache can hold.
        threads: CPU threads of a decode.
        batch: Tokens decoded in one call.
        flag: What ends a decode.
    """

    def __init__(self, model: Model, *, cells: int, threads: int, batch: int, flag: native.AbortFlag) -> None:
        lib = native.library()
        self._watching = False
        self._seen: dict[int, Floats] = {}
        self._tensor_functions(lib._lib)
        self._callback = lib.ggml_backend_sched_eval_callback(self._node)  # native code holds it as long as we live
        super().__init__(
            model, cells=cells, sequences=1, threads=threads, batch=batch, flag=flag, on_node=self._callback
        )
        self._together = Together(self, 1)

    def watch(self, tokens: list[int]) -> Floats:
        """Append tokens; the outputs of the blocks from the second on, summed over the tokens.

        Returns:
            Shape (layers, width), as a steering vector.

        Raises:
            DecodeAborted: The flag was raised. The sequence is as it was.
            ModelUnsupportedError: llama.cpp does not name the outputs of this architecture's blocks.
        """
        import numpy as np

        self._seen.clear()
        self._watching = True
        try:
            self._together.decode([(0, tokens)])
        finally:
            self._watching = False
        layers, _ = self.model.steering_shape
        if not all(i in self._seen for i in range(1, layers + 1)):
            raise ModelUnsupportedError(
                f"The hidden states of a model of architecture {self.model.architecture} cannot be read.",
                hint="Learn in a space that does not need them.",
            )
        return np.stack([self._seen[i] for i in range(1, layers + 1)])

    def append_vectors(self, vectors: Floats) -> None:
        """Append a soft prompt, unwatched."""
        self._together.decode_vectors([0], vectors)

    def _tensor_functions(self, ggml: Any) -> None:
        self._name, self._size, self._get = ggml.ggml_get_name, ggml.ggml_nbytes, ggml.ggml_backend_tensor_get
        self._name.argtypes, self._name.restype = [ctypes.c_void_p], ctypes.c_char_p
        self._size.argtypes, self._size.restype = [ctypes.c_void_p], ctypes.c_size_t
        self._get.argtypes, self._get.restype = (
            [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t],
            None,
        )

    def _node(self, tensor: int, asked: bool, _: object) -> bool:
        """Before a node: is it wanted? After one that was: read it, and go on."""
        if not self._watching:
            return not asked
        name: bytes = self._name(tensor)
        if not name.startswith(_OUTPUT):
            return not asked
        if not asked:
            import numpy as np

            values = np.empty(self._size(tensor) // 4, np.float32)
            self._get(tensor, values.ctypes.data, 0, values.nbytes)
            layer = int(name[len(_OUTPUT) :])
            self._seen[layer] = values.reshape(-1, self.model.width).sum(axis=0)
        return True
