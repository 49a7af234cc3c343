"""A TCP proxy that does to a line what mobile networks do: delays, slices, resets, half-closes, silence."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

Fault = Literal["none", "reset", "half-close", "silence", "refuse"]
_FAULTS: tuple[Fault, ...] = ("none", "reset", "half-close", "silence", "refuse")
_WEIGHTS = (5, 3, 2, 1, 1)


@dataclass(frozen=True, slots=True)
class Weather:
    """What happens to one connection.

    Attributes:
        fault: What ends it, after ``after`` bytes.
        towards: Which direction the bytes are counted in.
        slice: The longest piece passed on at once, bytes; 0 passes everything on as it comes.
        delay: Each piece waits up to so many seconds.
    """

    fault: Fault = "none"
    towards: Literal["server", "device"] = "device"
    after: int = 0
    slice: int = 0
    delay: float = 0.0


def weather(random: random.Random) -> Weather:
    """One connection's weather; a quarter are untouched."""
    if random.random() < 0.25:
        return Weather()
    return Weather(
        fault=random.choices(_FAULTS, _WEIGHTS)[0],
        towards=random.choice(("server", "device")),
        # A handshake is some 1.5 KB towards the device; questions and answers are some hundred bytes each.
        after=random.choice((random.randrange(1500), random.randrange(1500, 6000))),
        slice=random.choice((0, 1 + random.randrange(40), 200)),
        delay=random.choice((0.0, 0.002, 0.01)),
    )


@dataclass(slots=True)
class Line:
    """The proxy.

    Attributes:
        port: Where devices connect.
        to: Where the server listens now.
        forecast: The weather of the next connection.
    """

    port: int
    to: Callable[[], int]
    forecast: Callable[[], Weather]
    seed: int
    connections: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _serving: set[asyncio.Task[Any]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its start to its end."""
        self.connections += 1
        serving = asyncio.current_task()
        assert serving is not None
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)
        dice = random.Random(self.seed * 1000 + self.connections)
        now = self.forecast()
        if now.fault == "refuse":
            _reset(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to())
        except OSError:
            _reset(writer)
            return
        ways = (
            self._carry(reader, far_writer, writer, now, now.towards == "server", dice),
            self._carry(far_reader, writer, far_writer, now, now.towards == "device", dice),
        )
        tasks = [asyncio.create_task(way) for way in ways]
        self._tasks.update(tasks)
        try:
            await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
                self._tasks.discard(task)
            for each in (writer, far_writer):
                each.close()

    async def _carry(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        other: asyncio.StreamWriter,
        now: Weather,
        counted: bool,
        dice: random.Random,
    ) -> None:
        passed = 0
        with contextlib.suppress(ConnectionError):
            while data := await source.read(now.slice or 65536):
                if counted and now.fault != "none" and passed + len(data) > now.after:
                    target.write(data[: max(0, now.after - passed)])
                    await target.drain()
                    if now.fault == "reset":
                        _reset(target)
                        _reset(other)
                    elif now.fault == "half-close":
                        target.write_eof()
                    else:  # silence: it takes everything and passes nothing on
                        while await source.read(65536):
                            pass
                    return
                passed += len(data)
                if now.delay:
                    await asyncio.sleep(dice.random() * now.delay)
                target.write(data)
                await target.drain()
            if target.can_write_eof():
                target.write_eof()

    async def drop(self) -> None:
        """Cut every line there is."""
        while self._serving:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._serving, timeout=0.1)


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN."""
    raw = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def faulty_line(
    to: Callable[[], int], forecast: Callable[[], Weather], *, seed: int = 0
) -> AsyncIterator[Line]:
    """A proxy on a free port of loopback."""
    line = Line(0, to, forecast, seed)
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()
        await line.drop()
