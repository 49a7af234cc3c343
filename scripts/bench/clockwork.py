"""The server that ``cloud.py`` measures, in a process of its own, with an engine that keeps time instead of thinking.

It has TLS, signatures, quotas and SQLite as always; the engine says a piece every 50 ms with the moment in it. Beside
it, at another port, a bare gRPC server with TLS says the same pieces.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "cloud"))
from cloud_server import TestDevice, serving

from mnemon_cloud.answers.engines import Finish, Piece, Prompt, Role, Sampling
from mnemon_protos.invites import read_invite, write_invite

PIECES, PAUSE = 100, 0.05
"""Of one stream, and seconds between two of them."""
DEVICES = 8
BARE = "/bench.Bare/Stream"


class Clockwork:
    """Says who it answers, the how manieth piece it is, and when; notes when it was told to stop."""

    model, window = "clockwork", 1_000_000

    def __init__(self, places: int) -> None:
        self.places = places

    def healthy(self) -> bool:
        """Always."""
        return True

    async def prepare(self, messages: Sequence[tuple[Role, str]], *, tenant: bytes = b"") -> Prompt:
        """The question names its stream."""
        return Prompt(messages[-1][1], 1)

    async def answer(self, prompt: Prompt, sampling: Sampling) -> AsyncGenerator[Piece, None]:
        """A piece every 50 ms, whatever the reader does."""
        name, due, ended = str(prompt.payload), time.monotonic(), False
        try:
            for number in range(sampling.max_tokens):
                due += PAUSE
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                yield Piece(f"{name} {number} {time.monotonic_ns()};", 1)
            ended = True
            yield Piece("", 0, Finish.LENGTH)
        finally:
            if not ended:
                say(stopped=name, at=time.monotonic_ns())

    async def close(self) -> None:
        """Nothing to let go of."""


def say(**fields: object) -> None:
    """A line to the other process."""
    print(json.dumps(fields), flush=True)


async def serve(folder: Path, places: int, queue: int) -> None:
    """The server's process: says its port and invites, then lives until its input ends."""
    limits = {"tokens_per_day": 0, "answers_per_device": places, "queue": queue, "answer_tokens": 1_000_000}
    async with serving(folder, Clockwork(places), limits=limits) as running:
        bare = grpc.aio.server(maximum_concurrent_rpcs=4096)
        handlers = {"Stream": grpc.unary_stream_rpc_method_handler(_bare(running.engine))}
        bare.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Bare", handlers),))
        credentials = grpc.ssl_server_credentials([(running.keys.tls_key, running.keys.tls_chain)])
        port = bare.add_secure_port("127.0.0.1:0", credentials)
        await bare.start()
        invites = [write_invite(await running.invite()) for _ in range(DEVICES)]
        say(port=running.server.port, bare=port, invites=invites)
        await asyncio.to_thread(sys.stdin.read)
        await bare.stop(0)


def _bare(engine: Any) -> Any:
    async def stream(request: bytes, context: Any) -> None:
        prompt = Prompt(request.decode(), 1)
        async with aclosing(engine.answer(prompt, Sampling(PIECES, 0))) as pieces:
            async for piece in pieces:
                await context.write(piece.text.encode())

    return stream


@dataclass
class Server:
    """The other process."""

    process: Any
    port: int
    bare: int
    invites: list[str]

    @classmethod
    async def start(cls, folder: Path, places: int, queue: int) -> Server:
        """Start one and wait until it serves."""
        words = [__file__, str(folder), str(places), str(queue)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=2**20
        )
        told = json.loads(await process.stdout.readline())
        return cls(process, told["port"], told["bare"], told["invites"])

    async def devices(self) -> list[TestDevice]:
        """Enrolled devices, each with a connection of its own."""
        found = [TestDevice(read_invite(invite), self.port) for invite in self.invites]
        return [await device.enroll() for device in found]

    def megabytes(self) -> float:
        """What it holds in memory."""
        text = Path(f"/proc/{self.process.pid}/status").read_text("utf-8")
        return int(text.split("VmRSS:")[1].split()[0]) / 1024

    def cpu_seconds(self) -> float:
        """Time it used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def stop(self) -> None:
        """End it."""
        self.process.stdin.close()
        await self.process.wait()


if __name__ == "__main__":
    _folder, _places, _queue = sys.argv[1:]
    asyncio.run(serve(Path(_folder), int(_places), int(_queue)))
