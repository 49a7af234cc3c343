"""Writing a message in the owner's own editor."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from mnemon.errors import InputError


def editor_command() -> list[str]:
    """What ``VISUAL`` or ``EDITOR`` say, else the first common editor that is installed.

    Raises:
        InputError: There is none.
    """
    chosen = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if chosen:
        return shlex.split(chosen)
    for name in ("nano", "vi", "notepad"):
        if path := shutil.which(name):
            return [path]
    raise InputError("No editor was found.", hint="Set EDITOR to the one you like.")


def edit(text: str) -> str:
    """Let the owner edit ``text`` and return what they saved; blocks until the editor ends.

    The draft has to be a plain file while the editor has it. It lies in memory (``/dev/shm`` or
    ``XDG_RUNTIME_DIR``) where there is such a place, mode 0600, and is overwritten and removed afterwards.

    Raises:
        InputError: No editor, or it failed.
    """
    command = editor_command()
    with tempfile.TemporaryDirectory(prefix="mnemon-", dir=_private_place()) as folder:
        path = Path(folder) / "message.md"
        path.touch(mode=0o600)
        path.write_text(text, "utf-8")
        try:
            done = subprocess.run([*command, str(path)], check=False)  # noqa: S603 - the owner's own choice
        except OSError as error:
            raise InputError(f"{command[0]} cannot be started: {error.strerror}.", hint="Check EDITOR.") from error
        written = path.read_text("utf-8", errors="replace")
        path.write_bytes(b"\0" * path.stat().st_size)
    if done.returncode != 0:
        raise InputError(f"{command[0]} ended with {done.returncode}; the text is as it was.", hint="Check EDITOR.")
    return written.rstrip("\n")


def _private_place() -> str | None:
    for place in (os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm"):  # noqa: S108 - a folder of our own is made in it
        if place and Path(place).is_dir() and os.access(place, os.W_OK):
            return place
    return None
