"""Invites: made by the operator, good for one device, known to the server only by a hash."""

from __future__ import annotations

import hashlib
import os

from mnemon_cloud.errors import Reason, refused
from mnemon_cloud.storage import Storage
from mnemon_protos.invites import SECRET_BYTES, write_invite
from mnemon_protos.signing import DEVICE_ID_BYTES, KEY_BYTES, enrollment_statement, verified
from mnemon_protos.v1.authorization_pb2 import Invite

INVITE_HOURS = 72
"""How long an invite is good when the operator says nothing else."""


def invite_id(secret: bytes) -> bytes:
    """What the storage knows an invite by: 16 bytes that do not lead back to the secret of 32."""
    return hashlib.sha256(b"mnemon.v1 invite\0" + secret).digest()[:16]


async def create_invite(
    storage: Storage,
    *,
    address: str,
    authority: bytes,
    server_key: bytes,
    now_ms: int,
    hours: float = INVITE_HOURS,
    insecure: bool = False,
) -> str:
    """Make an invite for one device.

    Args:
        address: Host and port under which devices reach the server.
        authority: The certificate to trust, DER; empty for the system's.
        hours: How long it is good.
        insecure: The server runs without TLS.

    Returns:
        The text to hand to the device's owner; it cannot be had a second time.
    """
    secret = os.urandom(SECRET_BYTES)
    expires = now_ms + round(hours * 3_600_000)
    await storage.add_invite(invite_id(secret), created_at_ms=now_ms, expires_at_ms=expires)
    return write_invite(
        Invite(
            address=address,
            authority=authority,
            server_key=server_key,
            secret=secret,
            expires_at_ms=expires,
            insecure=insecure,
        )
    )


async def enroll(
    storage: Storage, *, secret: bytes, public_key: bytes, proof: bytes, server_key: bytes, now_ms: int
) -> bytes:
    """Trade an invite's secret and a proven key for a device id.

    Raises:
        CallRefusedError: Always the same status and text.
    """
    if len(secret) != SECRET_BYTES or len(public_key) != KEY_BYTES:
        raise refused(Reason.MALFORMED)
    statement = enrollment_statement(server_key=server_key, secret=secret, public_key=public_key)
    if not verified(public_key, proof, statement):
        raise refused(Reason.PROOF)
    device = await storage.redeem(
        invite_id(secret), public_key=public_key, device_id=os.urandom(DEVICE_ID_BYTES), now_ms=now_ms
    )
    if device is None:
        raise refused(Reason.INVITE)
    return device
