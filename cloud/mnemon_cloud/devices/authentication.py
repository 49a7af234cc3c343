"""Who calls: a signed call is checked against the device's key, the clock and the nonces used before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from mnemon_cloud.errors import Reason, refused
from mnemon_cloud.storage import Device, Storage
from mnemon_protos.encoding import WireError
from mnemon_protos.signing import ACCEPTED_MS, METADATA_KEY, call_statement, parse_authorization, verified


def wall_clock_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


class Authenticator:
    """Checks the authorization of calls.

    Args:
        storage: Devices and nonces.
        server_key: The server's identity; a call signed for another server is refused.
        now_ms: The clock; tests set it.
    """

    def __init__(self, storage: Storage, server_key: bytes, now_ms: Callable[[], int] = wall_clock_ms) -> None:
        self._storage = storage
        self._server_key = server_key
        self._now_ms = now_ms

    async def authenticate(self, method: str, metadata: Iterable[tuple[str, str | bytes]], body: bytes) -> Device:
        """The device that signed this call.

        The nonce is used last: only a call that is right in everything else takes up a row.

        Raises:
            CallRefusedError: Always the same status and text; the reason is for metrics.
            StorageError: The state cannot be read.
        """
        values = [value for key, value in metadata if key == METADATA_KEY]
        if len(values) != 1 or not isinstance(values[0], bytes):
            raise refused(Reason.UNSIGNED)
        try:
            claimed = parse_authorization(values[0])
        except WireError as error:
            raise refused(Reason.MALFORMED) from error
        now = self._now_ms()
        if abs(now - claimed.signed_at_ms) > ACCEPTED_MS:
            raise refused(Reason.CLOCK)
        device = await self._storage.device(claimed.device_id)
        if device is None:
            raise refused(Reason.DEVICE)
        statement = call_statement(
            server_key=self._server_key,
            method=method,
            device_id=claimed.device_id,
            signed_at_ms=claimed.signed_at_ms,
            nonce=claimed.nonce,
            body=body,
        )
        if not verified(device.public_key, claimed.signature, statement):
            raise refused(Reason.SIGNATURE)
        if device.revoked_at_ms is not None:
            raise refused(Reason.REVOKED)
        # Kept until the signature is too old by any clock of ours: one that ran ahead by a minute included.
        until = claimed.signed_at_ms + 2 * ACCEPTED_MS
        if not await self._storage.claim_nonce(device.id, claimed.nonce, until_ms=until, now_ms=now):
            raise refused(Reason.REPLAY)
        return device
