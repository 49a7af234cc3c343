"""Tokens a day: reserved before an answer begins, settled when it ends."""

from __future__ import annotations

from collections.abc import Callable

import grpc

from mnemon_cloud.devices.authentication import wall_clock_ms
from mnemon_cloud.errors import CallRefusedError, Reason
from mnemon_cloud.storage import Storage

_DAY_MS = 86_400_000


class Reservation:
    """Tokens taken for one answer."""

    def __init__(self, storage: Storage, device_id: bytes, day: int, tokens: int) -> None:
        self._storage = storage
        self._device_id = device_id
        self._day = day
        self._tokens = tokens

    async def settle(self, used: int) -> None:
        """Return what was not used, or charge what was used beyond an estimate; a second call does nothing.

        A process that dies before it keeps the whole.
        """
        spare, self._tokens = self._tokens - used, used
        if spare > 0:
            await self._storage.give_back(self._device_id, self._day, spare)
        elif spare < 0:
            await self._storage.reserve(self._device_id, self._day, -spare, limit=0)


class Quotas:
    """The allowance of every device.

    Args:
        storage: Where use is counted.
        limit: Tokens a day (UTC); 0 means none.
        now_ms: The clock; tests set it.
    """

    def __init__(self, storage: Storage, limit: int, now_ms: Callable[[], int] = wall_clock_ms) -> None:
        self._storage = storage
        self.limit = limit
        self._now_ms = now_ms

    async def reserve(self, device_id: bytes, tokens: int) -> Reservation:
        """Take ``tokens`` from today's allowance.

        Raises:
            CallRefusedError: They are not left; try again tomorrow (UTC).
        """
        now = self._now_ms()
        day = now // _DAY_MS
        if not await self._storage.reserve(device_id, day, tokens, limit=self.limit):
            raise CallRefusedError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                Reason.QUOTA,
                "The device's allowance for today does not cover this question.",
                retry_after=(_DAY_MS - now % _DAY_MS) / 1000,
            )
        return Reservation(self._storage, device_id, day, tokens)

    async def left(self, device_id: bytes) -> int:
        """Tokens left today; -1 without a limit."""
        if not self.limit:
            return -1
        return max(0, self.limit - await self._storage.used(device_id, self._now_ms() // _DAY_MS))
