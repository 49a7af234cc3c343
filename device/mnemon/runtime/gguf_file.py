"""Is this file a whole GGUF? Asked before llama.cpp sees it, because a truncated file crashes on a later page fault.

The header says where every tensor ends; a file shorter than that was cut off. The layout is described in ggml's
``docs/gguf.md``: magic, version, counts, key-value pairs, tensor descriptions, then the aligned data.
"""

from __future__ import annotations

import functools
import hashlib
import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mnemon.errors import ModelCorruptError, ModelMissingError, ModelUnsupportedError

_VERSIONS = (2, 3)
_SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_SCALAR_CODES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
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
class Place:
    """Where one tensor is in its file.

    Attributes:
        shape: As numpy counts: the last dimension lies together.
        kind: ggml's number of its type.
        start: Its first byte in the file.
    """

    shape: tuple[int, ...]
    kind: int
    start: int


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a GGUF file says.

    Attributes:
        architecture: Such as ``llama``; empty when the file does not say.
        tensors: How many it holds; 0 in a file with only a vocabulary.
        data_end: Bytes the file must have.
        values: Its texts and single numbers by their key; arrays are left out.
        places: Where its tensors are, by their name.
    """

    version: int
    architecture: str
    tensors: int
    data_end: int
    values: Mapping[str, str | int | float | bool]
    places: Mapping[str, Place]


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


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits; read again only when its size or time of change is another.

    Raises:
        ModelMissingError: It is not there any more.
    """
    try:
        status = path.stat()
        return _sha256(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise ModelMissingError(
            f"The model file {path} cannot be read: {error.strerror}.", hint="Make it readable, or pull it again."
        ) from error


@functools.lru_cache(maxsize=8)
def _sha256(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
        values: dict[str, str | int | float | bool] = {}
        for _ in range(keys):
            key = self._string().decode("utf-8", "replace")
            kind = self._number("I", 4)
            if kind == _STRING:
                values[key] = self._string().decode("utf-8", "replace")
            elif kind in _SCALAR_CODES:
                values[key] = self._scalar(_SCALAR_CODES[kind], _SCALAR_BYTES[kind])
            else:
                self._skip(kind)
        alignment = values.get("general.alignment", 32)
        if type(alignment) is not int or alignment <= 0 or alignment & (alignment - 1):
            raise self._damaged()
        found = [self._tensor() for _ in range(tensors)]
        start = -(-self._at // alignment) * alignment
        data_end = start + max((end for *_, end in found), default=0) if tensors else self._at
        if len(self._data) < data_end:
            raise _cut_off(self._path, len(self._data), data_end)
        architecture = values.get("general.architecture", "")
        places = {name: Place(shape, kind, start + offset) for name, shape, kind, offset, _ in found}
        return Header(version, str(architecture), tensors, data_end, values, places)

    def _tensor(self) -> tuple[str, tuple[int, ...], int, int, int]:
        """Name, shape, type, and where its data begins and ends among the data."""
        name = self._string().decode("utf-8", "replace")
        dimensions = self._number("I", 4)
        if dimensions > 8:
            raise self._damaged()
        shape = tuple(self._number("Q", 8) for _ in range(dimensions))[::-1]
        kind = self._number("I", 4)
        offset = self._number("Q", 8)
        block, size = _BLOCKS.get(kind, (1, 0))  # a type newer than this table: llama.cpp decides
        return name, shape, kind, offset, offset + math.prod(shape) // block * size

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
        return int(self._scalar(code, size))

    def _scalar(self, code: str, size: int) -> int | float | bool:
        start = self._at
        self._advance(size)
        value: int | float | bool = struct.unpack_from(f"<{code}", self._data, start)[0]
        return value

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
