"""Several serving processes on one port: the kernel gives each connection to one of them (``SO_REUSEPORT``).

The parent serves nothing. It holds the port, starts the workers, starts one again that died, passes SIGTERM on and
waits until all have let their answers end. What must hold for all of them together, nonces, allowances and kept
answers, is in the storage. gRPC does not survive a fork, so workers are started anew and the parent never loads it.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import signal
import socket
import sys
import time
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Final

from mnemon_cloud import logs
from mnemon_cloud.errors import CloudError, ListenError, SettingsError
from mnemon_cloud.home import Home
from mnemon_cloud.identity import host_of
from mnemon_cloud.settings import Settings

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
"""Seconds before a worker that died is started again: doubled each time until one lives for a minute."""
_STEADY_SECONDS: Final = 60.0

_spawn = multiprocessing.get_context("spawn")


async def supervise(home: Home, settings: Settings, *, insecure_without_tls: bool = False) -> int:
    """Run ``server.workers`` processes until told to end.

    Returns:
        The exit code: 0, or that of a worker that could not even start.

    Raises:
        ListenError: The port is taken, or cannot be shared on this system.
        SettingsError: The engine cannot be shared.
    """
    if settings.engine.kind == "llama_cpp":
        raise SettingsError(
            "server.workers needs another server as engine: every worker would load the model.",
            hint='Set engine.kind = "openai", or server.workers = 1; one process batches all questions.',
        )
    logs.start()
    with _held_port(settings.server.listen) as held:
        listen = f"{settings.server.listen.rpartition(':')[0]}:{held.getsockname()[1]}"
        settings = replace(settings, server=replace(settings.server, listen=listen))
        crew = _Crew(home, settings, insecure_without_tls)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, crew.end)
        try:
            return await crew.run()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    told: Connection  # readable once the worker takes calls
    started: float


class _Crew:
    """The workers, each in its own place."""

    def __init__(self, home: Home, settings: Settings, insecure: bool) -> None:
        self._home = home
        self._settings = settings
        self._insecure = insecure
        self._ending = asyncio.Event()
        self._workers: dict[int, _Worker] = {}
        self._code = 0

    def end(self) -> None:
        """Let every worker end; called again, at once."""
        self._ending.set()
        for worker in self._workers.values():
            worker.process.terminate()

    async def run(self) -> int:
        await asyncio.gather(*(self._keep(place) for place in range(self._settings.server.workers)))
        logs.event("stopped")
        return self._code

    async def _keep(self, place: int) -> None:
        """Keep one place filled until the end."""
        pause = _FIRST_PAUSE
        while not self._ending.is_set():
            worker = self._workers[place] = self._start(place)
            await _readable(worker.process.sentinel)
            worker.process.join()
            code = worker.process.exitcode or 0
            lived = time.monotonic() - worker.started
            served = _said_something(worker.told)
            del self._workers[place]
            if self._ending.is_set():
                return
            logs.event("worker-died", worker=place, code=code)
            if not served:  # what is wrong now is wrong for all of them
                self._code = self._code or (code if code > 0 else 1)
                self.end()
                return
            pause = _FIRST_PAUSE if lived > _STEADY_SECONDS else min(2 * pause, _LONGEST_PAUSE)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), pause)

    def _start(self, place: int) -> _Worker:
        told, tell = _spawn.Pipe(duplex=False)
        process = _spawn.Process(
            target=_work,
            args=(self._home, worker_settings(self._settings, place), self._insecure, tell),
            daemon=False,
        )
        process.start()
        tell.close()
        logs.event("worker-started", worker=place, pid=process.pid or 0)
        return _Worker(process, told, time.monotonic())


def _said_something(pipe: Connection) -> bool:
    """Whether the other side, which has ended, sent a word before."""
    with pipe:
        try:
            pipe.recv()
        except EOFError:
            return False
    return True


def worker_settings(settings: Settings, place: int) -> Settings:
    """The settings of one worker: its share of places and queue, and a metrics port of its own."""
    share = settings.server.workers
    host, _, port = settings.server.metrics.rpartition(":")
    metrics = f"{host}:{int(port) + place}" if port not in ("", "0") else settings.server.metrics
    return replace(
        settings,
        server=replace(settings.server, metrics=metrics),
        engine=replace(settings.engine, parallel=-(-settings.engine.parallel // share)),
        limits=replace(settings.limits, queue=-(-settings.limits.queue // share)),
    )


def _work(home: Home, settings: Settings, insecure: bool, tell: Connection) -> None:
    """A worker's life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the whole group; the parent passes it on once
    from mnemon_cloud.serving import serve

    async def serving() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:  # killed without a word: do not stay behind
            loop = asyncio.get_running_loop()

            def orphaned() -> None:
                loop.remove_reader(parent.sentinel)
                signal.raise_signal(signal.SIGTERM)

            loop.add_reader(parent.sentinel, orphaned)
        await serve(
            home,
            settings,
            insecure_without_tls=insecure,
            shared_port=True,
            ready=lambda: tell.send(None),
        )

    try:
        asyncio.run(serving())
    except CloudError as error:
        sys.stderr.write(f"Error: {error} {error.hint}".rstrip() + "\n")
        sys.exit(error.exit_code)


def _held_port(listen: str) -> socket.socket:
    """The port, taken so that nobody else does while workers come and go.

    Raises:
        ListenError: It is taken, or cannot be shared.
    """
    host, port = host_of(listen), int(listen.rpartition(":")[2])
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ListenError("This system cannot share a port.", hint="Set server.workers = 1.")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:  # does not share, so it finds out whether another server does
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            address = probe.getsockname()
        held = socket.socket(family)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(address)
    except OSError as error:
        raise ListenError(
            f"{listen} cannot be listened on: {error.strerror}.",
            hint="Is another server running? Set server.listen.",
        ) from error
    return held


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.add_reader(descriptor, done.set_result, None)
    try:
        await done
    finally:
        loop.remove_reader(descriptor)
