"""Alt+Enter on terminals that send it the old way.

Most terminals, and tmux, send Alt+Enter as ``ESC CR``. Textual 8.2 reads that as a plain Enter, so the message would
be sent where a new line was wanted. Its table of sequences has to be told; a test checks that it still listens.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, cast


class _ExtraKeys(Enum):
    ALT_ENTER = "alt+enter"


def teach() -> None:
    """Add the sequence to Textual's table; doing it again changes nothing."""
    from textual._ansi_sequences import ANSI_SEQUENCES_KEYS

    table = cast("dict[str, Any]", ANSI_SEQUENCES_KEYS)
    table["\x1b\r"] = table["\x1b\n"] = (_ExtraKeys.ALT_ENTER,)
