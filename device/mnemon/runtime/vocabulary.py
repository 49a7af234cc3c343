"""The weights and the words of a model: loading, and text to tokens and back.

Two ways lead from text to tokens and they never mix: :meth:`Model.control` for what a chat template wrote, where
``<|im_end|>`` is a control token, and :meth:`Model.plain` for what people wrote, where it is ten characters.
"""

from __future__ import annotations

import ctypes
import functools
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mnemon.errors import ModelCorruptError, ModelError, ModelUnsupportedError
from mnemon.runtime import gguf_file, native

_UNKNOWN, _CONTROL, _USER_DEFINED = 1, 8, 16
_MARKUP = re.compile(r"<.+>|\[.+\]|<\|.*|.*\|>", re.DOTALL)


class Model:
    """A loaded GGUF file. Safe to tokenise with from several threads; owns the native handle.

    Args:
        path: The file, memory-mapped.
        vocabulary_only: Leave the weights out; enough to tokenise.

    Raises:
        ModelMissingError: There is no such file.
        ModelCorruptError: It is not a whole GGUF file.
        ModelUnsupportedError: llama.cpp cannot run it.
    """

    def __init__(self, path: Path, *, vocabulary_only: bool = False) -> None:
        self.path = path
        header = gguf_file.check(path)
        if not header.tensors and not vocabulary_only:
            raise ModelCorruptError(
                f"{path} holds no weights, only a vocabulary.",
                hint="Pull the model itself, see `mnemon models list`.",
            )
        lib = self._lib = native.library()
        params = lib.llama_model_default_params()
        params.vocab_only = vocabulary_only
        params.load_mode = lib.LLAMA_LOAD_MODE_MMAP
        handle = lib.llama_model_load_from_file(str(path).encode(), params)
        if not handle:
            why = native.last_error() or "it says nothing more"
            kind = f"architecture {header.architecture}" if header.architecture else "no architecture named"
            raise ModelUnsupportedError(
                f"llama.cpp cannot run {path} ({kind}): {why}.", hint="Choose another, see `mnemon models list`."
            )
        self._handle: Any = handle
        self._lock = threading.Lock()  # a thread that tokenises while another closes would end the process
        self._vocab = lib.llama_model_get_vocab(handle)
        self.architecture = header.architecture
        self._places = header.places
        self.size = int(lib.llama_vocab_n_tokens(self._vocab))
        self.bos = int(lib.llama_vocab_bos(self._vocab))
        self.eos = int(lib.llama_vocab_eos(self._vocab))
        self.adds_bos = bool(lib.llama_vocab_get_add_bos(self._vocab))
        self._pieces: dict[int, bytes] = {}
        self._special: dict[int, bool] = {}
        self._ends: dict[int, bool] = {}
        # a conversation is laid out again at every turn: most of it was tokenised before
        self._recent = functools.lru_cache(maxsize=512)(self._plain)
        self._templates = functools.lru_cache(maxsize=64)(
            lambda text: tuple(self._tokens(text.encode(), special=True))
        )

    @property
    def handle(self) -> Any:
        """The native ``llama_model``.

        Raises:
            ModelError: It has been closed.
        """
        if self._handle is None:
            raise ModelError("The model is closed.", hint="Load it again.")
        return self._handle

    @property
    def vocab(self) -> Any:
        """The native ``llama_vocab``; lives as long as the model.

        Raises:
            ModelError: It has been closed.
        """
        if self._handle is None:
            raise ModelError("The model is closed.", hint="Load it again.")
        return self._vocab

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return int(self._lib.llama_model_n_params(self.handle))

    @property
    def width(self) -> int:
        """Length of a token embedding, and of the residual stream."""
        return int(self._lib.llama_model_n_embd(self.handle))

    @property
    def steering_shape(self) -> tuple[int, int]:
        """Shape of a steering vector: a row for every block but the first, as wide as the residual stream."""
        return int(self._lib.llama_model_n_layer(self.handle)) - 1, self.width

    @functools.cached_property
    def matrices(self) -> Mapping[str, tuple[int, int]]:
        """The weight matrices of the blocks by llama.cpp's name, each with its inputs and outputs."""
        found = {name: place.shape for name, place in self._places.items() if name.startswith("blk.")}
        return {name: (shape[1], shape[0]) for name, shape in found.items() if len(shape) == 2}

    @property
    def trained_context(self) -> int:
        """The longest window it was trained on, in tokens."""
        return int(self._lib.llama_model_n_ctx_train(self.handle))

    def metadata(self, key: str) -> str | None:
        """A value of the file's key-value section, as text; None when it is not there."""
        size = 1 << 12
        while True:
            buffer = ctypes.create_string_buffer(size)
            with self._lock:
                length = self._lib.llama_model_meta_val_str(self.handle, key.encode(), buffer, size)
            if length < 0:
                return None
            if length < size:
                return buffer.value.decode("utf-8", "replace")
            size = length + 1

    def control(self, text: str) -> list[int]:
        """Tokens of something a template wrote: control tokens are recognised."""
        return list(self._templates(text))

    def plain(self, text: str, *, after: int | None = None) -> list[int]:
        """Tokens of something a person wrote: never a control token, whatever it looks like.

        Args:
            text: The words.
            after: The token it follows. SentencePiece vocabularies put a space before the first word of a text,
                which is wrong in the middle of a line.
        """
        continues = after is not None and not self.is_special(after)
        return list(self._recent(text, continues))

    def is_special(self, token: int) -> bool:
        """Whether the token steers the model instead of saying something."""
        known = self._special.get(token)
        if known is None:
            with self._lock:
                attributes = self._lib.llama_vocab_get_attr(self.vocab, token)
            known = bool(attributes & (_CONTROL | _UNKNOWN)) or self.ends(token)
            if not known and attributes & _USER_DEFINED:
                # Gemma's runs of blank lines are user-defined too, and are text; <think> and <tool_call> are not
                known = bool(_MARKUP.fullmatch(self._text(token)))
            self._special[token] = known
        return known

    def ends(self, token: int) -> bool:
        """Whether the token ends an answer."""
        known = self._ends.get(token)
        if known is None:
            with self._lock:
                known = self._ends[token] = bool(self._lib.llama_vocab_is_eog(self.vocab, token))
        return known

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; empty for control tokens, but for those around a thought."""
        known = self._pieces.get(token)
        if known is None:
            known = self._piece(token, special=False)
            if not known and (written := self._piece(token, special=True)) in (b"<think>", b"</think>"):
                known = written
            self._pieces[token] = known
        return known

    def text(self, tokens: list[int]) -> str:
        """The text of ``tokens``, control tokens left out, broken characters replaced."""
        return b"".join(map(self.piece, tokens)).decode("utf-8", "replace")

    def written(self, token: int) -> str:
        """How the token is written in a template: ``<|im_end|>`` for a control token, ``""`` when there is none."""
        return self._piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def close(self) -> None:
        """Free the weights; calling it again does nothing."""
        with self._lock:
            handle, self._handle = self._handle, None
            if handle is not None:
                self._lib.llama_model_free(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _plain(self, text: str, continues: bool) -> tuple[int, ...]:
        """Tokenise; where that gives a special token after all, cut the text inside it and go again.

        It does happen: llama.cpp matches user-defined tokens in any text, and SentencePiece merges "<", "s" and
        ">" into the token "<s>" on its own.
        """
        parts = [text] if text else []
        while True:
            tokens: list[int] = []
            for part in parts:
                tokens += self._part(part, continues or bool(tokens))
            special = {token for token in tokens if self.is_special(token)}
            if not special:
                return tuple(tokens)
            cut = [piece for part in parts for piece in self._cut(part, special)]
            if cut == parts:  # single characters the vocabulary has no token for
                return tuple(token for token in tokens if token not in special)
            parts = cut

    def _cut(self, part: str, special: set[int]) -> list[str]:
        written = sorted({t for t in map(self._text, special) if len(t) > 1}, key=len, reverse=True)
        if written and any(t in part for t in written):
            pattern = re.compile("|".join(map(re.escape, written)))
            places = [match.start() + 1 for match in pattern.finditer(part)]
        else:
            places = list(range(1, len(part)))
        return [part[a:b] for a, b in zip([0, *places], [*places, len(part)], strict=True)]

    def _part(self, text: str, continues: bool) -> list[int]:
        if continues and self._space_prefix:
            tokens = self._tokens(b"\n" + text.encode("utf-8", "replace"), special=False)
            if tokens[: len(self._space_prefix)] == self._space_prefix:
                return tokens[len(self._space_prefix) :]
        return self._tokens(text.encode("utf-8", "replace"), special=False)

    @functools.cached_property
    def _space_prefix(self) -> list[int]:
        """Tokens of a newline when texts get a space put before them, else nothing."""
        with_prefix = self._tokens(b"a", special=False)
        return self._tokens(b"\n", special=False) if self.text(with_prefix[:1])[:1] == " " else []

    def _tokens(self, text: bytes, *, special: bool) -> list[int]:
        size = len(text) + 8
        while True:
            buffer = (ctypes.c_int32 * size)()
            with self._lock:
                count = self._lib.llama_tokenize(self.vocab, text, len(text), buffer, size, False, special)
            if count >= 0:
                return buffer[:count]
            size = -count

    def _text(self, token: int) -> str:
        with self._lock:
            return (self._lib.llama_vocab_get_text(self.vocab, token) or b"").decode("utf-8", "replace")

    def _piece(self, token: int, *, special: bool) -> bytes:
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            with self._lock:
                length = self._lib.llama_token_to_piece(self.vocab, token, buffer, size, 0, special)
            if length >= 0:
                return buffer.raw[:length]
            size = -length
