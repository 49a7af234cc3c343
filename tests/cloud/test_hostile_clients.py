"""Who cannot show who they are gets one and the same refusal; who misbehaves is cut off; others notice nothing."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cloud_server import (
    ASK,
    HANG_SECONDS,
    Running,
    ScriptedEngine,
    channel_to,
    question,
    serving,
    status_of,
    text_of,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_answers_service import wait_until

from mnemon_protos.encoding import WireError
from mnemon_protos.signing import METADATA_KEY, SERVER_TIME_KEY, parse_authorization, rotation_statement
from mnemon_protos.v1 import answers_pb2 as pb
from mnemon_protos.v1 import devices_pb2

NOW = time.time_ns() // 1_000_000


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with serving(tmp_path) as found:
        yield found


def looks_like_every_refusal(error: grpc.aio.AioRpcError) -> None:
    assert (error.code(), error.details()) == (grpc.StatusCode.UNAUTHENTICATED, "The call was refused.")
    assert [key for key, _ in error.trailing_metadata()] == [SERVER_TIME_KEY]


async def test_an_honest_device_is_answered(running: Running) -> None:
    device = await running.device()
    responses = [r async for r in device.ask()]
    assert [r.WhichOneof("event") for r in responses] == ["started", "delta", "delta", "finished"]
    assert "".join(r.delta.text for r in responses) == "Some words."
    assert responses[-1].finished.answer_tokens == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"key": Ed25519PrivateKey.generate()}, "wrong-signature"),
        ({"server_key": os.urandom(32)}, "wrong-signature"),
        ({"method": "/mnemon.v1.Devices/RevokeSelf"}, "wrong-signature"),
        ({"request": question("another question")}, "wrong-signature"),
        ({"device_id": os.urandom(16)}, "unknown-device"),
        ({"signed_at_ms": NOW - 100_000_000}, "outside-the-minute"),
        ({"signed_at_ms": NOW + 100_000_000}, "outside-the-minute"),
    ],
)
async def test_a_call_signed_wrongly_is_refused(running: Running, change: dict[str, Any], reason: str) -> None:
    device = await running.device()
    asked = question()
    parts = {"method": ASK, "request": asked} | change
    error = await status_of(device.ask(asked, metadata=device.signed(**parts)))
    looks_like_every_refusal(error)
    assert running.refusals(reason) == 1
    assert running.engine.asked == []


async def test_unsigned_and_twice_signed_calls_are_refused(running: Running) -> None:
    device, asked = await running.device(), question()
    twice = device.signed(ASK, asked) + device.signed(ASK, asked)
    for metadata in ((), twice, ((METADATA_KEY, b""),), ((METADATA_KEY, b"\xff" * 90),)):
        looks_like_every_refusal(await status_of(device.ask(asked, metadata=metadata)))
    assert running.engine.asked == []


async def test_a_replayed_call_is_refused_also_after_a_restart(tmp_path: Path) -> None:
    asked = question()
    async with serving(tmp_path) as running:
        device = await running.device()
        metadata = device.signed(ASK, asked)
        assert await text_of(device.ask(asked, metadata=metadata)) == "Some words."
        looks_like_every_refusal(await status_of(device.ask(asked, metadata=metadata)))
        assert running.refusals("replayed") == 1
    async with serving(tmp_path) as again:
        channel = channel_to(again.server.port, again.keys.authority)
        call = channel.unary_stream(ASK, pb.AskRequest.SerializeToString, pb.AskResponse.FromString)
        looks_like_every_refusal(await status_of(call(asked, metadata=metadata, timeout=HANG_SECONDS)))
        assert again.refusals("replayed") == 1
        await channel.close()


async def test_a_revoked_device_is_refused_at_once(running: Running) -> None:
    device = await running.device()
    await device.call("RevokeSelf", devices_pb2.RevokeSelfRequest())
    looks_like_every_refusal(await status_of(device.ask()))
    assert running.refusals("revoked-device") == 1


async def test_a_rotated_key_works_and_the_old_one_no_more(running: Running) -> None:
    device, new = await running.device(), Ed25519PrivateKey.generate()
    public = new.public_key().public_bytes_raw()
    statement = rotation_statement(server_key=running.keys.public_key, device_id=device.id, new_public_key=public)
    unproven = devices_pb2.RotateKeyRequest(new_public_key=public, proof=device.key.sign(statement))
    with pytest.raises(grpc.aio.AioRpcError):
        await device.call("RotateKey", unproven)
    await device.call("RotateKey", devices_pb2.RotateKeyRequest(new_public_key=public, proof=new.sign(statement)))
    looks_like_every_refusal(await status_of(device.ask()))
    device.key = new
    assert await text_of(device.ask()) == "Some words."


async def test_a_call_without_a_deadline_is_refused(running: Running) -> None:
    device = await running.device()
    error = await status_of(device.ask(timeout=None))
    assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "Every call needs a deadline.")


async def test_an_oversized_message_is_refused_unread(running: Running) -> None:
    device = await running.device()
    error = await status_of(device.ask(question("x" * 1_100_000)))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert running.engine.asked == []
    assert await text_of(device.ask()) == "Some words."


@pytest.mark.parametrize("what", ["used", "expired", "revoked", "unknown", "wrong proof", "taken key"])
async def test_an_invite_lets_in_one_device_while_it_is_good(running: Running, what: str) -> None:
    device = await running.strange_device()
    if what == "used":
        await device.enroll()
        device.key = Ed25519PrivateKey.generate()
    elif what == "expired":
        device.invite = await running.invite(now_ms=NOW - 100 * 3_600_000)
    elif what == "revoked":
        (record,) = await running.storage.invites()
        await running.storage.revoke_invite(record.id, now_ms=NOW)
    elif what == "unknown":
        device.invite.secret = os.urandom(32)
    elif what == "taken key":
        device.key = (await running.device()).key
    request = device.enrollment()
    if what == "wrong proof":
        request.proof = os.urandom(64)
    before = await running.storage.devices()
    looks_like_every_refusal(await status_of(device.devices.Enroll(request, timeout=HANG_SECONDS)))
    assert await running.storage.devices() == before


async def test_a_lost_reply_to_an_enrolment_does_no_harm(running: Running) -> None:
    device = await running.strange_device()
    first = (await device.enroll()).id
    assert (await device.enroll()).id == first
    assert len(await running.storage.devices()) == 1


async def test_two_devices_with_one_invite_race_and_one_wins(running: Running) -> None:
    devices = [await running.strange_device() for _ in range(8)]
    for device in devices:
        device.invite = devices[0].invite
    results = await asyncio.gather(*(d.enroll() for d in devices), return_exceptions=True)
    assert sum(not isinstance(r, BaseException) for r in results) == 1


async def test_tls_is_the_only_way_in(running: Running) -> None:
    other = grpc.ssl_channel_credentials()  # trusts the system's authorities, not ours
    for channel in (
        grpc.aio.insecure_channel(f"localhost:{running.server.port}"),
        grpc.aio.secure_channel(f"localhost:{running.server.port}", other),
    ):
        call = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert (await status_of(call(b"", timeout=HANG_SECONDS))).code() == grpc.StatusCode.UNAVAILABLE
        await channel.close()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=400))
def test_no_bytes_are_an_authorization(raw: bytes) -> None:
    with pytest.raises(WireError):  # right sizes by chance: once in 2^700
        parse_authorization(raw)


async def test_rubbish_on_every_method_is_refused_and_the_server_lives(running: Running) -> None:
    device = await running.device()
    methods = [ASK, "/mnemon.v1.Answers/GetSealingKey"]
    methods += [f"/mnemon.v1.Devices/{m}" for m in ("Enroll", "GetDevice", "RotateKey", "RevokeSelf")]
    statuses = set()
    for _ in range(40):
        for method in methods:
            body = os.urandom(int.from_bytes(os.urandom(1), "big"))
            # Signed rightly, so that it gets as far as the parser.
            metadata = device.signed(method, _Raw(body))
            if method.endswith(("RevokeSelf", "GetDevice", "GetSealingKey")):
                body += b"\0"  # without this it may parse, and do what it says
            statuses.add(
                (
                    await status_of(device.channel.unary_unary(method)(body, metadata=metadata, timeout=HANG_SECONDS))
                ).code()
            )
    assert statuses <= {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.INVALID_ARGUMENT}
    assert await text_of(device.ask()) == "Some words."


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def SerializeToString(self) -> bytes:
        return self._body


async def test_a_slow_reader_is_cut_off_and_holds_no_place(tmp_path: Path) -> None:
    engine = ScriptedEngine(words=("x" * 60_000,) * 400, places=1)
    async with serving(tmp_path, engine, limits={"slow_reader_seconds": 2.0}) as running:
        slow, other = await running.device(), await running.device()
        call = slow.ask()
        await call.read()
        await wait_until(lambda: running.refusals("slow-reader") == 1)
        engine.words = ("quick",)
        assert await text_of(other.ask()) == "quick"
        assert (await status_of(call)).code() == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("how", ["cancel", "close"])
async def test_a_disconnect_reaches_an_engine_that_is_looking_for_its_next_word(tmp_path: Path, how: str) -> None:
    """How fast, `make bench-cloud` measures; here the word never comes."""
    engine = ScriptedEngine(halt_at=1)
    async with serving(tmp_path, engine) as running:
        device = await running.device()
        call = device.ask()
        await wait_until(lambda: engine.running == 1)
        if how == "cancel":
            call.cancel()
        else:
            await device.channel.close()
        await wait_until(lambda: engine.running == 0)
        assert engine.stopped == 1


async def test_two_hundred_streams_at_once_are_all_answered_each_with_its_own(tmp_path: Path) -> None:
    class Echo(ScriptedEngine):
        async def answer(self, prompt: Any, sampling: Any) -> Any:
            self.words = ()
            text = prompt.payload
            for part in text.split("-"):
                await asyncio.sleep(0.01)
                yield _piece(part)
            yield _piece("", last=True)

        async def prepare(self, messages: Any, *, tenant: bytes = b"") -> Any:
            from mnemon_cloud.answers.engines import Prompt

            return Prompt(messages[-1][1], 1)

    limits = {"answers_per_device": 50, "queue": 0}
    async with serving(tmp_path, Echo(places=200), limits=limits) as running:
        devices = [await running.device() for _ in range(4)]
        texts = [f"{n}-a-b-c-{n}" for n in range(200)]
        answers = await asyncio.gather(*(text_of(devices[n % 4].ask(question(text))) for n, text in enumerate(texts)))
        assert answers == [text.replace("-", "") for text in texts]


def _piece(text: str, *, last: bool = False) -> Any:
    from mnemon_cloud.answers.engines import Finish, Piece

    return Piece(text, 1, Finish.STOP if last else None)
