"""llama.cpp as this project uses it: sequences of tokens, decoded once, scored, shifted, saved.

One :class:`Engine` belongs to one thread; only :meth:`Engine.abort` may be called from others. It knows tokens, not
text, and nothing of conversations: the key-value cache of every sequence is described by the list of its tokens.
"""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mnemon.errors import ModelError
from mnemon.runtime import native
from mnemon.runtime.batches import Batches
from mnemon.runtime.crowding import Crowding, usable_cores
from mnemon.runtime.prefixes import common_length, find
from mnemon.runtime.vocabulary import Model

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

_SHIFT_MATCH = 32
"""After dropped turns the cached rest is moved, not decoded again, when at least this many tokens agree."""


class DecodeAborted(Exception):
    """The abort flag was raised; what was decoded before it is kept and accounted for."""


class CacheFull(Exception):
    """The key-value cache has no room for these tokens: drop a sequence and try again."""


_EXP_RANGE = 60.0
"""exp of a single-precision number overflows at 88 and vanishes at -87; a vocabulary adds at most 13."""
_BLOCK = 1 << 15
"""Logits taken at once: what a vocabulary of 150,000 needs beside them then stays in the cache, 70 µs for 100."""


@dataclass(frozen=True, slots=True)
class Prefill:
    """How a prompt got into the cache: tokens found there, tokens moved there, tokens decoded."""

    cached: int
    shifted: int
    decoded: int


