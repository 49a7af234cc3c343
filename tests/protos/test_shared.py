"""What both ends share beside the messages: statements, signatures, sealing, invites."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from mnemon_protos import invites, sealing, signing
from mnemon_protos.encoding import WireError, statement
from mnemon_protos.v1.answers_pb2 import AskRequest, AskResponse, Delta, Message, Question
from mnemon_protos.v1.authorization_pb2 import Invite

DEVICE, REQUEST = bytes(range(16)), bytes(range(16, 32))
QUESTION = Question(messages=[Message(role=2, text="How far is the moon?")])
parts = st.lists(st.binary(max_size=20), max_size=4)


@given(parts, parts)
def test_two_lists_are_never_spelt_alike(a: list[bytes], b: list[bytes]) -> None:
    assert (statement("call", *a) == statement("call", *b)) == (a == b)


def test_a_statement_for_one_purpose_is_none_for_another() -> None:
    assert not statement("call", b"x").startswith(statement("cal"))
    assert statement("a", b"x") != statement("b", b"x")


def whole(**changes: object) -> dict[str, object]:
    fields: dict[str, object] = {
        "server_key": bytes(32),
        "method": "/mnemon.v1.Answers/Ask",
        "device_id": DEVICE,
        "signed_at_ms": 1_800_000_000_000,
        "nonce": REQUEST,
        "body": b"body",
    }
    return fields | changes


@pytest.mark.parametrize(
    "change",
    [
        {"server_key": b"\1" + bytes(31)},
        {"method": "/mnemon.v1.Devices/RevokeSelf"},
        {"device_id": REQUEST},
        {"signed_at_ms": 1_800_000_000_001},
        {"nonce": DEVICE},
        {"body": b"bodY"},
    ],
)
def test_a_call_signature_covers_every_part(change: dict[str, object]) -> None:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    signature = key.sign(signing.call_statement(**whole()))  # type: ignore[arg-type]
    assert signing.verified(public, signature, signing.call_statement(**whole()))  # type: ignore[arg-type]
    assert not signing.verified(public, signature, signing.call_statement(**whole(**change)))  # type: ignore[arg-type]


def test_authorize_signs_what_the_stub_will_send() -> None:
    key, request = Ed25519PrivateKey.generate(), AskRequest(request_id=REQUEST, question=QUESTION)
    name, value = signing.authorize(key, server_key=bytes(32), device_id=DEVICE, method="/m", request=request)
    found = signing.parse_authorization(value)
    signed = signing.call_statement(
        server_key=bytes(32),
        method="/m",
        device_id=DEVICE,
        signed_at_ms=found.signed_at_ms,
        nonce=found.nonce,
        body=request.SerializeToString(),
    )
    assert name.endswith("-bin")
    assert signing.verified(key.public_key().public_bytes_raw(), found.signature, signed)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_authorization_reader(raw: bytes) -> None:
    try:
        found = signing.parse_authorization(raw)
    except WireError:
        return
    assert len(found.signature) == 64


@given(st.binary(max_size=64), st.binary(max_size=80))
def test_no_bytes_break_verification(public: bytes, signature: bytes) -> None:
    assert not signing.verified(public, signature, b"something else")


def test_a_sealed_question_opens_for_its_key_device_and_request_only() -> None:
    key, other = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    sealed, reply_key = sealing.seal_question(
        QUESTION, public_key=key.public_key().public_bytes_raw(), device_id=DEVICE, request_id=REQUEST
    )
    opened = sealing.open_question(sealed.ciphertext, key, device_id=DEVICE, request_id=REQUEST)
    assert opened.question == QUESTION
    assert opened.reply_key == reply_key
    assert b"moon" not in sealed.SerializeToString()
    for wrong in (
        {"key": other, "device_id": DEVICE, "request_id": REQUEST},
        {"key": key, "device_id": REQUEST, "request_id": REQUEST},
        {"key": key, "device_id": DEVICE, "request_id": DEVICE},
    ):
        with pytest.raises(WireError):
            sealing.open_question(sealed.ciphertext, **wrong)  # type: ignore[arg-type]


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_one_changed_byte_of_a_sealed_question_is_noticed(at: int, flip: int) -> None:
    key = X25519PrivateKey.generate()
    sealed, _ = sealing.seal_question(
        QUESTION, public_key=key.public_key().public_bytes_raw(), device_id=DEVICE, request_id=REQUEST
    )
    changed = bytearray(sealed.ciphertext)
    changed[at % len(changed)] ^= flip
    with pytest.raises(WireError):
        sealing.open_question(bytes(changed), key, device_id=DEVICE, request_id=REQUEST)


@pytest.mark.parametrize("raw", [b"", b"x", bytes(32), bytes(48), bytes(100)])
def test_what_was_never_sealed_is_refused(raw: bytes) -> None:
    with pytest.raises(WireError):
        sealing.open_question(raw, X25519PrivateKey.generate(), device_id=DEVICE, request_id=REQUEST)


def test_a_key_that_is_none_is_refused() -> None:
    with pytest.raises(WireError):
        sealing.seal_question(QUESTION, public_key=b"short", device_id=DEVICE, request_id=REQUEST)


def test_pieces_of_an_answer_open_in_their_place_only() -> None:
    reply_key = bytes(range(32))
    sent = [AskResponse(delta=Delta(text=t)) for t in ("a", "b", "c")]
    sealed = [sealing.seal_response(r, reply_key=reply_key, position=i) for i, r in enumerate(sent)]
    assert [sealing.open_response(r, reply_key=reply_key, position=i) for i, r in enumerate(sealed)] == sent
    for piece, position, key in ((sealed[0], 1, reply_key), (sealed[1], 1, bytes(32)), (AskResponse(), 0, reply_key)):
        with pytest.raises(WireError):
            sealing.open_response(piece, reply_key=key, position=position)


INVITE = Invite(address="cloud.example:8443", authority=bytes(400), server_key=bytes(32), secret=bytes(range(32)))


def test_an_invite_survives_line_breaks() -> None:
    text = invites.write_invite(INVITE)
    assert invites.read_invite("  " + text[:40] + "\n  " + text[40:] + "\r\n") == INVITE


@pytest.mark.parametrize(
    "text", ["", "mnemon-invite-", "hello", "mnemon-invite-!!!!", "mnemon-invite-" + "A" * 20_000]
)
def test_what_is_no_invite_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        invites.read_invite(text)


@given(st.integers(1, 600))
def test_a_cut_invite_is_refused(length: int) -> None:
    text = invites.write_invite(INVITE)
    with pytest.raises(WireError):
        invites.read_invite(text[: min(length, len(text) - 4)])
