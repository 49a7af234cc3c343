"""The short-lived keys to which questions are sealed: in this process's memory only, forgotten when they expire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from mnemon_cloud.devices.authentication import wall_clock_ms
from mnemon_protos.sealing import key_id, key_statement
from mnemon_protos.v1.answers_pb2 import GetSealingKeyResponse

ROTATED_MS = 3_600_000
"""A new key is handed out after this long."""
KEPT_MS = 2 * ROTATED_MS
"""A key opens questions for this long after it was made: an hour at least after it was last handed out."""


@dataclass(frozen=True, slots=True, repr=False)
class _Key:
    private: X25519PrivateKey
    made_at_ms: int


class SealingKeys:
    """The keys of one serving process.

    Args:
        identity: Signs them.
        now_ms: The clock; tests set it.
    """

    def __init__(self, identity: Ed25519PrivateKey, now_ms: Callable[[], int] = wall_clock_ms) -> None:
        self._identity = identity
        self._now_ms = now_ms
        self._keys: dict[bytes, _Key] = {}
        self._newest = b""

    def current(self) -> GetSealingKeyResponse:
        """The key to seal to now, signed."""
        now = self._now_ms()
        self.forget_old()
        newest = self._keys.get(self._newest)
        if newest is None or not 0 <= now - newest.made_at_ms < ROTATED_MS:
            newest = _Key(X25519PrivateKey.generate(), now)
            self._newest = key_id(newest.private.public_key().public_bytes_raw())
            self._keys[self._newest] = newest
        public_key = newest.private.public_key().public_bytes_raw()
        expires = newest.made_at_ms + KEPT_MS
        return GetSealingKeyResponse(
            public_key=public_key,
            key_id=self._newest,
            expires_at_ms=expires,
            signature=self._identity.sign(key_statement(public_key=public_key, expires_at_ms=expires)),
        )

    def find(self, id: bytes) -> X25519PrivateKey | None:
        """The private half of a key that has not expired."""
        self.forget_old()
        found = self._keys.get(id)
        return None if found is None else found.private

    def forget_old(self) -> None:
        """Drop keys that expired."""
        now = self._now_ms()
        for id in [i for i, key in self._keys.items() if now - key.made_at_ms >= KEPT_MS]:
            del self._keys[id]
