"""What every screen can count on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from textual.dom import DOMNode

if TYPE_CHECKING:
    from mnemon.assistant import Assistant
    from mnemon.terminal.app import MnemonApp

P = ParamSpec("P")
R = TypeVar("R")


class Connected(DOMNode):
    """Mixed into screens: the app with its real type, the assistant, and blocking work kept off the window."""

    @property
    def mnemon(self) -> MnemonApp:
        """The app."""
        return cast("MnemonApp", self.app)

    @property
    def assistant(self) -> Assistant:
        """The assistant all screens share."""
        return self.mnemon.assistant

    async def blocking(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run ``call`` in a thread: memory and model block, the window must not."""
        return await asyncio.to_thread(call, *args, **kwargs)

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Whatever goes wrong inside is told to the owner in one line, and the app goes on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - nothing may take the app down with what the owner wrote
            self.mnemon.report(error)
