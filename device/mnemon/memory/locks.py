"""One process at a time, for the moments that make files: the first key, the first memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process; others wait. The lock goes with the process, however it ends.

    The folder itself is locked, so that no lock file is left behind. Where the system has no ``flock``
    (Windows), nothing is locked: renames there fail rather than overwrite.

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
