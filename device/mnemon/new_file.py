"""A file that a person asked for: a new one, whole or not there, which nobody else may read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from mnemon.errors import DiskFullError, TransferError


def write(path: Path, content: bytes) -> None:
    """Write it; an existing file is never replaced.

    Raises:
        TransferError: The file exists, or cannot be written.
        DiskFullError: No space is left.
    """
    path = path.expanduser()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    except FileExistsError:
        raise TransferError(f"{path} exists already.", hint="Choose another name.") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            path.unlink(missing_ok=True)
            raise DiskFullError(f"No space is left for {path}.", hint="Free some space and try again.") from error
        raise TransferError(f"{path} cannot be written: {error.strerror}.", hint="Choose another place.") from error
