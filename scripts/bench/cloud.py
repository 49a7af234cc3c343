"""How the cloud carries load: added latency of many streams, idle connections, overload, cancellation, batching.

    python scripts/bench/cloud.py [--json] [--seconds 60] [--only streams idle overload cancel batching]

The server is a process of its own (``clockwork.py``) with an engine that says a piece every 50 ms with the moment in
it; the clients read the same clock (CLOCK_MONOTONIC is one for the machine). So what is measured is everything
between the engine's word and the device's program. The same streams against a bare gRPC server with TLS, in turns,
say how much of it is the machine's and gRPC's own: on a busy machine look at that ratio.

``batching`` compares the tokens a second of eight answers at once with those of one at a time, on the same model and
threads.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import socket
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "cloud"))
import make_random_model
from clockwork import BARE, DEVICES, PAUSE, PIECES, Server
from cloud_server import TestDevice, channel_to, question, retry_seconds

from mnemon_cloud.answers.engines import Sampling

STREAMS = 200
IDLE = 1000
PLACES, QUEUE, ASKERS = 8, 16, 200
CANCELS = 40
ADDED_MS, CANCEL_MS, BATCHING, GROWTH = 10.0, 100.0, 2.5, 1.05
LEAK_ROUNDS = 6
"""The first rounds fill caches; a leak would go on after that, and shows in no fewer."""


def percentile(values: list[float], share: float) -> float:
    """The value below which that share lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def row(what: str, value: float, unit: str, bar: str = "", *, ok: bool = True) -> dict[str, Any]:
    """One line of the table."""
    return {"what": what, "value": round(value, 2), "unit": unit, "bar": bar, "ok": ok}


async def listen(pieces: Any, name: str, delays: list[float]) -> int:
    """Read one stream to its end, checking that every piece is its own and in its place; how many came."""
    count = 0
    async for text in pieces:
        now = time.monotonic_ns()
        for part in filter(None, text.split(";")):
            whose, number, at = part.split(" ")
            if (whose, int(number)) != (name, count):
                raise AssertionError(f"stream {name} got piece {number} of {whose} in place {count}")
            count += 1
            delays.append((now - int(at)) / 1e6)
    return count


def phase() -> float:
    """When a stream begins, seconds: people do not ask in step, and neither do these."""
    return random.random() * 20 * PAUSE


async def ours(device: TestDevice, name: str, delays: list[float]) -> int:
    """One answer of the real server."""

    async def pieces() -> AsyncGenerator[str, None]:
        finished = False
        async for response in device.ask(question(name, max_tokens=PIECES), timeout=300):
            finished = response.WhichOneof("event") == "finished"
            if response.WhichOneof("event") == "delta":
                yield response.delta.text
        if not finished:
            raise AssertionError(f"stream {name} ended without its end")

    return await listen(pieces(), name, delays)


async def bare(channel: Any, name: str, delays: list[float]) -> int:
    """The same words from the bare server."""

    async def pieces() -> AsyncGenerator[str, None]:
        async for raw in channel.unary_stream(BARE)(name.encode(), timeout=300):
            yield raw.decode()

    return await listen(pieces(), name, delays)


