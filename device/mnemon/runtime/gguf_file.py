"""Is this file a whole GGUF? Asked before llama.cpp sees it, because a truncated file crashes on a later page fault.

The header says where every tensor ends; a file shorter than that was cut off. The layout is described in ggml's
``docs/gguf.md``: magic, version, counts, key-value pairs, tensor descriptions, then the aligned data.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from mnemon.errors import ModelCorruptError, ModelMissingError, ModelUnsupportedError

_VERSIONS = (2, 3)
_SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
# ggml type: (elements in a block, bytes of a block)
_BLOCKS = {
    0: (1, 4),  # F32
    1: (1, 2),  # F16
    2: (32, 18),  # Q4_0
    3: (32, 20),  # Q4_1
    6: (32, 22),  # Q5_0
    7: (32, 24),  # Q5_1
    8: (32, 34),  # Q8_0
    9: (32, 36),  # Q8_1
    10: (256, 84),  # Q2_K
    11: (256, 110),  # Q3_K
    12: (256, 144),  # Q4_K
    13: (256, 176),  # Q5_K
    14: (256, 210),  # Q6_K
    15: (256, 292),  # Q8_K
    16: (256, 66),  # IQ2_XXS
    17: (256, 74),  # IQ2_XS
    18: (256, 98),  # IQ3_XXS
    19: (256, 50),  # IQ1_S
    20: (32, 18),  # IQ4_NL
    21: (256, 110),  # IQ3_S
    22: (256, 82),  # IQ2_S
    23: (256, 136),  # IQ4_XS
    24: (1, 1),  # I8
    25: (1, 2),  # I16
    26: (1, 4),  # I32
    27: (1, 8),  # I64
    28: (1, 8),  # F64
    29: (256, 56),  # IQ1_M
    30: (1, 2),  # BF16
    34: (256, 54),  # TQ1_0
    35: (256, 66),  # TQ2_0
    39: (32, 17),  # MXFP4
}
_SANE_COUNT = 1 << 24  # more tensors or keys than this is noise, not a model
_SANE_STRING = 1 << 26


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a GGUF file says.

    Attributes:
        architecture: Such as ``llama``; empty when the file does not say.
        tensors: How many it holds; 0 in a file with only a vocabulary.
        data_end: Bytes the file must have.
    """

    version: int
    architecture: str
    tensors: int
    data_end: int


def check(path: Path) -> Header:
    """Read the header of ``path`` and make sure that everything it announces is there.

    Raises:
        ModelMissingError: There is no such file.
        ModelCorruptError: It is not a GGUF file, or it has been cut off.
        ModelUnsupportedError: Its format version is one llama.cpp cannot read.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size < 24:
                file.seek(0)
                raise _not_gguf(path) if not b"GGUF".startswith(file.read(4)) else _cut_off(path, size, 24)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(data, path).header()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise ModelMissingError(
            f"There is no model file {path}.", hint="See `mnemon models list`, then `mnemon models pull NAME`."
        ) from error
    except OSError as error:
        raise ModelMissingError(
            f"The model file {path} cannot be read: {error.strerror}.", hint="Make it readable, or pull it again."
        ) from error


class _Reader:
    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self._data = data
        self._path = path
        self._at = 0

    def header(self) -> Header:
        if self._data[:4] != b"GGUF":
            raise _not_gguf(self._path)
        self._at = 4
        version = self._number("I", 4)
        if version not in _VERSIONS:
            if version & 0xFFFF == 0:  # written on a big-endian machine
                raise ModelUnsupportedError(
                    f"{self._path} is a big-endian GGUF file.", hint="Pull the usual little-endian one."
                )
            raise ModelUnsupportedError(
                f"{self._path} is GGUF version {version}; versions 2 and 3 can be read.",
                hint="Pull a newer file of this model.",
            )
        tensors = self._count()
        keys = self._count()
        architecture, alignment = "", 32
        for _ in range(keys):
            key = self._string()
            kind = self._number("I", 4)
            if key == b"general.architecture" and kind == _STRING:
                architecture = self._string().decode("utf-8", "replace")
            elif key == b"general.alignment" and kind == 4:
                alignment = self._number("I", 4)
                if alignment == 0 or alignment & (alignment - 1):
                    raise self._damaged()
            else:
                self._skip(kind)
        ends = [self._tensor_end() for _ in range(tensors)]
        start = -(-self._at // alignment) * alignment
        data_end = start + max(ends, default=0) if tensors else self._at
        if len(self._data) < data_end:
            raise _cut_off(self._path, len(self._data), data_end)
        return Header(version, architecture, tensors, data_end)

    def _tensor_end(self) -> int:
        self._string()
        dimensions = self._number("I", 4)
        if dimensions > 8:
            raise self._damaged()
        elements = 1
        for _ in range(dimensions):
            elements *= self._number("Q", 8)
        kind = self._number("I", 4)
        offset = self._number("Q", 8)
        block, size = _BLOCKS.get(kind, (1, 0))  # a type newer than this table: llama.cpp decides
        return offset + elements // block * size

    def _skip(self, kind: int, depth: int = 0) -> None:
        if kind == _STRING:
            self._string()
        elif kind == _ARRAY:
            inner = self._number("I", 4)
            count = self._number("Q", 8)
            if depth > 4 or count > len(self._data):
                raise self._damaged()
            if inner in _SCALAR_BYTES:
                self._advance(_SCALAR_BYTES[inner] * count)
            elif inner == _STRING:
                self._skip_strings(count)
            else:
                for _ in range(count):
                    self._skip(inner, depth + 1)
        elif kind in _SCALAR_BYTES:
            self._advance(_SCALAR_BYTES[kind])
        else:
            raise self._damaged()

    def _skip_strings(self, count: int) -> None:
        # a vocabulary has some 10^5 of these: a tight loop, 30 ms
        unpack = struct.Struct("<Q").unpack_from
        data, at, end = self._data, self._at, len(self._data)
        try:
            for _ in range(count):
                at += 8 + unpack(data, at)[0]
                if at > end:
                    break
        except struct.error:
            at = end + 1
        self._at = at
        if at > end:
            raise _cut_off(self._path, end, None)

    def _string(self) -> bytes:
        size = self._number("Q", 8)
        if size > _SANE_STRING:
            raise self._damaged()
        start = self._at
        self._advance(size)
        return self._data[start : self._at]

    def _count(self) -> int:
        count = self._number("Q", 8)
        if count > _SANE_COUNT:
            raise self._damaged()
        return count

    def _number(self, code: str, size: int) -> int:
        start = self._at
        self._advance(size)
        return int(struct.unpack_from(f"<{code}", self._data, start)[0])

    def _advance(self, size: int) -> None:
        self._at += size
        if self._at > len(self._data):
            raise _cut_off(self._path, len(self._data), None)

    def _damaged(self) -> ModelCorruptError:
        return ModelCorruptError(
            f"The header of {self._path} is damaged at byte {self._at}.", hint="Pull or copy the model again."
        )


def _not_gguf(path: Path) -> ModelCorruptError:
    return ModelCorruptError(
        f"{path} is not a GGUF model file.", hint="Give a file that ends in .gguf, or see `mnemon models list`."
    )


def _cut_off(path: Path, size: int, wanted: int | None) -> ModelCorruptError:
    of = f" of {wanted}" if wanted is not None else ""
    return ModelCorruptError(
        f"{path} has been cut off: it holds {size}{of} bytes.", hint="Pull or copy the model again."
    )
