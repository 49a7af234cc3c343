"""A program as a person has it before them: at a terminal, with keys to press when it asks."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from typing import Final

HANG_SECONDS: Final = 300
"""What takes longer does not happen at all."""
AGAIN_SECONDS: Final = 15
"""Nothing happened for so long: keys are pressed again, as a person would. Python does not notice a Ctrl-C that comes
between the printed question and the read that waits for its answer, until something is read."""
_OWNING: Final = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)
"""Makes the terminal the program's own, as a shell does: only then Ctrl-C reaches it."""


def at_a_terminal(*words: str, keys: bytes, code: int = 0) -> str:
    """What is to be seen of a program that asks one question with the default "n".

    Args:
        keys: What is pressed then.
        code: The exit code it has to end with.
    """
    near, far = pty.openpty()
    seen, pressed, silent, until = b"", False, 0, time.monotonic() + HANG_SECONDS
    terminal = os.environ | {"TERM": "xterm", "COLUMNS": "500"}
    command = (sys.executable, "-c", _OWNING, *words)
    with subprocess.Popen(
        command, stdin=far, stdout=far, stderr=far, env=terminal, start_new_session=True
    ) as program:
        os.close(far)
        try:
            while time.monotonic() < until:
                if not select.select([near], [], [], 1)[0]:
                    silent += 1
                    if pressed and silent % AGAIN_SECONDS == 0:
                        os.write(near, keys)
                    continue
                silent = 0
                try:
                    seen += os.read(near, 65536)
                except OSError:  # nobody is at the other end any more
                    break
                if not pressed and b"[n]: " in seen:
                    os.write(near, keys)
                    pressed = True
        finally:
            os.close(near)
            program.kill() if time.monotonic() > until else program.wait(HANG_SECONDS)
    assert (pressed, program.returncode) == (True, code), seen
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", seen.decode()).replace("\r\n", "\n")
