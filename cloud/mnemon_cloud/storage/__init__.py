"""What the server remembers: devices, invites, used nonces, quotas, an audit, and for a while answers sealed to their
device; never a word that can be read.

Several implementations stand behind :class:`Storage`, and the same tests run against each. Every method is atomic:
two processes on the same storage never both win where only one may.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mnemon_cloud.settings import StorageSettings

KEPT_DAYS = 35
"""Days for which used tokens are kept."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device that enrolled. Times in milliseconds since 1970, UTC."""

    id: bytes
    public_key: bytes
    enrolled_at_ms: int
    revoked_at_ms: int | None


@dataclass(frozen=True, slots=True)
class InviteRecord:
    """An invite, known by a hash: whoever reads the storage cannot enrol."""

    id: bytes
    created_at_ms: int
    expires_at_ms: int
    used_by: bytes | None
    revoked: bool


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something that changed who may ask."""

    at_ms: int
    event: str
    subject: bytes


class Storage(Protocol):
    """Where the state lives. Every method may raise ``StorageError``."""

    async def check(self) -> None:
        """Read something, to see that the storage answers; and write something after anything failed."""
        ...

    async def close(self) -> None:
        """Let go of it; calling it again does nothing."""
        ...

    async def add_invite(self, id: bytes, *, created_at_ms: int, expires_at_ms: int) -> None:
        """Remember an invite by the hash of its secret."""
        ...

    async def invites(self) -> list[InviteRecord]:
        """All invites, newest first."""
        ...

    async def revoke_invite(self, id: bytes, *, now_ms: int) -> bool:
        """Make an unused invite worthless; False when there is none such."""
        ...

    async def redeem(self, invite: bytes, *, public_key: bytes, device_id: bytes, now_ms: int) -> bytes | None:
        """Trade an invite for a device, once.

        Returns:
            The device's id: ``device_id``, or the one it got before when the same key redeems the same invite again.
            None when the invite is unknown, expired, revoked or used with another key, or the key is taken.
        """
        ...

    async def device(self, id: bytes) -> Device | None:
        """The device, also a revoked one."""
        ...

    async def devices(self) -> list[Device]:
        """All devices, newest first."""
        ...

    async def replace_key(self, id: bytes, *, old: bytes, new: bytes, now_ms: int) -> bool:
        """Give a device that is not revoked another key; False when ``old`` is not its key, or ``new`` is taken."""
        ...

    async def revoke_device(self, id: bytes, *, by: str, now_ms: int) -> bool:
        """End a device's access for good, with the answers kept for it; False when there is none or it has ended.

        Args:
            by: ``device`` or ``operator``.
        """
        ...

    async def claim_nonce(self, device_id: bytes, nonce: bytes, *, until_ms: int, now_ms: int) -> bool:
        """Use a nonce; False when it was used before. It is remembered until ``until_ms`` at least."""
        ...

    async def reserve(self, device_id: bytes, day: int, tokens: int, *, limit: int) -> bool:
        """Take ``tokens`` from the allowance of a day; False, and nothing taken, when they are not left.

        Args:
            day: Days since 1970, UTC.
            limit: The allowance; 0 means none, then it only counts.
        """
        ...

    async def give_back(self, device_id: bytes, day: int, tokens: int) -> None:
        """Return what was reserved and not used."""
        ...

    async def used(self, device_id: bytes, day: int) -> int:
        """Tokens taken on a day."""
        ...

    async def kept_answer(self, device_id: bytes, request_id: bytes, *, now_ms: int) -> bytes | None:
        """The sealed answer kept for a question, if it has not expired."""
        ...

    async def begin_answer(
        self, device_id: bytes, request_id: bytes, *, owner: bytes, until_ms: int, now_ms: int
    ) -> bytes | None:
        """Take a question on, unless it has a kept answer.

        Args:
            owner: 16 random bytes of the call; whoever took the question on before loses it.
            until_ms: When this is forgotten if no answer comes.

        Returns:
            The kept answer, and then nothing has changed; else None.
        """
        ...

    async def keep_answer(
        self, device_id: bytes, request_id: bytes, *, owner: bytes, answer: bytes, until_ms: int, most: int
    ) -> bool:
        """Keep a question's answer until ``until_ms``; False when ``owner`` lost the question.

        Args:
            most: How many answers of the device are kept; those that would go first make room.
        """
        ...

    async def discard_answers(self, device_id: bytes, request_ids: Sequence[bytes]) -> None:
        """Delete kept answers; those that are not there are passed over."""
        ...

    async def sweep(self, *, now_ms: int) -> None:
        """Delete nonces, answers and counted tokens whose time is over."""
        ...

    async def audit(self, *, limit: int = 100) -> list[AuditEntry]:
        """What changed, newest first."""
        ...


async def open_storage(settings: StorageSettings, file: Path) -> Storage:
    """The storage that the settings name: PostgreSQL, or SQLite in ``file``.

    Raises:
        StorageError: It cannot be opened.
    """
    if settings.url:
        from mnemon_cloud.storage.postgres import PostgresStorage

        return await PostgresStorage.open(settings.url, connections=settings.connections)
    from mnemon_cloud.storage.sqlite import SqliteStorage

    return await SqliteStorage.open(file)
