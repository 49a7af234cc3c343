"""The terminal app: a conversation, the memory behind it, and everything within reach of a key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

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

    with _logging_to(assistant.home.log):
        MnemonApp(assistant).run()


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Warnings go to a file while the app has the screen; it is made when there is the first of them."""
    import logging
    from logging.handlers import RotatingFileHandler

    log = logging.getLogger("mnemon")
    handler = RotatingFileHandler(path, maxBytes=1 << 20, backupCount=1, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    before, log.handlers = log.handlers, [handler]
    try:
        yield
    finally:
        log.handlers = before
        handler.close()
