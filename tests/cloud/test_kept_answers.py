"""The same question again: one answer, however often the line is cut or either side is killed."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import grpc
import pytest
from cloud_server import HANG_SECONDS, ScriptedEngine, TestDevice, question, serving, status_of, text_of
from test_answers_service import wait_until

from mnemon_protos.v1 import answers_pb2 as pb

DISCARD = "/mnemon.v1.Answers/DiscardAnswers"
KEY = bytes(range(32))


def kept_question(text: str = "How far is the moon?", **fields: Any) -> pb.AskRequest:
    return question(text, keep_key=KEY, **fields)


async def discard(device: TestDevice, *ids: bytes) -> Any:
    request = pb.DiscardAnswersRequest(request_ids=ids)
    return await device.answers.DiscardAnswers(
        request, metadata=device.signed(DISCARD, request), timeout=HANG_SECONDS
    )


async def test_a_finished_question_asked_again_gets_the_same_answer_and_pays_once(tmp_path: Path) -> None:
    asked = kept_question()
    async with serving(tmp_path) as running:
        device = await running.device()
        first = [r async for r in device.ask(asked)]
        running.engine.words = ("Something ", "else.")
        again = [r async for r in device.ask(asked)]
        assert (first[0].started.kept, again[0].started.kept) == (False, True)
        assert [r.WhichOneof("event") for r in again] == ["started", "delta", "finished"]
        assert again[1].delta.text == "".join(r.delta.text for r in first) == "Some words."
        assert again[-1] == first[-1]  # tokens, reason, and nothing more taken from the allowance
        assert len(running.engine.asked) == 1
    async with serving(tmp_path, ScriptedEngine(words=("Something ", "else."))) as restarted:
        device.port = restarted.server.port
        device.__post_init__()
        restarted.devices.append(device)
        assert await text_of(device.ask(asked)) == "Some words."
        assert restarted.engine.asked == []


async def test_an_answer_that_was_cut_off_is_given_anew_and_whole(tmp_path: Path) -> None:
    engine = ScriptedEngine(words=("w ",) * 20, halt_at=5)
    asked = kept_question()
    async with serving(tmp_path, engine) as running:
        device = await running.device()
        call = device.ask(asked)
        await call.read()
        call.cancel()
        await wait_until(lambda: running.server.answers.admission.running == 0)
        engine.halt_at = 0
        responses = [r async for r in device.ask(asked)]
        assert not responses[0].started.kept
        assert "".join(r.delta.text for r in responses) == "w " * 20


async def test_a_question_without_a_key_leaves_nothing_behind(tmp_path: Path) -> None:
    asked = question()
    async with serving(tmp_path) as running:
        device = await running.device()
        assert await text_of(device.ask(asked)) == "Some words."
        running.engine.words = ("Anew.",)
        assert await text_of(device.ask(asked)) == "Anew."
        assert await running.storage.kept_answer(device.id, asked.request_id, now_ms=0) is None


@pytest.mark.parametrize("what", ["question", "length", "key", "other device"])
async def test_a_kept_answer_opens_for_its_question_key_and_device_only(tmp_path: Path, what: str) -> None:
    asked = kept_question()
    async with serving(tmp_path) as running:
        device, other = await running.device(), await running.device()
        await text_of(device.ask(asked))
        if what == "other device":
            running.engine.words = ("Their own.",)
            assert await text_of(other.ask(asked)) == "Their own."
            return
        changed = pb.AskRequest.FromString(asked.SerializeToString())
        if what == "question":
            changed.question.messages[0].text = "How far is the sun?"
        elif what == "length":
            changed.question.max_tokens = 900
        else:
            changed.question.keep_key = os.urandom(32)
        assert (await status_of(device.ask(changed))).code() == grpc.StatusCode.ALREADY_EXISTS
        assert len(running.engine.asked) == 1


async def test_a_discarded_answer_is_gone_and_discarding_twice_does_no_harm(tmp_path: Path) -> None:
    asked = kept_question()
    async with serving(tmp_path) as running:
        device, other = await running.device(), await running.device()
        await text_of(device.ask(asked))
        await discard(other, asked.request_id)  # not theirs
        assert await running.storage.kept_answer(device.id, asked.request_id, now_ms=0)
        for _ in range(2):
            await discard(device, asked.request_id, os.urandom(16))
            assert await running.storage.kept_answer(device.id, asked.request_id, now_ms=0) is None
        for ids in ((b"short",), (bytes(16),) * 1001):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await discard(device, *ids)
            assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("size", [1, 31, 33])
async def test_a_key_of_another_size_is_refused(tmp_path: Path, size: int) -> None:
    async with serving(tmp_path) as running:
        device = await running.device()
        error = await status_of(device.ask(question(keep_key=bytes(size))))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert running.engine.asked == []


async def test_where_nothing_is_to_be_kept_questions_are_answered_all_the_same(tmp_path: Path) -> None:
    asked = kept_question()
    async with serving(tmp_path, limits={"kept_answers": 0}) as running:
        device = await running.device()
        assert [await text_of(device.ask(asked)) for _ in range(2)] == ["Some words."] * 2
        assert len(running.engine.asked) == 2


async def test_of_many_calls_with_one_question_at_once_one_is_answered(tmp_path: Path) -> None:
    """Calls replace each other in one process, whatever the order in which they arrive and leave."""
    engine = ScriptedEngine(words=("w ",) * 30, halt_at=2)
    asked = kept_question()
    async with serving(tmp_path, engine, limits={"answers_per_device": 1}) as running:
        device = await running.device()
        calls = [asyncio.create_task(text_of(device.ask(asked))) for _ in range(8)]
        await wait_until(lambda: sum(call.done() for call in calls) == 7)
        engine.go.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
        told = [r for r in results if isinstance(r, str)]
        assert told == ["w " * 30]
        refused = [r.code() for r in results if isinstance(r, grpc.aio.AioRpcError)]
        assert refused == [grpc.StatusCode.ABORTED] * 7
        assert engine.running == 0


async def test_of_two_processes_with_one_question_the_one_that_took_it_last_answers(tmp_path: Path) -> None:
    slow, quick = ScriptedEngine(words=("slow ",) * 40, halt_at=2), ScriptedEngine(words=("quick",))
    asked = kept_question()
    async with serving(tmp_path, slow) as one, serving(tmp_path, quick) as two:
        device = await one.device()
        first = device.ask(asked)
        await first.read()
        same = TestDevice(device.invite, two.server.port, device.key, device.id)
        two.devices.append(same)
        assert await text_of(same.ask(asked)) == "quick"
        slow.go.set()
        assert (await status_of(first)).code() == grpc.StatusCode.ABORTED
        assert await text_of(device.ask(asked)) == "quick"
        assert (len(slow.asked), len(quick.asked)) == (1, 1)


async def test_a_revoked_device_s_answers_are_deleted(tmp_path: Path) -> None:
    asked = kept_question()
    async with serving(tmp_path) as running:
        device = await running.device()
        await text_of(device.ask(asked))
        await running.storage.revoke_device(device.id, by="operator", now_ms=1)
        assert await running.storage.kept_answer(device.id, asked.request_id, now_ms=0) is None
