"""The terminal app: a conversation, the memory behind it, and everything within reach of a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnemon.assistant import Assistant

__all__ = ["run"]


def run(assistant: Assistant) -> None:
    """Open the terminal app and stay in it until the owner quits.

    The assistant is opened by the caller, so that a wrong key or a damaged memory is one line in the shell; it
    is not closed here. The model loads in the background while the owner may already type.

    Raises:
        SettingsError: ``terminal.theme`` is not one of Textual's themes.
    """
    from mnemon.terminal.app import MnemonApp

    MnemonApp(assistant).run()
