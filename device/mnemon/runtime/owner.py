"""The one thread that owns a model, and whose turn it is there: a person goes before the work of the background.

A job is a generator that yields between decodes: there the owner looks whether somebody more important waits. A
decode that is already running is ended by the engine's abort flag.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mnemon.errors import MnemonError, ModelError
from mnemon.runtime.chat_model import Priority

if TYPE_CHECKING:
    from mnemon.runtime.engine import Engine
    from mnemon.runtime.sequences import Sequences

_PAUSE = 3.0
"""Seconds without work after which conversations are written to disk."""

Steps = Generator[None, None, None]


class Stoppable(Protocol):
    """An answer, as far as the owner has to know it."""

    stopped: bool

    def end(self, reason: BaseException) -> None:
        """Tell its reader that it is over."""


@dataclass(order=True, slots=True)
class _Job:
    priority: int
    number: int
    steps: Steps = field(compare=False)
    abandon: Callable[[], None] = field(compare=False)
    """Tells who waits for it that it will never be done."""
    answer: Stoppable | None = field(compare=False, default=None)
    adapts: bool = field(compare=False, default=False)


class Owner:
    """Runs jobs, the most important first, until it is closed; then closes all that it owns.

    Args:
        engine: Used by nobody else; closed at the end, and its model too.
        sequences: Written to disk in pauses and at the end.
        between: Called before a job begins or goes on, but for those that say of every decode which adapters are for
            it: one evaluation of learning finds what the one before it has set.
    """

    def __init__(self, engine: Engine, sequences: Sequences, between: Callable[[], None] = lambda: None) -> None:
        self._engine, self._sequences, self._between = engine, sequences, between
        self._guests: list[Callable[[], None]] = []
        self._condition = threading.Condition()
        self._heap: list[_Job] = []
        self._numbers = itertools.count()
        self._current: _Job | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="mnemon-model", daemon=True)
        self._thread.start()

    # -- from any thread --------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Hold off closing.

        Raises:
            ModelError: It is closed already.
        """
        with self._condition:
            self._refuse_when_closed()
            yield

    def submit(
        self,
        priority: int,
        steps: Steps,
        abandon: Callable[[], None],
        answer: Stoppable | None = None,
        *,
        adapts: bool = False,
    ) -> None:
        """Have ``steps`` run when it is their turn; less important work that is running makes room.

        Args:
            priority: The less, the more important.
            steps: The work.
            abandon: Tells who waits for it that it will never be done.
            answer: What it is for, if anybody may stop it.
            adapts: It says of every decode which adapters are for it.
        """
        with self._condition:
            self._refuse_when_closed()
            job = _Job(priority, next(self._numbers), steps, abandon, answer, adapts)
            heapq.heappush(self._heap, job)
            if self._current is not None and job < self._current:
                self._engine.abort()
            self._condition.notify_all()

    def wait_for(self, priority: int, work: Callable[[], Generator[None, None, Any]], *, adapts: bool = False) -> Any:
        """Run ``work`` and return what it returns; as :meth:`submit`."""
        future: Future[Any] = Future()

        def steps() -> Steps:
            try:
                future.set_result((yield from work()))
            except Exception as error:  # noqa: BLE001  (raised again where somebody waits)
                future.set_exception(_told(error))

        self.submit(priority, steps(), lambda: future.set_exception(_closed()), adapts=adapts)
        return future.result()

    def call(self, work: Callable[[], None]) -> None:
        """Run something short, and wait for it."""

        def steps() -> Generator[None, None, None]:
            work()
            yield from ()

        self.wait_for(Priority.PERSON, steps)

    def interrupt(self, answer: Stoppable) -> None:
        """End the decode that is running if it is for ``answer``."""
        with self._condition:
            if self._current is not None and self._current.answer is answer:
                self._engine.abort()

    def close(self) -> None:
        """Stop everything and wait until all is closed; calling it again does nothing."""
        with self._condition:
            self._closing = True
            for job in [*self._heap, *([self._current] if self._current else [])]:
                if job.answer:
                    job.answer.stopped = True
            self._engine.abort()
            self._condition.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    # -- in the owner thread ----------------------------------------------------------------------------------

    def keep(self, close: Callable[[], None]) -> None:
        """Something else lives on the model: ``close`` it before the model is closed, if nobody has by then."""
        self._guests.append(close)

    def let_go(self, close: Callable[[], None]) -> None:
        """What :meth:`keep` was told of is closed."""
        if close in self._guests:
            self._guests.remove(close)

    def resume(self) -> None:
        """Lower the flag somebody raised to get in between; whoever it was has had their turn."""
        with self._condition:
            job = self._current
            waiting = self._heap and job and self._heap[0] < job
            if not (waiting or self._closing or (job and job.answer and job.answer.stopped)):
                self._engine.resume()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            self._work_on(job)
        for left in self._heap:
            left.steps.close()
            left.abandon()
        for close in list(self._guests):
            close()
        self._sequences.close()
        self._engine.close()
        self._engine.model.close()

    def _next(self) -> _Job | None:
        """The most important job, or None when it is time to close; waits, and saves when nothing comes."""
        with self._condition:
            self._current = None
            while not self._heap and not self._closing:
                if not self._condition.wait(_PAUSE if self._sequences.unsaved else None) and not self._heap:
                    self._sequences.save()
            if self._closing:
                return None
            self._current = heapq.heappop(self._heap)
            self._engine.resume()
            return self._current

    def _work_on(self, job: _Job) -> None:
        heap, steps = self._heap, job.steps
        if not job.adapts:
            self._between()
        try:
            for _ in steps:
                if self._closing or (heap and heap[0] < job):
                    with self._condition:
                        heapq.heappush(heap, job)
                        self._current = None
                    return
        except Exception as error:  # noqa: BLE001  (the owner thread must outlive any one answer)
            if job.answer:
                job.answer.end(_told(error))

    def _refuse_when_closed(self) -> None:
        if self._closing:
            raise _closed()


def _closed() -> ModelError:
    return ModelError("The model is closed.", hint="Load it again.")


def _told(error: BaseException) -> BaseException:
    """An error as readers may expect it: one of Mnemon's own."""
    if isinstance(error, MnemonError):
        return error
    told = ModelError(f"The model failed: {error!r}.", hint="Try again; if it happens again, see `mnemon doctor`.")
    told.__cause__ = error
    return told
