"""A model and a context of llama.cpp, as the batching engine needs them: tokens in, one decode for all, tokens out.

Only the low-level functions of llama-cpp-python are used; its high-level class takes one conversation at a time.
Everything here belongs to one thread, but for :meth:`Vocabulary.encode` and :meth:`Context.abort`.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnemon_cloud.answers.engines import Role, Sampling
from mnemon_cloud.errors import EngineError

_TEXT = "\ue000{}\ue001"  # stands for a message while the template is filled in: private use, never in a template


@functools.cache
def library() -> Any:
    """The bindings, with llama.cpp's log switched off: what it prints at errors may quote text."""
    import llama_cpp.llama_cpp as bindings

    silent = bindings.llama_log_callback(lambda _level, _text, _data: None)
    bindings.llama_log_set(silent, None)
    library.silent = silent  # type: ignore[attr-defined]  # native code holds the pointer as long as we live
    bindings.llama_backend_init()
    return bindings


class Vocabulary:
    """A loaded model: its tokens and its chat template.

    Raises:
        EngineError: The file is missing, no GGUF, or has no chat template that llama.cpp knows.
    """

    def __init__(self, path: Path, *, gpu_layers: int) -> None:
        if not path.is_file():
            raise EngineError(f"There is no model {path}.", hint="Set engine.model to a GGUF file.")
        lib = self._lib = library()
        params = lib.llama_model_default_params()
        # llama.cpp reads a negative number as "all" only since 2025; a large one always meant it.
        params.n_gpu_layers = 1_000_000 if gpu_layers < 0 else gpu_layers
        self.handle: Any = lib.llama_model_load_from_file(os.fsencode(path), params)
        if not self.handle:
            raise EngineError(
                f"{path} cannot be loaded.", hint="It is damaged, too large, or needs a newer llama.cpp."
            )
        self._vocab = lib.llama_model_get_vocab(self.handle)
        self.size = int(lib.llama_vocab_n_tokens(self._vocab))
        self.trained_window = int(lib.llama_model_n_ctx_train(self.handle))
        self._template = lib.llama_model_chat_template(self.handle, None)
        self._stops = frozenset(t for t in range(self.size) if lib.llama_vocab_is_eog(self._vocab, t))
        self._pieces: dict[int, bytes] = {}
        try:
            self.encode([("user", "x")])
        except EngineError:
            self.close()
            raise

    def encode(self, messages: Sequence[tuple[Role, str]]) -> list[int]:
        """The conversation as tokens, ready for the assistant's turn.

        The template is filled with stand-ins, and each message is put in as plain text afterwards: a question that
        spells out a control token gets letters, not the token.

        Raises:
            EngineError: The template is not one llama.cpp knows, or cannot say this conversation.
        """
        names = [_TEXT.format(i) for i in range(len(messages))]
        skeleton = self._filled([(role, name) for (role, _), name in zip(messages, names, strict=True)])
        tokens: list[int] = []
        for number, ((_, text), name) in enumerate(zip(messages, names, strict=True)):
            before, found, skeleton = skeleton.partition(name)
            if not found:
                raise EngineError("The model's template leaves out a message.", hint="Choose another model.")
            tokens += self._tokens(before, control=True, begin=number == 0)
            tokens += self._tokens(text, control=False, begin=False)
        return tokens + self._tokens(skeleton, control=True, begin=False)

    def _filled(self, messages: list[tuple[str, str]]) -> str:
        lib = self._lib
        if not self._template:
            raise EngineError("The model has no chat template.", hint="Choose a chat model.")
        chat = (lib.llama_chat_message * len(messages))()
        for slot, (role, text) in zip(chat, messages, strict=True):
            slot.role, slot.content = role.encode(), text.encode()
        size = 4096 + 256 * len(messages)
        buffer = ctypes.create_string_buffer(size)
        length = int(lib.llama_chat_apply_template(self._template, chat, len(messages), True, buffer, size))
        if not 0 <= length <= size:
            raise EngineError("The model's chat template is not one llama.cpp knows.", hint="Choose another model.")
        return buffer.raw[:length].decode("utf-8")

    def _tokens(self, text: str, *, control: bool, begin: bool) -> list[int]:
        raw = text.encode("utf-8")
        size = len(raw) + 8
        buffer = (ctypes.c_int32 * size)()
        count = int(self._lib.llama_tokenize(self._vocab, raw, len(raw), buffer, size, begin, control))
        if count < 0:  # more tokens than bytes: no vocabulary known does this, but the call says how many it needs
            size = -count
            buffer = (ctypes.c_int32 * size)()
            count = int(self._lib.llama_tokenize(self._vocab, raw, len(raw), buffer, size, begin, control))
        return buffer[:count]

    def ends(self, token: int) -> bool:
        """Whether the model says with it that the answer is over."""
        return token in self._stops

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; may be part of a character."""
        known = self._pieces.get(token)
        if known is None:
            buffer = ctypes.create_string_buffer(512)
            length = int(self._lib.llama_token_to_piece(self._vocab, token, buffer, 512, 0, False))
            known = self._pieces[token] = buffer.raw[: max(0, length)]
        return known

    def close(self) -> None:
        """Free the model; calling it again does nothing."""
        handle, self.handle = self.handle, None
        if handle:
            self._lib.llama_model_free(handle)


class Context:
    """A key-value cache of several sequences, decoded together.

    Args:
        vocabulary: The model; must outlive the context.
        sequences: How many.
        window: Tokens each of them may hold.
        batch: Tokens of one decode.
        threads: CPU threads.

    Raises:
        EngineError: There is not enough memory.
    """

    def __init__(self, vocabulary: Vocabulary, *, sequences: int, window: int, batch: int, threads: int) -> None:
        lib = self._lib = library()
        self._abort = (ctypes.c_char * 2)()
        params = lib.llama_context_default_params()
        params.n_ctx = window * sequences
        params.n_batch = params.n_ubatch = batch
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = False  # every sequence has cells of its own: a long answer never takes another's place
        params.no_perf = True
        # llama.cpp asks before every node whether to stop. C's strlen on a one-byte string answers in nanoseconds;
        # a Python callback would take the GIL some 200 times a token.
        runtime = ctypes.cdll.msvcrt if os.name == "nt" else ctypes.CDLL(None)
        params.abort_callback = ctypes.cast(runtime.strlen, lib.ggml_abort_callback)
        params.abort_callback_data = ctypes.cast(self._abort, ctypes.c_void_p)
        self._handle: Any = lib.llama_init_from_model(vocabulary.handle, params)
        if not self._handle:
            raise EngineError(
                f"There is not enough memory for {sequences} windows of {window} tokens.",
                hint="Lower engine.parallel or engine.window.",
            )
        self._memory = lib.llama_get_memory(self._handle)
        self._batch = lib.llama_batch_init(batch, 0, 1)
        self.batch = batch
        # Rounded up by llama.cpp; never below what was asked for.
        self.window = int(lib.llama_n_ctx(self._handle)) // sequences

    def begin(self) -> None:
        """Start filling a batch."""
        self._batch.n_tokens = 0

    def add(self, sequence: int, token: int, position: int, *, logits: bool) -> int:
        """Put a token into the batch; its row."""
        batch, row = self._batch, self._batch.n_tokens
        batch.token[row] = token
        batch.pos[row] = position
        batch.n_seq_id[row] = 1
        batch.seq_id[row][0] = sequence
        batch.logits[row] = logits
        batch.n_tokens = row + 1
        return int(row)

    def decode(self) -> bool:
        """Decode the batch; False when it was aborted, then its sequences must be dropped.

        Raises:
            EngineError: llama.cpp failed.
        """
        status = int(self._lib.llama_decode(self._handle, self._batch))
        if status == 2:
            return False
        if status:
            raise EngineError(
                f"llama.cpp could not decode ({status}).", hint="Lower engine.parallel or engine.window."
            )
        return True

    def drop(self, sequence: int) -> None:
        """Empty a sequence."""
        self._lib.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def abort(self, *, on: bool) -> None:
        """Stop the decode that runs, or the next; from any thread. Holds until switched off."""
        self._abort[0] = b"\x01" if on else b"\x00"

    def sampler(self, sampling: Sampling) -> Sampler:
        """A sampler for one answer."""
        return Sampler(self._lib, self._handle, sampling)

    def close(self) -> None:
        """Free it; calling it again does nothing."""
        handle, self._handle = self._handle, None
        if handle:
            self._lib.llama_batch_free(self._batch)
            self._lib.llama_free(handle)


class Sampler:
    """How the tokens of one answer are chosen: top-k 40, top-p 0.95, temperature; greedy at 0."""

    def __init__(self, lib: Any, context: Any, sampling: Sampling) -> None:
        self._lib, self._context = lib, context
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        if sampling.temperature <= 0:
            lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_greedy())
        else:
            seed = int.from_bytes(os.urandom(4), "little") if sampling.seed is None else sampling.seed
            for part in (
                lib.llama_sampler_init_top_k(40),
                lib.llama_sampler_init_top_p(0.95, 1),
                lib.llama_sampler_init_temp(sampling.temperature),
                lib.llama_sampler_init_dist(seed),
            ):
                lib.llama_sampler_chain_add(chain, part)
        self._chain: Any = chain

    def next(self, row: int) -> int:
        """The token that follows the batch's row."""
        return int(self._lib.llama_sampler_sample(self._chain, self._context, row))

    def close(self) -> None:
        """Free it; calling it again does nothing."""
        chain, self._chain = self._chain, None
        if chain:
            self._lib.llama_sampler_free(chain)
