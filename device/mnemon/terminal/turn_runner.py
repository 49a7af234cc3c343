"""One turn in a thread of its own: turns are blocking iterators, and the window must never freeze."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.message import Message

from mnemon.turns import ConsentAsked

if TYPE_CHECKING:
    from mnemon.turns import Turn, TurnEvent


class TurnRunner:
    """Runs a turn and posts what happens in it.

    Args:
        begin: Starts the turn; called in the thread, because it already writes to the store. None: nothing to do.
        post: Takes the messages, from any thread.
    """

    class Progress(Message):
        """The turn has news."""

        def __init__(self, runner: TurnRunner, event: TurnEvent) -> None:
            super().__init__()
            self.runner = runner
            self.event = event

    class Asked(Message):
        """Words would leave: the turn waits until :meth:`settle` is called."""

        def __init__(self, runner: TurnRunner, consent: ConsentAsked) -> None:
            super().__init__()
            self.runner = runner
            self.consent = consent

        def settle(self) -> None:
            """Let the turn go on, with what was allowed by now."""
            self.runner._settled.set()

    class Ended(Message):
        """The turn is over; ``error`` says why when it failed."""

        def __init__(self, runner: TurnRunner, error: Exception | None) -> None:
            super().__init__()
            self.runner = runner
            self.error = error

    def __init__(self, begin: Callable[[], Turn | None], post: Callable[[Message], bool]) -> None:
        self._begin = begin
        self._post = post
        self._turn: Turn | None = None
        self._stopping = False
        self._lock = threading.Lock()
        self._settled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mnemon-turn", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the answer and keep what there is of it; returns at once, and may be called again."""
        with self._lock:
            self._stopping = True
            turn = self._turn
        if turn is not None:
            turn.stop()
        self._settled.set()

    def join(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for the end; True when it has come."""
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        error: Exception | None = None
        try:
            turn = self._begin()
            if turn is not None:
                with self._lock:
                    self._turn = turn
                    stopping = self._stopping
                if stopping:
                    turn.stop()
                for event in turn:
                    if isinstance(event, ConsentAsked):
                        self._wait_for_word(event)
                    else:
                        self._post(self.Progress(self, event))
        except Exception as failure:  # noqa: BLE001 - whatever it is, the owner gets the text and the input back
            error = failure
        self._post(self.Ended(self, error))

    def _wait_for_word(self, consent: ConsentAsked) -> None:
        self._settled.clear()
        with self._lock:
            stopping = self._stopping
        if not stopping and self._post(self.Asked(self, consent)):
            self._settled.wait()
