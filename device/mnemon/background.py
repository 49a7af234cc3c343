"""Work that follows an answer and that nobody waits for."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from mnemon.errors import MnemonError

log = logging.getLogger(__name__)


class Background:
    """One thread that does one thing after the other.

    A job that fails is logged by the kind of its error (never with what was said in it) and does not end the others.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="mnemon-background")
        self._pending: set[Future[None]] = set()
        self._lock = threading.Lock()
        self._closing = False

    def later(self, job: Callable[[], object]) -> None:
        """Do ``job`` when its turn comes; after :meth:`close` it is dropped."""
        with self._lock:
            if self._closing:
                return
            future = self._pool.submit(self._run, job)
            self._pending.add(future)
        future.add_done_callback(self._pending.discard)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to ``timeout`` seconds (None: as long as it takes) and say whether everything is done.

        What a job asks for in its turn is waited for, too.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while pending := [future for future in list(self._pending) if not future.done()]:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if wait(pending, left).not_done:
                return False
        return True

    def close(self, *, patience: float) -> None:
        """Give what is there now ``patience`` seconds, drop what has not begun by then, and end the thread."""
        wait(list(self._pending), patience)
        with self._lock:
            self._closing = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, job: Callable[[], object]) -> None:
        if self._closing:
            return
        try:
            job()
        except MnemonError as error:
            log.warning("background work failed: %s", error.code)
        except Exception as error:  # noqa: BLE001 - nobody looks at the future: unlogged it would be gone for good
            log.error("background work failed: %s", type(error).__name__)


class Warming:
    """Things that are loaded before they are needed, each in a thread of its own."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def load(self, *whats: Callable[[], object]) -> None:
        """Begin to load; an error is left for whoever needs the thing, where it can be shown."""

        def quietly(what: Callable[[], object]) -> None:
            with contextlib.suppress(MnemonError):
                what()

        for what in whats:
            self._threads.append(threading.Thread(target=quietly, args=(what,), name="mnemon-warm", daemon=True))
            self._threads[-1].start()

    def join(self) -> None:
        """Wait: native code that still loads while the program ends would abort it."""
        for thread in self._threads:
            thread.join()