class Engine:
    """A context on a model: a key-value cache shared by several sequences.

    Args:
        model: The loaded model; must outlive the engine.
        cells: Tokens the cache can hold, all sequences together.
        sequences: How many sequences there may be, numbered from 0.
        threads: CPU threads of a decode; 0 means every usable core. Fewer while other programs want them.
        batch: Tokens decoded in one call, also the longest stretch that cannot be interrupted by taking turns.
        flag: What ends a decode; one of its own when left out. Engines of one owner share theirs.
        on_node: A ``ggml_backend_sched_eval_callback`` asked before and after each node of the graph; slow.

    Raises:
        ModelError: There is not enough memory for the cache.
    """

    def __init__(
        self,
        model: Model,
        *,
        cells: int,
        sequences: int = 4,
        threads: int = 0,
        batch: int = 512,
        flag: native.AbortFlag | None = None,
        on_node: Any = None,
    ) -> None:
        import numpy as np

        lib = self._lib = native.library()
        self.model = model
        self.cells = cells
        self.batch = min(batch, cells)
        self.threads = threads or usable_cores()
        self._crowding = Crowding(self.threads)
        self._used = self.threads
        self._numpy = np
        self.flag = native.AbortFlag() if flag is None else flag  # one that is lowered is false
        params = lib.llama_context_default_params()
        params.n_ctx = cells
        params.n_batch = params.n_ubatch = self.batch
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = self.threads
        # Flash attention stays on "auto", which is on: 512 tokens take a 0.5B model 2.0 s with it and 2.4 s without.
        # Only 8 to 64 tokens far into a conversation are slower (22 of them behind 650: 152 ms against 135).
        params.kv_unified = True  # sequences share the cells, and a copy of a prefix costs nothing
        params.swa_full = True  # without it a prefix cannot be cut back in models with a sliding window
        params.no_perf = True
        if on_node is not None:
            params.cb_eval = on_node
        params.abort_callback = self.flag.callback
        params.abort_callback_data = self.flag.data
        handle = lib.llama_init_from_model(model.handle, params)
        if not handle:
            raise ModelError(
                f"There is not enough memory for a window of {cells} tokens.",
                hint="Set model.context to a smaller number, or choose a smaller model.",
            )
        self._handle: Any = handle
        self._pool = native.ThreadPool(handle, self.threads)
        self._memory = lib.llama_get_memory(handle)
        self._tokens: list[list[int]] = [[] for _ in range(sequences)]
        self._batches = batches = Batches(self.batch, sequences)
        # Each by its own name: a step of one token takes 4 µs of Python, and every lookup is a part of it.
        self._batch_tokens, self._batch_pos, self._batch_logits = batches.tokens, batches.positions, batches.logits
        self._native_batches = batches.native
        self._views: dict[int, Floats] = {}
        self._logits_at = native.returning_address("llama_get_logits_ith")
        self._scratch = np.empty(min(model.size, _BLOCK), np.float32)
        self._ones = np.ones(len(self._scratch), np.float32)  # a dot product sums three times as fast as ``sum``
        self.can_shift = bool(lib.llama_memory_can_shift(self._memory))
        self.can_cut = not (lib.llama_model_is_recurrent(model.handle) or lib.llama_model_is_hybrid(model.handle))
        """Whether :meth:`truncate` keeps what it is told to: the state of a recurrent model has no end to cut off."""
        self.decodes = 0
        """Calls of ``llama_decode`` so far; tells an owner whether the logits are still its own."""

    # -- what is cached ---------------------------------------------------------------------------------------

    def enter(self, sequence: int, tokens: Sequence[int]) -> None:
        """After :meth:`run`: the sequence holds these too."""
        self._tokens[sequence].extend(tokens)

    def tokens(self, sequence: int) -> Sequence[int]:
        """The tokens whose keys and values the sequence holds, in order."""
        return self._tokens[sequence]

    def drop(self, sequence: int) -> None:
        """Empty a sequence."""
        self._lib.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        self._tokens[sequence] = []

    def copy(self, source: int, target: int, length: int) -> None:
        """Have ``target`` hold the first ``length`` tokens of ``source`` and nothing else; it takes no cells."""
        self.drop(target)
        if length:
            self._lib.llama_memory_seq_cp(self._memory, source, target, 0, length)
            self._tokens[target] = self._tokens[source][:length]

    def truncate(self, sequence: int, length: int) -> None:
        """Keep the first ``length`` tokens; a model that cannot cut back (recurrent ones) loses all of them."""
        tokens = self._tokens[sequence]
        if length >= len(tokens):
            return
        if length and self._lib.llama_memory_seq_rm(self._memory, sequence, length, -1):
            del tokens[length:]
        else:
            self.drop(sequence)

    # -- decoding ---------------------------------------------------------------------------------------------

    def prefill(self, sequence: int, tokens: Sequence[int], *, shift: bool = False) -> Prefill:
        """Make the sequence hold exactly ``tokens`` and have the logits after the last one ready.

        Only what the cache has not seen is decoded; the last token always is, for its logits.

        Args:
            sequence: Which one.
            tokens: At least one.
            shift: The caller left out turns from the middle: move the cached rest down instead of decoding it.

        Raises:
            DecodeAborted: :meth:`abort` was called; what was decoded is kept.
            CacheFull: No room.
        """
        wanted = list(tokens)
        cached = common_length(self._tokens[sequence], wanted)
        moved = self._shift(sequence, wanted, cached) if shift and self.can_shift else 0
        held = min(cached + moved, len(wanted) - 1)
        self.truncate(sequence, held)
        held = len(self._tokens[sequence])
        self.decode(sequence, wanted[held:])
        return Prefill(min(held, cached), max(0, held - cached), len(wanted) - held)

    def decode(self, sequence: int, tokens: Sequence[int], *, every: bool = False) -> None:
        """Append ``tokens`` to the sequence; afterwards :meth:`logits` are those after the last one.

        Args:
            sequence: Which one.
            tokens: What to append.
            every: The logits after each token are wanted, by its number in the last ``batch`` of them.

        Raises:
            DecodeAborted: :meth:`abort` was called; what was decoded is kept.
            CacheFull: No room.
        """
        for start in range(0, len(tokens), self.batch):
            part = tokens[start : start + self.batch]
            self._decode(sequence, part, all_logits=every, last=start + len(part) == len(tokens))

    def step(self, sequence: int, token: int) -> None:
        """:meth:`decode` of one token, without the detours: 4 µs of Python."""
        held = self._tokens[sequence]
        self._batch_tokens[0] = token
        self._batch_pos[0] = len(held)
        self._batch_logits[0] = 1
        batch = self._native_batches[sequence]
        batch.n_tokens = 1
        self.decodes += 1
        status = self._lib.llama_decode(self._handle, batch)
        if status:
            self.failed(status, sequence)
        held.append(token)
        if self._crowding.look(time.perf_counter()) != self._used:
            self._use(self._crowding.threads)

    def scores(self, sequence: int, tokens: Sequence[int]) -> list[float]:
        """Log-probability in nats of each of ``tokens``, were they to follow; the sequence then holds them.

        The logits before the first one must be ready, as they are after :meth:`prefill`.
        """
        if not tokens:
            return []
        found = [self.logprob(tokens[0])]
        for start in range(0, len(tokens) - 1, self.batch):
            part = tokens[start : min(start + self.batch, len(tokens) - 1)]
            self._decode(sequence, part, all_logits=True, last=True)
            for i in range(len(part)):
                found.append(self.logprob(tokens[start + i + 1], row=i))
        return found

    def _decode(self, sequence: int, tokens: Sequence[int], *, all_logits: bool, last: bool) -> None:
        held = self._tokens[sequence]
        count = len(tokens)
        self._batch_tokens[:count] = list(tokens)
        self._batch_pos[:count] = list(range(len(held), len(held) + count))
        ctypes.memset(self._batch_logits, int(all_logits), count)
        if last:
            self._batch_logits[count - 1] = 1
        batch = self._native_batches[sequence]
        batch.n_tokens = count
        status = self.run(batch)
        if status:
            self.failed(status, sequence)
        held.extend(tokens)

    def run(self, batch: Any) -> int:
        """Decode a ``llama_batch`` as it is, of any sequences; 0, or llama.cpp's number of what went wrong.

        The caller enters the tokens into its sequences, or hands the number to :meth:`failed`.
        """
        self._use(self._crowding.begin())
        self.decodes += 1
        status: int = self._lib.llama_decode(self._handle, batch)
        if not status:
            self._use(self._crowding.look(time.perf_counter()))
        return status

    def _use(self, threads: int) -> None:
        if threads != self._used:
            self._lib.llama_set_n_threads(self._handle, threads, threads)
            self._used = threads

    def failed(self, status: int, *sequences: int) -> None:
        """Bring our lists of tokens in line with what llama.cpp kept, and say what happened.

        Raises:
            DecodeAborted: :meth:`abort` was called.
            CacheFull: No room.
            ModelError: Anything else.
        """
        for sequence in sequences:
            self.truncate(sequence, self._lib.llama_memory_seq_pos_max(self._memory, sequence) + 1)
            self._lib.llama_memory_seq_rm(self._memory, sequence, len(self._tokens[sequence]), -1)
        if status == 2:
            raise DecodeAborted
        if status == 1:
            raise CacheFull
        raise ModelError(
            f"llama.cpp could not decode ({status}): {native.last_error()}.",
            hint="Try again, or choose another model.",
        )

    def _shift(self, sequence: int, wanted: list[int], cached: int) -> int:
        """Cut dropped turns out of the cache and move what follows down; tokens that could be kept so."""
        held = self._tokens[sequence]
        probe = wanted[cached : cached + _SHIFT_MATCH]
        start = find(held, probe, cached + 1) if len(probe) == _SHIFT_MATCH else -1
        if start < 0:
            return 0
        matched = common_length(held[start:], wanted[cached:])
        lib, memory = self._lib, self._memory
        if not lib.llama_memory_seq_rm(memory, sequence, cached, start):
            return 0
        lib.llama_memory_seq_add(memory, sequence, start, -1, cached - start)
        del held[cached:start]
        return matched

    # -- logits -----------------------------------------------------------------------------------------------

    def logits(self, row: int = -1) -> Floats:
        """The logits of the last decode: a view that the next decode overwrites."""
        address = self._logits_at(self._handle, row)
        view = self._views.get(address)
        if view is None:
            if not address:
                raise ModelError("There are no logits to read.", hint="Decode something first.")
            pointer = ctypes.cast(address, ctypes.POINTER(ctypes.c_float))
            view = self._numpy.ctypeslib.as_array(pointer, (self.model.size,))
            if len(self._views) >= self.batch:  # llama.cpp may have moved its buffer
                self._views.clear()
            self._views[address] = view
        return view

    def all_logits(self, rows: int) -> Floats:
        """The logits of the last decode, which had ``rows`` outputs: a view that the next decode overwrites."""
        pointer = ctypes.cast(self._logits_at(self._handle, 0), ctypes.POINTER(ctypes.c_float))
        return self._numpy.ctypeslib.as_array(pointer, (rows, self.model.size))

    def logprob(self, token: int, *, row: int = -1) -> float:
        """Log-probability in nats of ``token`` under the logits of the last decode, at temperature 1."""
        logits = self.logits(row)
        return float(logits[token]) - self.log_total(logits, float(logits.max()))

    def log_total(self, logits: Floats, largest: float) -> float:
        """``log(sum(exp(logits)))``; the caller has the largest at hand."""
        np, scratch, ones = self._numpy, self._scratch, self._ones
        shift = 0.0 if -_EXP_RANGE < largest < _EXP_RANGE else largest  # seldom needed, and a pass over all
        total = 0.0
        for start in range(0, len(logits), _BLOCK):
            part = logits[start : start + _BLOCK]
            here = scratch[: len(part)]
            np.exp(np.subtract(part, shift, out=here) if shift else part, out=here)
            total += float(here.dot(ones[: len(part)]))
        return shift + math.log(total)

    # -- state ------------------------------------------------------------------------------------------------

    def save(self, sequence: int) -> bytearray:
        """Keys and values of a sequence, as llama.cpp writes them; only this build can read them back."""
        size = self._lib.llama_state_seq_get_size(self._handle, sequence)
        state = bytearray(size)
        buffer = (ctypes.c_uint8 * size).from_buffer(state)
        written = self._lib.llama_state_seq_get_data(self._handle, buffer, size, sequence)
        del buffer
        if not written:
            raise ModelError("The state of the conversation could not be read.", hint="Try again.")
        del state[written:]
        return state

    def restore(self, sequence: int, state: bytes | bytearray | memoryview, tokens: Sequence[int]) -> bool:
        """Put back what :meth:`save` gave; False, and an empty sequence, when it does not fit this context."""
        self.drop(sequence)
        size = len(state)
        buffer = self._numpy.frombuffer(state, self._numpy.uint8).ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        read = self._lib.llama_state_seq_set_data(self._handle, buffer, size, sequence)
        if read != size or self._lib.llama_memory_seq_pos_max(self._memory, sequence) + 1 != len(tokens):
            self.drop(sequence)
            return False
        self._tokens[sequence] = list(tokens)
        return True

    # -- life -------------------------------------------------------------------------------------------------

    @property
    def handle(self) -> Any:
        """The native ``llama_context``, for samplers and adapters."""
        return self._handle

    def abort(self) -> None:
        """End the decode that is running, or the next one; from any thread. Stays until :meth:`resume`."""
        self.flag.raise_()

    def resume(self) -> None:
        """Let decodes run again."""
        self.flag.lower()

    def close(self) -> None:
        """Free the cache; calling it again does nothing. The model stays."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._lib.llama_free(handle)
            self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
