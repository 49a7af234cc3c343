"""Who may have a place in the engine now: a bounded queue, and early refusals with the time to try again."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from mnemon_cloud.errors import CallRefusedError, Reason
from mnemon_cloud.metrics import Metrics

_FIRST_GUESS_SECONDS = 5.0
_SMOOTHING = 0.2  # weight of the newest answer in the running mean


class Admission:
    """Places in the engine, and the queue before them.

    Args:
        places: Answers at a time.
        queue: Questions that may wait.
        per_device: Answers of one device, running and waiting.
        metrics: Where queue and places are shown.
    """

    def __init__(self, *, places: int, queue: int, per_device: int, metrics: Metrics) -> None:
        self._places = places
        self._queue = queue
        self._per_device = per_device
        self._metrics = metrics
        self._free = asyncio.Semaphore(places)
        self._waiting = 0
        self._devices: Counter[bytes] = Counter()
        self._mean_seconds = _FIRST_GUESS_SECONDS

    @property
    def running(self) -> int:
        """Answers and waiting questions."""
        return self._devices.total()

    @asynccontextmanager
    async def place(self, device_id: bytes) -> AsyncIterator[None]:
        """Hold a place, after waiting in the queue if need be; questions go in the order they came.

        Raises:
            CallRefusedError: The device has enough running, or the queue is full.
        """
        if self._devices[device_id] >= self._per_device:
            raise CallRefusedError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                Reason.DEVICE_BUSY,
                "The device has as many questions running as it may.",
                retry_after=self._delay(0),
            )
        if self._free.locked() and self._waiting >= self._queue:
            raise CallRefusedError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                Reason.QUEUE,
                "The server is busy.",
                retry_after=self._delay(self._waiting),
            )
        self._devices[device_id] += 1
        try:
            await self._wait()
            started = time.monotonic()
            self._metrics.answering.inc()
            try:
                yield
            finally:
                self._metrics.answering.dec()
                self._free.release()
                self._mean_seconds += _SMOOTHING * (time.monotonic() - started - self._mean_seconds)
        finally:
            self._devices[device_id] -= 1
            if not self._devices[device_id]:
                del self._devices[device_id]

    async def _wait(self) -> None:
        self._waiting += 1
        self._metrics.waiting.inc()
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
            self._metrics.waiting.dec()

    def _delay(self, waiting: int) -> float:
        """Seconds until a place is likely free behind ``waiting`` others, at least one."""
        return max(1.0, self._mean_seconds * (waiting + 1) / self._places)
