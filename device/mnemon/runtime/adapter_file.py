"""Adapters as files: llama.cpp's own LoRA and control-vector GGUF, in and out.

Ours name the SHA-256 of the base they were made for and are refused on any other. A file of another tool names none:
it is taken when architecture and shapes fit. What llama.cpp is given to load never has a name in the file system, for
an owner's adapter is personal.

A LoRA holds ``NAME.lora_a`` (r, in) and ``NAME.lora_b`` (out, r) for each matrix, as ``convert_lora_to_gguf.py``
writes them; a control vector ``direction.N`` for block N, from 1 on, as ``llama-cvector-generator`` does.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnemon.errors import AdapterError
from mnemon.runtime import gguf_file, native
from mnemon.runtime.adapters import Adapter, Lora, Steering, check_lora

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mnemon.runtime.vocabulary import Model

BASE_KEY = "mnemon.base.sha256"
_ALIGNMENT = 32
_STRING, _UINT32, _FLOAT32 = 8, 4, 6
_READABLE = {0: "<f4", 1: "<f2", 30: "<u2"}  # F32, F16, BF16
_LORA, _VECTOR = "lora", "controlvector"


def to_bytes(adapter: Adapter, architecture: str, base_sha256: str = "") -> bytes:
    """The content of a GGUF file; the same adapter gives the same bytes.

    Args:
        adapter: A LoRA or a steering vector.
        architecture: Of the base model, such as ``llama``.
        base_sha256: Of the file of the base model, in hexadecimal digits.

    Raises:
        AdapterError: A soft prompt: there is no common file format for it.
    """

    values: dict[str, str | int | float] = {"general.type": "adapter"}
    tensors: dict[str, NDArray[np.float32]] = {}
    if isinstance(adapter, Lora):
        values |= {"general.architecture": architecture, "adapter.type": "lora"}
        values["adapter.lora.alpha"] = float(adapter.alpha)
        for name, (a, b) in adapter.tensors.items():
            tensors[f"{name}.lora_a"], tensors[f"{name}.lora_b"] = a, b
    elif isinstance(adapter, Steering):
        values |= {"general.architecture": _VECTOR, f"{_VECTOR}.model_hint": architecture}
        values[f"{_VECTOR}.layer_count"] = len(adapter.values)
        tensors = {f"direction.{i}": row for i, row in enumerate(adapter.values, start=1)}
    else:
        raise AdapterError("A soft prompt has no common file format.", hint="Export a LoRA or a steering vector.")
    if base_sha256:
        values[BASE_KEY] = base_sha256
    return _gguf(values, tensors)


def read(path: Path, model: Model, base_sha256: str) -> Lora | Steering:
    """Read an adapter made here or elsewhere, in single precision.

    Args:
        path: The GGUF file; F32, F16 and BF16 numbers are read.
        model: The base it is to be used with.
        base_sha256: Of that base's file.

    Raises:
        AdapterError: It was made for another base, does not fit this one, or holds values that are no numbers.
        ModelMissingError: There is no such file.
        ModelCorruptError: It is not a whole GGUF file.
    """
    header = gguf_file.check(path)
    made_for = header.values.get(BASE_KEY, base_sha256)
    if made_for != base_sha256:
        raise AdapterError(
            f"{path.name} was made for a model of SHA-256 {str(made_for)[:12]}…, this one has {base_sha256[:12]}….",
            hint="Use the model it was made for (`mnemon models use`), or learn anew with this one.",
        )
    if header.architecture != _VECTOR and header.values.get("adapter.type") != _LORA:
        raise AdapterError(f"{path.name} is no LoRA and no control vector.", hint="Give an adapter in GGUF format.")
    hint = header.values.get(f"{_VECTOR}.model_hint", model.architecture)
    architecture = hint if header.architecture == _VECTOR else header.architecture
    if architecture != model.architecture:
        raise AdapterError(
            f"{path.name} was made for the architecture {architecture}, this model is {model.architecture}.",
            hint="Use an adapter that was made for this model.",
        )
    with path.open("rb") as file:
        tensors = {name: _numbers(file, name, place) for name, place in header.places.items()}
    if header.architecture == _VECTOR:
        return _steering(path, tensors, model)
    return _lora(path, header, tensors, model)


def load(adapter: Lora, model: Model) -> Any:
    """Give a LoRA to llama.cpp; its handle, to be freed with ``llama_adapter_lora_free``.

    Raises:
        AdapterError: It does not fit the model.
    """
    check_lora(adapter, model)
    with _opened(to_bytes(adapter, model.architecture)) as file:
        handle = native.library().llama_adapter_lora_init_from_file_ptr(model.handle, file)
    if not handle:
        raise AdapterError(
            f"llama.cpp cannot use the LoRA: {native.last_error()}.", hint="Make it anew for this model."
        )
    return handle


def _lora(path: Path, header: gguf_file.Header, tensors: Mapping[str, NDArray[np.float32]], model: Model) -> Lora:
    pairs = {}
    for name, a in tensors.items():
        matrix = name.removesuffix(".lora_a")
        if name.endswith(".lora_a") and f"{matrix}.lora_b" in tensors:
            pairs[matrix] = a, tensors[f"{matrix}.lora_b"]
    if 2 * len(pairs) != len(tensors):
        raise AdapterError(
            f"{path.name} changes more than weight matrices, which is all that can be used.",
            hint="Convert it without norms and embeddings.",
        )
    alpha = header.values.get("adapter.lora.alpha", 0.0)
    lora = Lora(pairs, float(alpha) if isinstance(alpha, int | float) else 0.0)
    check_lora(lora, model)
    return lora


def _steering(path: Path, tensors: Mapping[str, NDArray[np.float32]], model: Model) -> Steering:
    import numpy as np

    layers, width = model.steering_shape
    values = np.zeros((layers, width), np.float32)
    for name, row in tensors.items():
        number = name.removeprefix("direction.")
        known = number.isascii() and number.isdigit() and 1 <= int(number) <= layers
        if not known or row.shape != (width,):
            raise AdapterError(
                f"{path.name} ({name} of {row.shape}) does not fit a model with {layers} × {width} to steer.",
                hint="Use a control vector that was made for this model.",
            )
        values[int(number) - 1] = row
    if not np.isfinite(values).all():
        raise AdapterError(f"{path.name} holds values that are no numbers.", hint="Make it anew, or use another.")
    return Steering(values)


def _numbers(file: Any, name: str, place: gguf_file.Place) -> NDArray[np.float32]:
    import numpy as np

    kind = _READABLE.get(place.kind)
    if kind is None:
        raise AdapterError(
            f"{name} is in a compressed format that is not read here.", hint="Convert it with --outtype f16 or f32."
        )
    count = int(np.prod(place.shape, dtype=np.int64))
    file.seek(place.start)
    raw = np.frombuffer(file.read(count * np.dtype(kind).itemsize), kind)
    if kind == "<u2":  # BF16: the upper half of a single-precision number
        raw = (raw.astype("<u4") << 16).view("<f4")
    return raw.astype(np.float32).reshape(place.shape)


def _gguf(values: Mapping[str, str | int | float], tensors: Mapping[str, NDArray[np.float32]]) -> bytes:
    """Version 3 of the format (ggml's ``docs/gguf.md``), all tensors in F32."""
    import numpy as np

    head = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(values))]
    for key, value in values.items():
        head.append(_text(key))
        if isinstance(value, str):
            head += [struct.pack("<I", _STRING), _text(value)]
        elif isinstance(value, int):
            head.append(struct.pack("<II", _UINT32, value))
        else:
            head.append(struct.pack("<If", _FLOAT32, value))
    offset, data = 0, []
    for name, tensor in tensors.items():
        shape = tensor.shape[::-1]
        head += [_text(name), struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset)]
        raw = np.ascontiguousarray(tensor, "<f4").tobytes()
        data += [raw, bytes(-len(raw) % _ALIGNMENT)]
        offset += len(raw) + len(data[-1])
    size = sum(map(len, head))
    return b"".join([*head, bytes(-size % _ALIGNMENT), *data])


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


@contextlib.contextmanager
def _opened(content: bytes) -> Iterator[Any]:
    """A C ``FILE`` to read ``content`` from: memory itself, or where that cannot be, a file without a name."""
    runtime = ctypes.cdll.msvcrt if os.name == "nt" else ctypes.CDLL(None)
    runtime.fclose.argtypes = [ctypes.c_void_p]
    if hasattr(runtime, "fmemopen"):
        buffer = ctypes.create_string_buffer(content, len(content))
        runtime.fmemopen.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
        runtime.fmemopen.restype = ctypes.c_void_p
        file = runtime.fmemopen(buffer, len(content), b"rb")
    else:
        opener = getattr(runtime, "_fdopen" if os.name == "nt" else "fdopen")
        opener.argtypes, opener.restype = [ctypes.c_int, ctypes.c_char_p], ctypes.c_void_p
        with tempfile.TemporaryFile() as unnamed:
            unnamed.write(content)
            unnamed.seek(0)
            file = opener(os.dup(unnamed.fileno()), b"rb")
    if not file:
        raise AdapterError("There is no memory for a LoRA.", hint="Close other programs and try again.")
    try:
        yield ctypes.cast(file, ctypes.c_void_p)
    finally:
        runtime.fclose(file)
