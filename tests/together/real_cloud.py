"""A real server on loopback for tests of the device's end, in a thread of its own, and a memory enrolled at it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from cloud_server import Running, ScriptedEngine, serving

from mnemon.memory.store import Store
from mnemon.sync.account import Account, Accounts, enroll
from mnemon_protos.invites import write_invite

T = TypeVar("T")


class RealCloud:
    """A server under way.

    Attributes:
        engine: What answers; tests change its words while it runs.
        running: The server with its parts; look, and call through :meth:`do`.
    """

    def __init__(self, running: Running, loop: asyncio.AbstractEventLoop) -> None:
        self.running = running
        self.engine: Any = running.engine
        self._loop = loop

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the server's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def invite(self, **changes: Any) -> str:
        return write_invite(self.do(self.running.invite(**changes)))

    @property
    def port(self) -> int:
        return self.running.server.port

    @property
    def seen(self) -> list[str]:
        """The user's words of every question an engine was given."""
        return [messages[-1][1] for messages in self.engine.asked]


@contextmanager
def real_cloud(folder: Path, engine: Any = None, /, **settings: Any) -> Iterator[RealCloud]:
    """A server; the same folder gives the same server again, with the same devices.

    Args:
        engine: What answers, or what starts it in the server's loop.
    """
    started, over = threading.Event(), asyncio.Event()
    found: list[RealCloud] = []
    failed: list[BaseException] = []

    async def serve() -> None:
        answering = await engine() if callable(engine) else engine or ScriptedEngine()
        try:
            async with serving(folder, answering, **settings) as running:
                found.append(RealCloud(running, asyncio.get_running_loop()))
                started.set()
                await over.wait()
        finally:
            await answering.close()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 - told in the test's thread
            failed.append(error)
            started.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert started.wait(30)
        if failed:
            raise failed[0]
        yield found[0]
    finally:
        if found:
            found[0]._loop.call_soon_threadsafe(over.set)
        thread.join(30)


def enrolled(store: Store, cloud: RealCloud, **changes: Any) -> Account:
    """This memory's device, known to the server."""
    return enroll(Accounts(store), cloud.invite(**changes))
