"""The engine that calls another server: a real one with the built-in model, and one that misbehaves on purpose."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from cloud_server import HANG_SECONDS, question, retry_seconds, serving, status_of, text_of
from test_answers_service import wait_until

from mnemon_cloud.answers.engines import Finish, Piece, Sampling, Usage
from mnemon_cloud.answers.engines.openai import OpenAIEngine
from mnemon_cloud.errors import EngineBusyError, EngineError, SettingsError, UnsuitableQuestionError
from mnemon_cloud.settings import EngineSettings
from mnemon_models import built_in_model

GREEDY = Sampling(max_tokens=24, temperature=0)
ASKED = [("system", "Be brief."), ("user", "What is your name?")]


@dataclass
class Upstream:
    """An HTTP server that answers completions with ``replies`` in turn, the last one again and again."""

    replies: list[Callable[[asyncio.StreamWriter], Awaitable[None]]]
    bodies: list[dict[str, Any]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    lines: list[bool] = field(default_factory=list)
    """One for each completion: True once the other side has closed its line."""
    models: str = '{"data": [{"id": "big"}]}'
    settings: EngineSettings = field(default_factory=EngineSettings)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                if head.startswith("GET /v1/models "):
                    writer.write(http(200, self.models))
                    continue
                assert head.startswith("POST /v1/chat/completions "), head
                length = next(int(h[15:]) for h in head.split("\r\n") if h.lower().startswith("content-length:"))
                self.bodies.append(json.loads(await reader.readexactly(length)))
                number = len(self.lines)
                self.lines.append(False)
                answering = asyncio.create_task(self.replies[min(number, len(self.replies) - 1)](writer))
                closed = asyncio.create_task(reader.read(1))
                await asyncio.wait([answering, closed], return_when=asyncio.FIRST_COMPLETED)
                self.lines[number] = closed.done()
                answering.cancel()
                closed.cancel()
                break  # one completion a line: its end is the line's
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the engine under test left: what it had asked is in ``bodies``
        finally:
            writer.close()


def http(status: int, body: str, more: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\ncontent-length: {len(body.encode())}\r\n{more}\r\n{body}".encode()


def status(number: int, more: str = "") -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(http(number, '{"error": "they quote the question"}', more))
        await writer.drain()

    return reply


def stream(
    *events: object, then: str = "end", pause: float = 0.0
) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    """Server-sent events; strings go as they are, others as JSON data; ``then`` the end, or silence."""

    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for event in events:
            text = event if isinstance(event, str) else f"data: {json.dumps(event)}\n\n"
            writer.write(text.encode())
            await writer.drain()
            await asyncio.sleep(pause)
        if then == "silence":
            await asyncio.Event().wait()

    return reply


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def delta(text: str | None = None, finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}]}


USAGE = {"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7}}
DONE = "data: [DONE]\n\n"
GOOD = (": hello\n\n", delta("Some "), "event: x\n", delta("words."), delta(finish="stop"), USAGE, DONE)


@asynccontextmanager
async def upstream(*replies: Any, **settings: Any) -> AsyncIterator[tuple[Upstream, OpenAIEngine]]:
    found = Upstream(list(replies))
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    found.settings = EngineSettings(
        kind="openai", model="big", url=f"http://127.0.0.1:{port}/v1", patience_seconds=5.0, retries=2
    )
    engine = await OpenAIEngine.start(replace(found.settings, **settings))
    try:
        yield found, engine
    finally:
        await engine.close()
        server.close()


async def said(engine: OpenAIEngine, sampling: Sampling = GREEDY) -> list[Piece]:
    prompt = await engine.prepare(ASKED, tenant=b"\x07" * 16)
    async with aclosing(engine.answer(prompt, sampling)) as pieces:
        return [piece async for piece in pieces]


async def test_an_answer_comes_piece_by_piece_with_what_it_cost() -> None:
    async with upstream(stream(*GOOD)) as (server, engine):
        pieces = await said(engine, replace(GREEDY, seed=3))
        assert [p.text for p in pieces] == ["Some ", "words.", ""]
        assert (pieces[-1].finish, pieces[-1].usage) == (Finish.STOP, Usage(11, 7))
        body = server.bodies[0]
        assert body.pop("messages") == [{"role": r, "content": t} for r, t in ASKED]
        assert body == {
            "model": "big", "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 24,
            "temperature": 0, "seed": 3, "cache_salt": "07" * 16,
        }  # fmt: skip
        assert (engine.model, engine.healthy()) == ("big", True)


async def test_what_is_not_wanted_is_not_sent() -> None:
    async with upstream(stream(*GOOD), cache_salt=False) as (server, engine):
        await said(engine)
        assert not {"cache_salt", "seed"} & server.bodies[0].keys()
        assert "authorization" not in server.heads[0].lower()


@pytest.mark.parametrize("first", [status(503), status(429), status(502), hang_up, stream(then="end")])
async def test_what_fails_before_the_first_word_is_tried_again(first: Any) -> None:
    async with upstream(first, stream(*GOOD)) as (server, engine):
        assert "".join(p.text for p in await said(engine)) == "Some words."
        assert len(server.bodies) == 2


async def test_nothing_is_tried_again_after_the_first_word() -> None:
    async with upstream(stream(delta("Some ")), stream(*GOOD)) as (server, engine):
        with pytest.raises(EngineError, match="cut") as raised:
            await said(engine)
        assert not isinstance(raised.value, EngineBusyError)
        assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("reply", "error", "asked"),
    [
        (status(503, "retry-after: 7\r\n"), EngineBusyError, 3),
        (status(400), UnsuitableQuestionError, 1),
        (status(413), UnsuitableQuestionError, 1),
        (status(401), EngineError, 1),
        (status(500), EngineError, 1),
        (status(302, "location: http://127.0.0.1:1/\r\n"), EngineError, 1),
        (stream({"error": {"message": "secret"}}), EngineError, 1),
        (stream("data: {not json\n\n"), EngineError, 1),
        (stream("data: []\n\n"), EngineError, 1),
        (stream({"choices": [7]}), EngineError, 1),
        (stream(delta("x"), delta(finish="abort")), EngineError, 1),
        (stream(DONE), EngineBusyError, 3),
    ],
)
async def test_what_goes_wrong_there_is_an_error_here_and_never_quotes(reply: Any, error: Any, asked: int) -> None:
    async with upstream(reply) as (server, engine):
        with pytest.raises(EngineError) as raised:
            await said(engine)
        assert type(raised.value) is error
        assert len(server.bodies) == asked
        assert "secret" not in str(raised.value)
        assert "quote" not in str(raised.value)
        if asked == 3 and isinstance(raised.value, EngineBusyError) and "room" in str(raised.value):
            assert raised.value.retry_after == 7


@pytest.mark.parametrize("events", [(), (delta("Some "),)])
async def test_silence_is_not_waited_for_for_ever(events: Any) -> None:
    async with upstream(stream(*events, then="silence"), patience_seconds=0.3) as (server, engine):
        with pytest.raises(EngineError, match="says nothing"):
            await said(engine)
        assert len(server.bodies) == 1
        await wait_until(lambda: server.lines == [True])


async def test_leaving_an_answer_closes_its_line() -> None:
    """With the line's end the server stops; here that is seen from the server's side."""
    async with upstream(stream(*[delta("w ")] * 1000, pause=0.01)) as (server, engine):
        answer = engine.answer(await engine.prepare(ASKED), GREEDY)
        await anext(answer)
        await answer.aclose()
        await wait_until(lambda: server.lines == [True])
        task = asyncio.create_task(said(engine, replace(GREEDY, max_tokens=900)))  # and by cancelling who waits
        await wait_until(lambda: len(server.lines) == 2)
        task.cancel()
        await wait_until(lambda: server.lines[1])
        assert server.lines == [True, True]
        assert len(server.bodies) == 2
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_server_that_does_not_know_when_to_stop_is_stopped() -> None:
    async with upstream(stream(*[delta("w ")] * 100, then="silence")) as (server, engine):
        pieces = await said(engine, replace(GREEDY, max_tokens=5))
        assert pieces[-1].finish is Finish.LENGTH
        assert sum(p.tokens for p in pieces) <= 6
        await wait_until(lambda: server.lines == [True])


async def test_half_a_character_does_not_break_the_stream() -> None:
    half = 'data: {"choices": [{"delta": {"content": "a\\ud83d"}, "finish_reason": null}]}\n\n'
    async with upstream(stream(half, delta("b"), delta(finish="stop"), DONE)) as (_, engine):
        assert "".join(p.text for p in await said(engine)) == "a?b"


async def test_health_follows_whether_the_model_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnemon_cloud.answers.engines.openai._PROBE_SECONDS", 0.05)
    async with upstream(stream(*GOOD)) as (server, engine):
        await wait_until(engine.healthy)
        for models in ('{"data": [{"id": "another"}]}', "rubbish", '{"data": 3}', '{"data": [7]}'):
            server.models = models
            await wait_until(lambda: not engine.healthy())
            server.models = '{"data": [{"id": "big"}]}'
            await wait_until(engine.healthy)
        await engine.close()
        assert not engine.healthy()


async def test_a_server_that_is_not_there_yet_is_waited_for() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    settings = EngineSettings(kind="openai", model="big", url=url, retries=0)
    engine = await OpenAIEngine.start(settings)
    assert not engine.healthy()
    with pytest.raises(EngineBusyError):
        await said(engine)
    await engine.close()
    await engine.close()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model": "built-in"}, "engine.model"),
        ({"url": "ftp://x"}, "engine.url"),
        ({"key_file": "/no/key"}, "/no/key"),
    ],
)
async def test_settings_that_cannot_be_used_are_told_at_once(change: dict[str, Any], named: str) -> None:
    settings = EngineSettings(kind="openai", model="big")
    with pytest.raises(SettingsError, match=named):
        await OpenAIEngine.start(replace(settings, **change))


async def test_the_key_comes_from_a_file_and_the_line_may_be_a_socket(tmp_path: Path) -> None:
    found = Upstream([stream(*GOOD)])
    server = await asyncio.start_unix_server(found.serve, tmp_path / "s")
    (tmp_path / "key").write_text("the-key\n")
    settings = EngineSettings(
        kind="openai", model="big", url=f"unix:{tmp_path / 's'}", key_file=str(tmp_path / "key")
    )
    engine = await OpenAIEngine.start(settings)
    assert "".join(p.text for p in await said(engine)) == "Some words."
    assert all("authorization: bearer the-key\r\n" in head.lower() for head in found.heads)
    await engine.close()
    server.close()


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (status(503, "retry-after: 7\r\n"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (status(400), grpc.StatusCode.INVALID_ARGUMENT),
        (status(500), grpc.StatusCode.UNAVAILABLE),
        (stream(delta("Some ")), grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_a_device_is_told_what_it_can_do_about_it(tmp_path: Path, reply: Any, code: Any) -> None:
    async with upstream(reply) as (_, engine), serving(tmp_path, engine) as running:
        device = await running.device()
        error = await status_of(device.ask())
        assert error.code() == code
        if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
            assert retry_seconds(error) == 7


async def test_a_device_pays_what_the_server_counted_and_caches_are_kept_apart(tmp_path: Path) -> None:
    async with upstream(stream(*GOOD)) as (server, engine), serving(tmp_path, engine) as running:
        one, two = await running.device(), await running.device()
        for device in (one, one, two):
            finished = [r async for r in device.ask(question("x " * 300, max_tokens=20))][-1].finished
        assert (finished.prompt_tokens, finished.answer_tokens, finished.quota_left) == (11, 7, 200_000 - 18)
        salts = [body["cache_salt"] for body in server.bodies]
        assert salts[0] == salts[1] != salts[2]
        assert one.id.hex() not in salts[0]


@pytest.fixture(scope="module")
def llama_server() -> Iterator[str]:
    """``python -m llama_cpp.server`` with the built-in model; the address it listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["--model", str(built_in_model()), "--model_alias", "built", "--n_ctx", "512", "--n_threads", "1"]
    words += ["--interrupt_requests", "false"]  # else whoever lists the models cuts off the answer under way
    process = subprocess.Popen(
        [sys.executable, "-m", "llama_cpp.server", *words, "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        started = time.monotonic()
        while True:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() - started < HANG_SECONDS, "the server does not listen"
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
async def real(llama_server: str) -> AsyncIterator[OpenAIEngine]:
    engine = await OpenAIEngine.start(EngineSettings(kind="openai", model="built", url=llama_server, window=512))
    yield engine
    await engine.close()


async def test_a_real_server_answers_a_device(real: OpenAIEngine, tmp_path: Path) -> None:
    async with serving(tmp_path, real) as running:
        device = await running.device()
        asked = question("My sister Anna lives in Oslo. Where does my sister live?", temperature=0.0)
        responses = [r async for r in device.ask(asked, timeout=60)]
        assert responses[0].started.model == "built"
        assert responses[-1].finished.answer_tokens >= 1
        text = "".join(r.delta.text for r in responses)
        assert text.strip()
        assert await text_of(device.ask(asked, timeout=60)) == text  # greedy: the same again


async def test_a_real_server_is_left_in_the_middle_and_goes_on_with_the_next(real: OpenAIEngine) -> None:
    prompt = await real.prepare([("user", "Tell me something about the sea, as long as you can.")])
    for _ in range(3):
        async with aclosing(real.answer(prompt, Sampling(max_tokens=300, temperature=1.5))) as pieces:
            await anext(pieces)
    answer = await said(real)
    assert answer[-1].finish in (Finish.STOP, Finish.LENGTH)
    assert sum(p.tokens for p in answer) <= 25


async def test_what_does_not_fit_a_real_server_is_not_even_sent_there(real: OpenAIEngine, tmp_path: Path) -> None:
    async with serving(tmp_path, real) as running:
        device = await running.device()
        assert (await status_of(device.ask(question("word " * 2000)))).code() == grpc.StatusCode.INVALID_ARGUMENT