async def streams(folder: Path, seconds: float) -> list[dict[str, Any]]:
    """Many streams for a while, ours and bare in turns."""
    server = await Server.start(folder, STREAMS, 0)
    devices = await server.devices()
    channels = [channel_to(server.bare, devices[0].invite.authority) for _ in devices]
    kinds: dict[str, list[float]] = {"ours": [], "bare": []}
    rounds = max(1, round(seconds / (PIECES * PAUSE)))
    answers = 0
    held: list[float] = []
    busy = 0.0
    for turn in range(rounds + -(-rounds // 2)):
        kind = "bare" if turn % 3 == 1 else "ours"
        used = server.cpu_seconds()
        names = [f"{turn}.{n}" for n in range(STREAMS)]
        targets: list[Any] = devices if kind == "ours" else channels
        run = ours if kind == "ours" else bare

        async def later(number: int, name: str, run: Any = run, kind: str = kind, targets: Any = targets) -> int:
            await asyncio.sleep(phase())
            return int(await run(targets[number % len(targets)], name, kinds[kind]))

        counts = await asyncio.gather(*(later(number, name) for number, name in enumerate(names)))
        if set(counts) != {PIECES}:
            raise AssertionError(f"{sum(c != PIECES for c in counts)} streams lost pieces")
        if kind == "ours":
            answers += len(counts)
            busy += server.cpu_seconds() - used
            held.append(server.megabytes())
        print(f"  {kind}: {percentile(kinds[kind], 0.95):.1f} ms p95 so far", file=sys.stderr)
    for each in (*channels, *(d.channel for d in devices)):
        await each.close()
    await server.stop()
    p95 = percentile(kinds["ours"], 0.95)
    what = f"cloud, {STREAMS} streams"
    rows = [
        row(f"{what}, added latency p95", p95, "ms", f"<= {ADDED_MS:g}", ok=p95 <= ADDED_MS),
        row(f"{what}, added latency p50", percentile(kinds["ours"], 0.5), "ms"),
        row(f"{what}, added latency p95 against bare gRPC", p95 / percentile(kinds["bare"], 0.95), "x"),
        row(f"{what}, answers, none lost or crossed", answers, ""),
        row(f"{what}, pieces for a second of processor", answers * PIECES / busy, "/s"),
        row(f"{what}, memory", held[-1], "MB"),
    ]
    if len(held) >= LEAK_ROUNDS:
        growth = held[-1] / held[len(held) // 3]
        what += ", memory at the end against a third in"
        rows.append(row(what, growth, "x", f"<= {GROWTH:g}", ok=growth <= GROWTH))
    return rows


async def idle(folder: Path) -> list[dict[str, Any]]:
    """A thousand connections that only exist."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * IDLE)), hard))
    server = await Server.start(folder, STREAMS, 0)
    devices = await server.devices()
    before = server.megabytes()
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=devices[0].invite.authority)
    context.set_alpn_protocols(["h2"])
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # and empty SETTINGS
    lines = []
    started = time.perf_counter()
    for _ in range(IDLE):
        raw = await asyncio.to_thread(socket.create_connection, ("127.0.0.1", server.port), 30)
        line = await asyncio.to_thread(context.wrap_socket, raw, server_hostname="localhost")
        line.sendall(preface)
        lines.append(line)
    took = time.perf_counter() - started
    delays: list[float] = []
    counts = await asyncio.gather(*(ours(d, f"idle.{n}", delays) for n, d in enumerate(devices)))
    alive = 0
    for line in lines:
        line.settimeout(10)
        alive += len(line.recv(9)) == 9  # the server's SETTINGS
        line.close()
    after = server.megabytes()
    for device in devices:
        await device.channel.close()
    await server.stop()
    ok = alive == IDLE and set(counts) == {PIECES}
    return [
        row(f"cloud, {IDLE} idle connections, alive", alive, "", f">= {IDLE}", ok=ok),
        row(f"cloud, {IDLE} idle connections, memory each", (after - before) * 1024 / IDLE, "KB"),
        row(f"cloud, {IDLE} idle connections, a handshake", took / IDLE * 1000, "ms"),
        row(f"cloud, latency p95 of {DEVICES} streams beside them", percentile(delays, 0.95), "ms"),
    ]


async def overload(folder: Path) -> list[dict[str, Any]]:
    """Many more askers than places: those who get none are told at once when to come back."""
    server = await Server.start(folder, PLACES, QUEUE)
    devices = await server.devices()
    refused: list[float] = []
    wrong: list[object] = []
    answered = 0

    async def ask(number: int) -> None:
        nonlocal answered
        delays: list[float] = []
        device, name = devices[number % len(devices)], f"over.{number}"
        started = time.perf_counter()
        try:
            count = await ours(device, name, delays)
            answered += count == PIECES
        except grpc.aio.AioRpcError as error:
            refused.append((time.perf_counter() - started) * 1000)
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED or retry_seconds(error) < 1:
                wrong.append(error.code())

    await asyncio.gather(*(ask(number) for number in range(ASKERS)))
    after = await ours(devices[0], "after", [])
    for device in devices:
        await device.channel.close()
    await server.stop()
    ok = answered == PLACES + QUEUE and len(refused) == ASKERS - answered and not wrong and after == PIECES
    what = f"cloud, {ASKERS} askers for {PLACES} places and a queue of {QUEUE}"
    return [
        row(f"{what}: answered", answered, "", f"= {PLACES + QUEUE}", ok=ok),
        row(f"{what}: refused with a delay", len(refused) - len(wrong), "", f"= {ASKERS - PLACES - QUEUE}", ok=ok),
        row(f"{what}: until a refusal, p95", percentile(refused, 0.95), "ms"),
    ]


async def cancel(folder: Path) -> list[dict[str, Any]]:
    """From the device's cancel to the engine's end."""
    server = await Server.start(folder, STREAMS, 0)
    (device, *others) = await server.devices()
    took: list[float] = []
    for number in range(CANCELS):
        call = device.ask(question(f"cancel.{number}", max_tokens=10_000), timeout=60)
        while not (await call.read()).HasField("delta"):
            pass
        await asyncio.sleep(PAUSE * (number % 7) / 7)  # at any moment between two pieces
        told = time.monotonic_ns()
        call.cancel()
        line = json.loads(await server.process.stdout.readline())
        if line["stopped"] != f"cancel.{number}":
            raise AssertionError(f"another stream was stopped: {line['stopped']}")
        took.append((line["at"] - told) / 1e6)
    for each in (device, *others):
        await each.channel.close()
    await server.stop()
    p95 = percentile(took, 0.95)
    return [
        row("cloud, cancel to the engine, p95", p95, "ms", f"<= {CANCEL_MS:g}", ok=p95 <= CANCEL_MS),
        row("cloud, cancel to the engine, most", max(took), "ms"),
    ]


async def batching(folder: Path, threads: int) -> list[dict[str, Any]]:
    """Eight answers at once against one at a time, with weights of four and of eight bits."""
    return [one for kind in ("q4_0", "q8_0") for one in await batched(folder / f"{kind}.gguf", kind, threads)]


async def batched(path: Path, kind: str, threads: int) -> list[dict[str, Any]]:
    """Tokens a second of answers of 128 tokens, in turns on one engine."""
    from mnemon_cloud.answers.engines.llama_cpp import LlamaCppEngine
    from mnemon_cloud.settings import EngineSettings

    make_random_model.write(make_random_model.SHAPES["qwen2-0.5b"], path, kind=kind)
    settings = EngineSettings(model=str(path), parallel=8, window=512, threads=threads)
    engine = await LlamaCppEngine.start(settings)
    engine._vocabulary.ends = lambda _token: False  # type: ignore[method-assign]  # of the length asked for
    prompt = await engine.prepare([("user", "How far is the moon from the earth, and why does it not fall down?")])
    wishes = Sampling(128, 0.8, 1)

    async def answer(number: int) -> int:
        async with aclosing(engine.answer(prompt, replace(wishes, seed=number))) as pieces:
            return sum([piece.tokens async for piece in pieces])

    await answer(0)
    rates: dict[str, list[float]] = {"one": [], "eight": []}
    for turn in range(4):
        started = time.perf_counter()
        tokens = sum([await answer(turn * 2 + n) for n in range(2)])
        rates["one"].append(tokens / (time.perf_counter() - started))
        started = time.perf_counter()
        tokens = sum(await asyncio.gather(*(answer(turn * 8 + n) for n in range(8))))
        rates["eight"].append(tokens / (time.perf_counter() - started))
        print(f"  one {rates['one'][-1]:.1f}, eight {rates['eight'][-1]:.1f} tokens/s", file=sys.stderr)
    await engine.close()
    ratio = statistics.median(eight / one for one, eight in zip(rates["one"], rates["eight"], strict=True))
    what = f"cloud, llama_cpp, {kind}, 8 answers at once"
    return [
        row(f"{what} against 1", ratio, "x", f">= {BATCHING:g}", ok=ratio >= BATCHING),
        row(what, max(rates["eight"]), "tokens/s"),
        row(f"cloud, llama_cpp, {kind}, 1 at a time", max(rates["one"]), "tokens/s"),
    ]


async def measure(only: Sequence[str], seconds: float, threads: int) -> list[dict[str, Any]]:
    """The rows of what was chosen."""
    rows: list[dict[str, Any]] = []
    benches = {
        "streams": lambda folder: streams(folder, seconds),
        "idle": idle,
        "overload": overload,
        "cancel": cancel,
        "batching": lambda folder: batching(folder, threads),
    }
    for name, bench in benches.items():
        if not only or name in only:
            print(f"{name} …", file=sys.stderr)
            with tempfile.TemporaryDirectory() as folder:
                rows += await bench(Path(folder))
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print rows for all.py")
    parser.add_argument("--seconds", type=float, default=60, help="how long the streams run")
    parser.add_argument("--threads", type=int, default=0, help="of the model; 0 for every usable core")
    parser.add_argument("--only", nargs="+", default=[], help="streams, idle, overload, cancel, batching")
    arguments = parser.parse_args()
    rows = asyncio.run(measure(arguments.only, arguments.seconds, arguments.threads))
    if arguments.json:
        print(json.dumps(rows))
        return
    for each in rows:
        missed = "" if each["ok"] else "MISSED"
        print(f"{each['what']:78} {each['value']:10.2f} {each['unit']:9} {each['bar']:8} {missed}")


if __name__ == "__main__":
    main()
