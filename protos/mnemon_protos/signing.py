"""Who calls: every call of a device carries a signature that is good for this call, this server and this minute.

The signature covers the server, the method, the device, the moment, a nonce and the bytes of the request. It lies in
the metadata and not in a client certificate, so that it survives a load balancer that ends TLS, and so that a key is
rotated without a certificate being issued.
"""

from __future__ import annotations

import hashlib
import os
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from google.protobuf.message import DecodeError, Message

from mnemon_protos.encoding import WireError, number, statement
from mnemon_protos.v1.authorization_pb2 import CallAuthorization

METADATA_KEY = "mnemon-authorization-bin"
"""Where the :class:`CallAuthorization` travels."""

SERVER_TIME_KEY = "mnemon-server-time-ms"
"""Trailing metadata of every refusal: a device whose clock is wrong can see by how much."""

ACCEPTED_MS = 60_000
"""A signature is taken this long before and after its moment, in milliseconds."""

DEVICE_ID_BYTES = 16
NONCE_BYTES = 16
KEY_BYTES = 32
REQUEST_ID_BYTES = 16

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P


def call_statement(
    *, server_key: bytes, method: str, device_id: bytes, signed_at_ms: int, nonce: bytes, body: bytes
) -> bytes:
    """What a device signs for one call.

    Args:
        server_key: The server's identity, 32 bytes: a call to one server is worth nothing at another.
        method: Such as ``/mnemon.v1.Answers/Ask``.
        body: The serialized request.
    """
    digest = hashlib.sha256(body).digest()
    return statement("call", server_key, method.encode("ascii"), device_id, number(signed_at_ms), nonce, digest)


def enrollment_statement(*, server_key: bytes, secret: bytes, public_key: bytes) -> bytes:
    """What a device signs with its new key when it enrols: it holds the key, and for this server and invite."""
    return statement("enroll", server_key, hashlib.sha256(secret).digest(), public_key)


def rotation_statement(*, server_key: bytes, device_id: bytes, new_public_key: bytes) -> bytes:
    """What a device signs with the key that replaces its old one."""
    return statement("rotate", server_key, device_id, new_public_key)


def authorize(
    key: Ed25519PrivateKey,
    *,
    server_key: bytes,
    device_id: bytes,
    method: str,
    request: Message,
    signed_at_ms: int | None = None,
) -> tuple[str, bytes]:
    """The metadata entry that authorizes one call with ``request``, which must not change afterwards.

    Args:
        signed_at_ms: The moment by the device's best knowledge of the server's clock; now when left out.
    """
    authorization = CallAuthorization(
        device_id=device_id,
        signed_at_ms=time.time_ns() // 1_000_000 if signed_at_ms is None else signed_at_ms,
        nonce=os.urandom(NONCE_BYTES),
    )
    authorization.signature = key.sign(
        call_statement(
            server_key=server_key,
            method=method,
            device_id=device_id,
            signed_at_ms=authorization.signed_at_ms,
            nonce=authorization.nonce,
            body=request.SerializeToString(),
        )
    )
    return METADATA_KEY, authorization.SerializeToString()


def parse_authorization(data: bytes) -> CallAuthorization:
    """The authorization in a metadata value, its parts of the right sizes; the signature is not yet checked.

    Raises:
        WireError: It is not one.
    """
    try:
        found = CallAuthorization.FromString(data)
    except DecodeError as error:
        raise WireError("not an authorization") from error
    sizes = len(found.device_id), len(found.nonce), len(found.signature)
    if sizes != (DEVICE_ID_BYTES, NONCE_BYTES, 64):
        raise WireError("an authorization with parts of the wrong size")
    return found


def verified(public_key: bytes, signature: bytes, signed: bytes) -> bool:
    """Whether ``signature`` over ``signed`` was made with the key; also False for what is no key at all.

    A point of small order is none: RFC 8032 lets it pass, and then 64 zero bytes are good for one text in four.
    """
    if _of_small_order(public_key):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def _of_small_order(public_key: bytes) -> bool:
    """Whether eight times this point of edwards25519 is nothing: y is 0, 1 or -1, or 2y² + dy⁴ = 1."""
    y = (int.from_bytes(public_key, "little") & ((1 << 255) - 1)) % _P
    square = y * y % _P
    return y in (0, 1, _P - 1) or (2 * square + _D * square * square) % _P == 1
