"""How many threads a decode may use while other programs want the processor too.

The threads of a decode meet some hundred times a token and wait for each other spinning. When another program takes
the core of one, the others burn theirs until it comes back: beside busy processes on both of two cores the built-in
model needed 27 ms a token with two threads and 1.5 with one, a 0.5B model seconds against 0.07. So threads are
given up while others are at work, and taken back when they have gone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

_LOOK = 0.05
"""Seconds of decoding between two looks."""
_SHARE = 0.7
"""Of the time its threads want, the part that a decode gets: 0.9 to 1.0 when alone, 0.1 to 0.5 in a crowd."""
_IDLE = 0.02
"""Seconds after a decode in which its threads may still spin and look like somebody else's."""
_RETRY, _RETRY_AT_MOST = 0.25, 30.0
"""Seconds until threads are taken back, doubled each time that was too early: a single token can take seconds."""


def usable_cores() -> int:
    """CPU cores this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        return os.cpu_count() or 1


def runnable() -> int:
    """Threads of the whole machine that run or could run now, this one included; 1 where it does not tell."""
    try:
        return int(Path("/proc/loadavg").read_text("ascii").split()[3].split("/")[0])
    except (OSError, ValueError, IndexError):
        return 1


class Crowding:
    """Says how many threads to decode with. Belongs to the thread that decodes.

    Args:
        most: Threads when nobody else is there.
        clock: Seconds that have passed.
        spent: Seconds of processor time that this process has had, all its threads together.
        running: See :func:`runnable`.
        cores: Of the machine, not of this process: others may run on any of them.
    """

    def __init__(
        self,
        most: int,
        *,
        clock: Callable[[], float] = time.perf_counter,
        spent: Callable[[], float] = time.process_time,
        running: Callable[[], int] = runnable,
        cores: int | None = None,
    ) -> None:
        self.threads = self._most = most
        self._clock, self._spent, self._running = clock, spent, running
        self._cores = cores or os.cpu_count() or most
        self._retry = _RETRY
        self._since = self._last = -1.0
        self._had = 0.0
        self._until = 0.0
        self._short = False

    def begin(self) -> int:
        """Threads for a decode of many tokens: after a pause, whoever runs now is somebody else."""
        now = self._clock()
        if self._most > 1 and now - self._last > _IDLE:
            free = self._free()
            if free < self._most:  # a moment's noise, or somebody at work?
                time.sleep(0.001)
                free = max(free, self._free())
            self.threads = free
            self._until = now + _RETRY
            self._start(self._clock())
        return self.threads

    def look(self, now: float) -> int:
        """Threads for the next decode; called after each with the time, works every 50 ms."""
        self._last = now
        if now - self._since < _LOOK or self._most == 1:
            return self.threads
        share = (self._spent() - self._had) / (now - self._since) / self.threads
        before, self._short = self._short, share < _SHARE
        if self.threads > 1 and self._short:
            # one short stretch may be a moment's noise: it would cost half the speed until threads are taken back
            if before or self._running() > self.threads:
                self.threads //= 2
                self._short = False
                self._until = now + self._retry
                self._retry = min(2 * self._retry, _RETRY_AT_MOST)
        elif self.threads < self._most and now >= self._until:
            self.threads = max(self.threads, min(2 * self.threads, self._free()))
            self._until = now + _RETRY
        elif self.threads == self._most:
            self._retry = max(_RETRY, self._retry - (now - self._since))
        self._start(now)
        return self.threads

    def _free(self) -> int:
        """Threads that would find a core of their own, at least 1."""
        return max(1, min(self._most, self._cores - (self._running() - 1)))

    def _start(self, now: float) -> None:
        self._since = self._last = now
        self._had = self._spent()
