"""One question from its bytes to the last word: limits, queues, sealing, cancellation, draining."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import grpc
import pytest
from cloud_server import (
    HANG_SECONDS,
    ScriptedEngine,
    TestDevice,
    channel_to,
    question,
    retry_seconds,
    serving,
    status_of,
    text_of,
)
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mnemon_cloud import interceptors
from mnemon_cloud.answers.sealing_keys import KEPT_MS, ROTATED_MS, SealingKeys
from mnemon_cloud.errors import EngineError
from mnemon_protos.sealing import key_statement, open_response, seal_question
from mnemon_protos.signing import verified
from mnemon_protos.v1 import answers_pb2 as pb
from mnemon_protos.v1 import devices_pb2

GET_KEY = "/mnemon.v1.Answers/GetSealingKey"


async def test_every_method_of_every_service_has_a_policy_and_no_policy_is_idle(tmp_path: Path) -> None:
    from google.protobuf import descriptor_pool
    from grpc_reflection.v1alpha import reflection

    from mnemon_cloud.server import SERVICES

    async with serving(tmp_path, server={"reflection": True}):
        pool = descriptor_pool.Default()
        registered = (*SERVICES, "grpc.health.v1.Health", reflection.SERVICE_NAME)
        methods = {f"/{s}/{m.name}" for s in registered for m in pool.FindServiceByName(s).methods}
    declared = set(interceptors.POLICIES) | set(interceptors.REFLECTION)
    assert declared - methods == set()
    # Registered by the health package and closed on purpose: it would tell everybody which services there are.
    assert methods - declared == {"/grpc.health.v1.Health/List"}
    unsigned = {m for m, policy in interceptors.POLICIES.items() if m.startswith("/mnemon.") and not policy.signed}
    assert unsigned == {"/mnemon.v1.Devices/Enroll"}


@pytest.mark.parametrize(
    "method", ["/mnemon.v1.Answers/Nothing", "/x/y", "/mnemon.v1.Devices/GetDevice", "/grpc.health.v1.Health/List"]
)
async def test_a_method_without_a_policy_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    policies = {k: v for k, v in interceptors.POLICIES.items() if not k.endswith("GetDevice")}
    monkeypatch.setattr("mnemon_cloud.server.POLICIES", policies)
    async with serving(tmp_path) as running:
        device = await running.device()
        signed = device.signed(method, devices_pb2.GetDeviceRequest())
        error = await status_of(device.channel.unary_unary(method)(b"", metadata=signed, timeout=HANG_SECONDS))
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED
        assert running.refusals("method-without-policy") == 1


@pytest.mark.parametrize("on", [False, True])
async def test_reflection_is_there_only_when_switched_on(tmp_path: Path, on: bool) -> None:
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

    async with serving(tmp_path, server={"reflection": on}) as running:
        channel = channel_to(running.server.port, running.keys.authority)
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        call = stub.ServerReflectionInfo(iter([request]), timeout=HANG_SECONDS)
        if on:
            async for response in call:
                names = {s.name for s in response.list_services_response.service}
            assert "mnemon.v1.Answers" in names
        else:
            assert (await status_of(call)).code() == grpc.StatusCode.UNIMPLEMENTED
        await channel.close()


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": []},
        {"messages": [pb.Message(role=pb.ROLE_ASSISTANT, text="I speak last.")]},
        {"messages": [pb.Message(role=pb.ROLE_USER, text="  \n ")]},
        {"messages": [pb.Message(role=9, text="x"), pb.Message(role=pb.ROLE_USER, text="x")]},
        {"messages": [pb.Message(role=pb.ROLE_USER, text="x")] * 1001},
        {"messages": [pb.Message(role=pb.ROLE_USER, text="x")], "temperature": 3.0},
        {"messages": [pb.Message(role=pb.ROLE_USER, text="x")], "temperature": float("nan")},
        {"messages": [pb.Message(role=pb.ROLE_USER, text="word " * 1001)]},
    ],
)
async def test_a_question_that_is_none_is_refused_and_costs_nothing(tmp_path: Path, fields: dict[str, Any]) -> None:
    async with serving(tmp_path) as running:
        device = await running.device()
        request = pb.AskRequest(request_id=os.urandom(16), question=pb.Question(**fields))
        assert (await status_of(device.ask(request))).code() == grpc.StatusCode.INVALID_ARGUMENT
        found = await device.call("GetDevice", devices_pb2.GetDeviceRequest())
        assert found.quota_left == found.quota == 200_000


@pytest.mark.parametrize(
    ("engine", "asked", "drawn"),
    [
        ({}, None, 0.0),  # the built-in model's card: drawn more freely it rambles
        ({"model": "other.gguf"}, None, 0.7),
        ({"temperature": 0.2}, None, 0.2),
        ({"temperature": 0.2}, 1.0, 1.0),
    ],
)
async def test_an_answer_is_drawn_as_the_device_the_operator_or_the_model_wants(
    tmp_path: Path, engine: dict[str, Any], asked: float | None, drawn: float
) -> None:
    drawing = ScriptedEngine()
    async with serving(tmp_path, drawing, engine=engine) as running:
        device = await running.device()
        await text_of(device.ask(question() if asked is None else question(temperature=asked)))
        assert [sampling.temperature for sampling in drawing.sampled] == [drawn]


async def test_an_answer_is_as_long_as_both_sides_allow(tmp_path: Path) -> None:
    engine = ScriptedEngine(words=("w ",) * 50)
    async with serving(tmp_path, engine, limits={"answer_tokens": 20}) as running:
        device = await running.device()
        for wanted, given in ((0, 20), (5, 5), (100, 20)):
            responses = [r async for r in device.ask(question(max_tokens=wanted))]
            assert responses[-1].finished.answer_tokens == given
            assert responses[-1].finished.reason == pb.FINISH_REASON_LENGTH


async def test_a_sealed_question_is_answered_sealed(tmp_path: Path) -> None:
    async with serving(tmp_path) as running:
        device = await running.device()
        asked = pb.GetSealingKeyRequest()
        key = await device.answers.GetSealingKey(asked, metadata=device.signed(GET_KEY, asked), timeout=HANG_SECONDS)
        signed = key_statement(public_key=key.public_key, expires_at_ms=key.expires_at_ms)
        assert verified(device.invite.server_key, key.signature, signed)
        request = pb.AskRequest(request_id=os.urandom(16))
        sealed, reply_key = seal_question(
            question("A secret?").question,
            public_key=key.public_key,
            device_id=device.id,
            request_id=request.request_id,
        )
        request.sealed.CopyFrom(sealed)
        responses = [r async for r in device.ask(request)]
        assert {r.WhichOneof("event") for r in responses} == {"sealed"}
        opened = [open_response(r, reply_key=reply_key, position=i) for i, r in enumerate(responses)]
        assert "".join(r.delta.text for r in opened) == "Some words."
        assert opened[-1].WhichOneof("event") == "finished"
        assert running.engine.asked == [[("user", "A secret?")]]
        # The same sealed question of another device, or under another request id, opens for nobody.
        moved = pb.AskRequest(request_id=os.urandom(16), sealed=sealed)
        stolen = pb.AskRequest(request_id=request.request_id, sealed=sealed)
        for thief, taken in ((device, moved), (await running.device(), stolen)):
            assert (await status_of(thief.ask(taken))).code() == grpc.StatusCode.INVALID_ARGUMENT
        stale = pb.AskRequest(request_id=os.urandom(16), sealed=pb.SealedQuestion(key_id=b"0" * 16, ciphertext=b"x"))
        assert (await status_of(device.ask(stale))).code() == grpc.StatusCode.FAILED_PRECONDITION


def test_sealing_keys_rotate_hourly_and_are_forgotten() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    now = [1_000_000_000]
    keys = SealingKeys(Ed25519PrivateKey.generate(), lambda: now[0])
    first = keys.current()
    now[0] += ROTATED_MS - 1
    assert keys.current().key_id == first.key_id
    now[0] += 1
    second = keys.current()
    assert second.key_id != first.key_id
    assert keys.find(first.key_id) is not None
    now[0] = first.expires_at_ms
    assert keys.find(first.key_id) is None
    assert keys.find(second.key_id) is not None
    assert first.expires_at_ms == 1_000_000_000 + KEPT_MS
    now[0] = 0  # a clock that was set back hands out no key made in the future
    assert keys.current().key_id not in (first.key_id, second.key_id)


async def test_tokens_are_charged_as_used_also_for_a_cancelled_answer(tmp_path: Path) -> None:
    engine = ScriptedEngine(words=("w ",) * 100)
    async with serving(tmp_path, engine, limits={"tokens_per_day": 500, "answer_tokens": 100}) as running:
        device = await running.device()
        responses = [r async for r in device.ask(question("one two three", max_tokens=7))]
        assert responses[-1].finished.quota_left == 500 - 3 - 7
        engine.halt_at = 4
        call = device.ask(question("one two three"))
        for _ in range(4):
            await call.read()
        call.cancel()
        await wait_until(lambda: running.server.answers.admission.running == 0)
        left = (await device.call("GetDevice", devices_pb2.GetDeviceRequest())).quota_left
        assert left == 490 - 3 - 3


async def test_a_spent_allowance_is_refused_until_tomorrow(tmp_path: Path) -> None:
    limits = {"tokens_per_day": 30, "answer_tokens": 20}
    async with serving(tmp_path, limits=limits) as running:
        device, other = await running.device(), await running.device()
        while (await device.call("GetDevice", devices_pb2.GetDeviceRequest())).quota_left >= 25:
            await text_of(device.ask())
        error = await status_of(device.ask())
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert 0 < retry_seconds(error) <= 86_400
        assert running.refusals("quota") == 1
        assert await text_of(other.ask()) == "Some words."


async def test_a_full_queue_and_a_busy_device_are_told_when_to_come_back(tmp_path: Path) -> None:
    engine = ScriptedEngine(words=("w ",) * 100, halt_at=1, places=1)
    async with serving(tmp_path, engine, limits={"queue": 1, "answers_per_device": 1}) as running:
        one, two, three = [await running.device() for _ in range(3)]
        answering = one.ask()
        await answering.read()
        waiting = asyncio.create_task(text_of(two.ask(question(max_tokens=2))))
        await wait_until(lambda: running.server.answers.admission.running == 2)
        for device, reason in ((one, "device-busy"), (three, "queue-full")):
            error = await status_of(device.ask())
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert retry_seconds(error) >= 1
            assert running.refusals(reason) == 1
        engine.halt_at = 0
        answering.cancel()
        assert await waiting == "w w "


async def test_answers_of_a_device_are_counted_in_each_process_and_tokens_in_all(tmp_path: Path) -> None:
    """As docs/scale.md has it: two servers on one state, as two workers are."""
    limits = {"answers_per_device": 1, "tokens_per_day": 120, "answer_tokens": 50}
    engines = [ScriptedEngine(words=("w ",) * 50, halt_at=1) for _ in range(2)]
    async with (
        serving(tmp_path, engines[0], limits=limits) as one,
        serving(tmp_path, engines[1], limits=limits) as two,
    ):
        device = await one.device()
        same = TestDevice(device.invite, two.server.port, device.key, device.id)
        two.devices.append(same)
        calls = [device.ask(), same.ask()]
        for call in calls:
            await call.read()
        for again, running in ((device, one), (same, two)):
            assert (await status_of(again.ask())).code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert running.refusals("device-busy") == 1
        calls[0].cancel()
        await wait_until(lambda: one.server.answers.admission.running == 0)
        engines[0].go.set()
        assert await text_of(device.ask()) == "w " * 50  # of 120: 5 cancelled, 55 now, 55 the other
        assert (await status_of(device.ask())).code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert one.refusals("quota") == 1


async def test_who_leaves_the_queue_takes_no_place(tmp_path: Path) -> None:
    engine = ScriptedEngine(words=("w ",) * 20, halt_at=1, places=1)
    async with serving(tmp_path, engine) as running:
        one, two, three = [await running.device() for _ in range(3)]
        answering = asyncio.create_task(text_of(one.ask()))
        await wait_until(lambda: engine.running == 1)
        gone = two.ask()
        await wait_until(lambda: running.server.answers.admission.running == 2)
        gone.cancel()
        await wait_until(lambda: running.server.answers.admission.running == 1)
        last = asyncio.create_task(text_of(three.ask()))
        engine.go.set()
        assert (await answering, await last) == ("w " * 20, "w " * 20)
        assert len(engine.asked) == 2


async def test_the_same_question_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    engine = ScriptedEngine(words=("w ",) * 100, halt_at=5)
    async with serving(tmp_path, engine, limits={"answers_per_device": 1}) as running:
        device, asked = await running.device(), question(max_tokens=90)
        first = device.ask(asked)
        await first.read()
        await wait_until(lambda: engine.running == 1)
        engine.halt_at = 0
        second = asyncio.create_task(text_of(device.ask(asked)))
        assert (await status_of(first)).code() == grpc.StatusCode.ABORTED
        assert await second == "w " * 90


async def test_without_tls_only_by_name(tmp_path: Path) -> None:
    from cloud_server import settings_with

    from mnemon_cloud import server

    async with serving(tmp_path) as running:
        plain = await server.start(
            settings_with(), running.keys, running.storage, running.engine, insecure_without_tls=True
        )
        channel = grpc.aio.insecure_channel(f"localhost:{plain.port}")
        health = health_pb2_grpc.HealthStub(channel)
        assert (await health.Check(health_pb2.HealthCheckRequest(), timeout=HANG_SECONDS)).status == 1
        await channel.close()
        await plain.stop(0)


async def test_a_deadline_ends_the_engine_s_work(tmp_path: Path) -> None:
    engine = ScriptedEngine(halt_at=1)
    async with serving(tmp_path, engine) as running:
        device = await running.device()
        assert (await status_of(device.ask(timeout=0.5))).code() == grpc.StatusCode.DEADLINE_EXCEEDED
        await wait_until(lambda: engine.running == 0)


@pytest.mark.parametrize("error", [EngineError("it broke"), ValueError("a bug")])
async def test_an_engine_that_fails_costs_one_call(tmp_path: Path, error: Exception) -> None:
    engine = ScriptedEngine(error=error)
    async with serving(tmp_path, engine) as running:
        device = await running.device()
        told = await status_of(device.ask())
        expected = grpc.StatusCode.UNAVAILABLE if isinstance(error, EngineError) else grpc.StatusCode.INTERNAL
        assert told.code() == expected
        assert str(error) not in (told.details() or "")
        engine.error = None
        assert await text_of(device.ask()) == "Some words."


async def test_a_cancellation_inside_is_a_failure_and_not_the_caller_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path) as running:

        async def broken(_prompt: Any, _sampling: Any) -> Any:
            gone = asyncio.get_running_loop().create_future()
            gone.cancel()
            yield await gone

        device = await running.device()
        monkeypatch.setattr(running.engine, "answer", broken)
        told = await status_of(device.ask())
        assert told.code() == grpc.StatusCode.UNAVAILABLE
        assert retry_seconds(told) == 5
        assert running.refusals("internal") == 1
        monkeypatch.undo()
        assert await text_of(device.ask()) == "Some words."


async def test_health_tells_what_is_true(tmp_path: Path) -> None:
    async with serving(tmp_path) as running:
        channel = channel_to(running.server.port, running.keys.authority)
        health = health_pb2_grpc.HealthStub(channel)

        async def status(service: str) -> int:
            return int(
                (await health.Check(health_pb2.HealthCheckRequest(service=service), timeout=HANG_SECONDS)).status
            )

        serving_, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
        assert await status("") == await status("mnemon.v1.Answers") == serving_
        running.engine.well = False
        await until(lambda: status("mnemon.v1.Answers"), not_serving)
        assert await status("mnemon.v1.Devices") == serving_
        running.engine.well = True
        await until(lambda: status(""), serving_)
        await running.storage.close()
        await until(lambda: status("mnemon.v1.Devices"), not_serving)
        await channel.close()


async def test_storage_that_fails_is_an_outage_and_not_a_way_in(tmp_path: Path) -> None:
    async with serving(tmp_path) as running:
        device = await running.device()
        await running.storage.close()
        error = await status_of(device.ask())
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        assert running.engine.asked == []


async def test_draining_lets_answers_end_and_takes_no_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, stopping = ScriptedEngine(halt_at=2), asyncio.Event()
    async with serving(tmp_path, engine) as running:
        device, stop = await running.device(), running.server._grpc.stop

        def told(grace: float) -> Any:
            stopping.set()
            return stop(grace)

        monkeypatch.setattr(running.server._grpc, "stop", told)
        answer = asyncio.create_task(text_of(device.ask()))
        await wait_until(lambda: engine.running == 1)
        drained = asyncio.create_task(running.server.stop(HANG_SECONDS))
        await stopping.wait()
        # gRPC ends a call that comes at this very moment with CANCELLED, before the server has seen it.
        refused = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        assert (await status_of(device.ask())).code() in refused
        assert not drained.done()
        engine.go.set()
        assert await answer == "Some words."
        await asyncio.wait_for(drained, HANG_SECONDS)


async def test_draining_cuts_off_what_takes_longer_and_settles_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer never ends by itself."""
    engine = ScriptedEngine(halt_at=1)
    async with serving(tmp_path, engine) as running:
        give_back, settled = running.storage.give_back, asyncio.Event()

        async def slowly(*what: Any) -> None:
            await asyncio.sleep(0.3)  # a disk that takes its time
            await give_back(*what)
            settled.set()

        monkeypatch.setattr(running.storage, "give_back", slowly)
        device = await running.device()
        call = device.ask()
        await call.read()
        await asyncio.wait_for(running.server.stop(0.3), HANG_SECONDS)
        assert settled.is_set()
        await status_of(call)
        assert engine.running == 0


async def wait_until(condition: Any) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def until(read: Any, expected: Any) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while await read() != expected:
            await asyncio.sleep(0.05)
