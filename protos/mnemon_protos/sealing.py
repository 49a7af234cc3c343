"""Questions that only the serving process can read, and answers that only the asking device can.

A question is sealed with HPKE (RFC 9180, base mode) to a short-lived X25519 key that the serving process made and
signed with the server's identity. Inside lies a fresh key for the answer's chunks. A proxy that ends TLS, a queue, a
packet capture see sizes and times.
"""

from __future__ import annotations

import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from google.protobuf.message import DecodeError

from mnemon_protos.encoding import WireError, number, statement
from mnemon_protos.v1.answers_pb2 import AskResponse, Question, SealedPayload, SealedQuestion

KEY_ID_BYTES = 16
REPLY_KEY_BYTES = 32


def key_id(public_key: bytes) -> bytes:
    """The name of a sealing key."""
    return hashlib.sha256(public_key).digest()[:KEY_ID_BYTES]


def key_statement(*, public_key: bytes, expires_at_ms: int) -> bytes:
    """What the server signs about its sealing key."""
    return statement("sealing key", public_key, number(expires_at_ms))


def seal_question(
    question: Question, *, public_key: bytes, device_id: bytes, request_id: bytes
) -> tuple[SealedQuestion, bytes]:
    """Seal a question to a sealing key; good for this device and request id only.

    Returns:
        The sealed question, and the key under which the answer will come.

    Raises:
        WireError: ``public_key`` is none.
    """
    reply_key = os.urandom(REPLY_KEY_BYTES)
    payload = SealedPayload(question=question, reply_key=reply_key).SerializeToString()
    try:
        recipient = X25519PublicKey.from_public_bytes(public_key)
        ciphertext = _suite().encrypt(payload, recipient, _info(device_id, request_id))
    except ValueError as error:
        raise WireError("not an X25519 key") from error
    return SealedQuestion(key_id=key_id(public_key), ciphertext=ciphertext), reply_key


def open_question(sealed: bytes, key: X25519PrivateKey, *, device_id: bytes, request_id: bytes) -> SealedPayload:
    """What was sealed for this key, device and request id.

    Raises:
        WireError: It was not, or was changed on the way.
    """
    try:
        payload = SealedPayload.FromString(_suite().decrypt(sealed, key, _info(device_id, request_id)))
    except (InvalidTag, ValueError, DecodeError) as error:
        raise WireError("a question that was not sealed for this key") from error
    if len(payload.reply_key) != REPLY_KEY_BYTES:
        raise WireError("a sealed question without a key for its answer")
    return payload


def seal_response(response: AskResponse, *, reply_key: bytes, position: int) -> AskResponse:
    """The response at ``position`` of its stream, counted from 0, under the answer's key."""
    sealed = ChaCha20Poly1305(reply_key).encrypt(_nonce(position), response.SerializeToString(), b"mnemon.v1 answer")
    return AskResponse(sealed=sealed)


def open_response(response: AskResponse, *, reply_key: bytes, position: int) -> AskResponse:
    """The response that was sealed at ``position``; one that was left out, repeated or moved does not open.

    Raises:
        WireError: It is not sealed, not in this place, or was changed.
    """
    try:
        return AskResponse.FromString(
            ChaCha20Poly1305(reply_key).decrypt(_nonce(position), response.sealed, b"mnemon.v1 answer")
        )
    except (InvalidTag, ValueError, DecodeError) as error:
        raise WireError("a piece of the answer was changed, repeated or left out") from error


def _suite() -> Suite:
    return Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def _info(device_id: bytes, request_id: bytes) -> bytes:
    return statement("question", device_id, request_id)


def _nonce(position: int) -> bytes:
    return position.to_bytes(12, "big")
