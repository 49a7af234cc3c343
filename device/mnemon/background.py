"""Work that follows an answer and that nobody waits for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from mnemon.errors import MnemonError

log = logging.getLogger(__name__)


class Background:
    """One thread that does one thing after the other.

    A job that fails is logged by its error's code (never with what was said in it) and does not end the others: what
    it should have done is still marked as open in memory and is taken up at the next start.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="mnemon-background")
        self._pending: set[Future[None]] = set()
        self._closing = threading.Event()

    def later(self, job: Callable[[], object]) -> None:
        """Do ``job`` when its turn comes; after :meth:`close` it is dropped."""
        if self._closing.is_set():
            return
        future = self._pool.submit(self._run, job)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to ``timeout`` seconds (None: as long as it takes) and say whether everything is done."""
        return not wait(list(self._pending), timeout).not_done

    def close(self, *, patience: float) -> None:
        """Give what is under way ``patience`` seconds, drop what has not begun, and end the thread."""
        self.wait(patience)
        self._closing.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, job: Callable[[], object]) -> None:
        if self._closing.is_set():
            return
        try:
            job()
        except MnemonError as error:
            log.warning("background work failed: %s", error.code)
