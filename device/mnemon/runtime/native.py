"""llama.cpp, brought up quietly: its log goes to :mod:`logging`, never to the terminal.

Only the low-level ctypes functions of llama-cpp-python are used. Its high-level ``Llama`` redirects file
descriptors 1 and 2 of the whole process while it loads, which would blind the terminal app.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import os
from typing import Any

logger = logging.getLogger("mnemon.llama_cpp")
logger.addHandler(logging.NullHandler())  # without it Python prints warnings to stderr when nobody set up logging

_LEVELS = {1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.DEBUG}
_ERROR, _CONTINUED = 3, 5
_M_MMAP_THRESHOLD, _LARGE = -3, 4 << 20


class _Log:
    """Turns llama.cpp's fragments into log records and keeps the last error: all that says why a load failed."""

    def __init__(self) -> None:
        self.last_error = ""
        self._level = 0
        self._line = ""

    def __call__(self, level: int, text: bytes | None, _user_data: object) -> None:
        if level != _CONTINUED:
            self._level, self._line = level, ""
        self._line += (text or b"").decode("utf-8", "replace")
        if not self._line.endswith("\n"):
            return
        line, self._line = self._line.strip(), ""
        if self._level == _ERROR and line:
            self.last_error = line.split(": ", 1)[-1]
        if line:
            logger.log(_LEVELS.get(self._level, logging.DEBUG), "%s", line)


_log = _Log()


@functools.cache
def library() -> Any:
    """The ctypes bindings, with the log bridged and the back ends started. Importing them takes some 0.15 s."""
    import llama_cpp.llama_cpp as bindings

    callback = bindings.llama_log_callback(_log)
    bindings.llama_log_set(callback, None)
    library.callback = callback  # type: ignore[attr-defined]  # native code holds the pointer as long as we live
    bindings.llama_backend_init()
    _keep_large_blocks_apart()
    return bindings


def _keep_large_blocks_apart() -> None:
    """Have glibc give blocks of 4 MB and more back when they are freed.

    It raises its limit to the largest block freed so far, and llama.cpp makes its compute buffer anew whenever
    adapters change: after 20 steps of learning with the built-in model the process had taken 157 MB at most, so 112.
    It costs a step some 5 %, but for steering vectors: :mod:`mnemon.runtime.steering_rows` writes them in place.
    """
    with contextlib.suppress(AttributeError, OSError):  # no glibc
        ctypes.CDLL("libc.so.6").mallopt(_M_MMAP_THRESHOLD, _LARGE)


def returning_address(name: str) -> Any:
    """A function of a context and a number that returns a pointer, as a plain number: 1 µs less than an object."""
    return ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)((name, library()._lib))


def last_error() -> str:
    """What llama.cpp complained about last, for the message of an exception."""
    return _log.last_error


class AbortFlag:
    """A flag that stops a running decode, raised from any thread.

    llama.cpp asks its abort callback before every node of the graph. A Python callback would take the GIL some
    200 times a token; C's ``strlen`` on a one-byte string answers the same question in nanoseconds:
    0 while the byte is zero, 1 once it is set.
    """

    def __init__(self) -> None:
        self._bytes = (ctypes.c_char * 2)()
        runtime = ctypes.cdll.msvcrt if os.name == "nt" else ctypes.CDLL(None)
        self.callback = ctypes.cast(runtime.strlen, library().ggml_abort_callback)

    @property
    def data(self) -> ctypes.c_void_p:
        """What the callback has to be given."""
        return ctypes.cast(self._bytes, ctypes.c_void_p)

    def raise_(self) -> None:
        """Stop the decode that is running, or the next one."""
        self._bytes[0] = b"\x01"

    def lower(self) -> None:
        """Let decodes run again."""
        self._bytes[0] = b"\x00"

    def __bool__(self) -> bool:
        return bool(self._bytes[0] != b"\x00")


class ThreadPool:
    """The threads of a context's decodes, kept from one to the next.

    Without it llama.cpp makes up a pool for every decode: 6 of the built-in model's 480 µs a token, and new threads
    each time where it was built without OpenMP. Where the library lacks these functions nothing is attached.

    Args:
        context: A ``llama_context``; free it before the pool.
        threads: The most that a decode will use.
    """

    def __init__(self, context: Any, threads: int) -> None:
        self._pool: int | None = None
        self._native = library()._lib
        try:
            fill, make = self._native.ggml_threadpool_params_init, self._native.ggml_threadpool_new
            attach = self._native.llama_attach_threadpool
            self._free = self._native.ggml_threadpool_free
        except AttributeError:
            return
        parameters = ctypes.create_string_buffer(4096)  # ggml_threadpool_params, 528 bytes in 2026
        fill.argtypes, fill.restype = [ctypes.c_void_p, ctypes.c_int], None
        fill(parameters, threads)
        make.argtypes, make.restype = [ctypes.c_void_p], ctypes.c_void_p
        self._pool = make(parameters)
        attach.argtypes, attach.restype = [ctypes.c_void_p] * 3, None
        attach(context, self._pool, self._pool)

    def close(self) -> None:
        """End the threads; calling it again does nothing."""
        pool, self._pool = self._pool, None
        if pool is not None:
            self._free.argtypes, self._free.restype = [ctypes.c_void_p], None
            self._free(pool)
