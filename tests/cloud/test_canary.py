"""A marker sent along every path never shows up where it must not: in logs, metrics, or on the server's disk."""

from __future__ import annotations

import asyncio
import io
import logging
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cloud_server import HANG_SECONDS, ScriptedEngine, question, serving, status_of, text_of
from prometheus_client import generate_latest

from mnemon_cloud import logs
from mnemon_cloud.errors import EngineError
from mnemon_protos.signing import authorize
from mnemon_protos.v1 import answers_pb2 as pb


@pytest.fixture
def captured() -> Iterator[io.StringIO]:
    """Everything any logger says, formatted as the server does it."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logs.logger.level)
    stream = io.StringIO()
    logs.start(stream)
    root.setLevel(logging.DEBUG)
    yield stream
    root.handlers[:], level, own = before
    root.setLevel(level)
    logs.logger.setLevel(own)


async def test_no_word_of_a_question_or_answer_gets_into_logs_metrics_or_state(
    tmp_path: Path, captured: io.StringIO
) -> None:
    marker = "CANARY-7f3a"
    engine = ScriptedEngine(words=(f"{marker} ", "w ") * 40)
    settings = {"server": {"metrics": "127.0.0.1:0"}, "limits": {"tokens_per_day": 400, "answer_tokens": 50}}
    async with serving(tmp_path, engine, **settings) as running:
        device = await running.device()
        asked = question(f"{marker} is my name")
        metadata = device.signed("/mnemon.v1.Answers/Ask", asked)
        assert marker in await text_of(device.ask(asked, metadata=metadata))
        await status_of(device.ask(asked, metadata=metadata))  # replayed
        kept = question(f"{marker} again", keep_key=bytes(range(32)))
        assert [marker in await text_of(device.ask(kept)) for _ in range(2)] == [True, True]
        assert await running.storage.kept_answer(device.id, kept.request_id, now_ms=0)
        await status_of(device.ask(asked, metadata=()))  # unsigned
        await status_of(device.ask(question(f"{marker} " * 1000)))  # too long
        await status_of(device.ask(question(marker * 100_000)))  # oversized
        await status_of(device.ask(pb.AskRequest(request_id=b"short", question=asked.question)))
        raw = marker.encode() + b"\xff" * 9
        forged = (
            authorize(
                device.key,
                server_key=running.keys.public_key,
                device_id=device.id,
                method="/mnemon.v1.Answers/Ask",
                request=_Raw(raw),
            ),
        )
        call = device.channel.unary_stream("/mnemon.v1.Answers/Ask")
        await status_of(call(raw, metadata=forged, timeout=HANG_SECONDS))  # signed, but nothing that parses
        await status_of(
            device.channel.unary_unary(f"/{marker}/{marker}")(raw, timeout=HANG_SECONDS)
        )  # as a method's name
        await status_of(device.ask(metadata=(("mnemon-x", marker), ("mnemon-authorization-bin", raw))))
        engine.error = ValueError(f"{marker} inside an exception")
        await status_of(device.ask(asked))
        engine.error = EngineError(f"{marker} inside an engine's error")
        await status_of(device.ask(asked))
        engine.error, engine.pause = None, 0.02
        await status_of(device.ask(asked, timeout=0.2))  # deadline
        cancelled = device.ask(asked)
        await cancelled.read()
        cancelled.cancel()
        engine.pause = 0
        while (await status_or_none(device.ask(question(marker, max_tokens=50)))) is None:  # until the quota ends
            pass
        logging.getLogger("somebody.else").warning("they log %s", marker)
        port = running.server._metrics_server[0].server_port
        page = await asyncio.to_thread(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read())
        assert b"mnemon_calls_total" in page
        assert marker.encode() not in page + generate_latest(running.server.metrics.registry)
    text = captured.getvalue()
    assert text.count('"event": "call"') >= 12
    assert '"reason": "internal"' in text
    assert marker not in text
    assert "7f3a" not in text
    for path in (tmp_path / "cloud").rglob("*"):
        assert not path.is_file() or marker.encode() not in path.read_bytes(), path


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def SerializeToString(self) -> bytes:
        return self._body


def test_a_log_field_that_is_not_on_the_list_is_refused() -> None:
    with pytest.raises(ValueError, match="text"):
        logs.event("call", text="what somebody said")


async def status_or_none(call: Any) -> grpc.StatusCode | None:
    try:
        await text_of(call)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return None
