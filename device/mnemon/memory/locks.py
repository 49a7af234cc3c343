"""Processes that know of each other: one at a time where files are made, and who else is there.

The locks are the system's own (``flock``): they go with the process, however it ends. Where there are none
(Windows), nothing is locked: renames there fail rather than overwrite.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_LOCKS = os.name == "posix"


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process; others wait. The lock goes with the process, however it ends.

    The folder itself is locked, so that no lock file is left behind.

    Raises:
        OSError: The folder cannot be opened.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a file that is there; :func:`abandoned` says no about it meanwhile.

    Raises:
        OSError: It cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        _try_lock(handle)
        yield
    finally:
        os.close(handle)


def abandoned(path: Path) -> bool:
    """Whether the file is there and no process holds it. Where nothing can be locked, that is never known."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return _try_lock(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def sole(path: Path) -> Iterator[bool]:
    """Hold a lock file, made when it is not there; False when another process holds it. Nobody waits."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield _try_lock(handle) or not _LOCKS
    finally:
        os.close(handle)


class Presence:
    """Shows other processes that this one is there, until it is closed or the process ends.

    Args:
        path: An empty file; made when it is not there.

    Attributes:
        first: Nobody else was there when this one came.
    """

    def __init__(self, path: Path) -> None:
        self._handle: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self.first = _try_lock(self._handle)
        _share(self._handle)

    def close(self) -> None:
        """Leave; leaving twice is fine."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _try_lock(handle: int) -> bool:
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _share(handle: int) -> None:
    """Waits, for microseconds: another process may hold the lock alone while it finds out whether it is the first."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_SH)
