"""The two processes that are killed: a server with a scripted engine, and a device that empties its outbox.

Both run in forks of a process that has imported everything and has made nothing of gRPC yet: a new life costs
milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

from cloud_server import ScriptedEngine, serving
from no_embedder import NoEmbedder

from mnemon.memory.memory import Memory
from mnemon.memory.store import Store
from mnemon.privacy.ledger import Ledger
from mnemon.sync import client as cloud_client
from mnemon.sync import refusals
from mnemon.sync.account import Accounts
from mnemon.sync.courier import Courier
from mnemon_cloud.answers.engines import Finish, Piece, Prompt, Role, Sampling
from mnemon_cloud.devices.enrollment import create_invite

KEY = bytes(32)
PIECES = 12


@dataclass
class Journaled(ScriptedEngine):
    """Says the question and a word nobody else says, and writes down what it was asked and what it finished."""

    journal: Path = Path()

    async def prepare(self, messages: Sequence[tuple[Role, str]], *, tenant: bytes = b"") -> Prompt:
        return Prompt(messages[-1][1], 5)

    async def answer(self, prompt: Prompt, sampling: Sampling) -> AsyncGenerator[Piece, None]:
        asked, nonce = str(prompt.payload), os.urandom(6).hex()
        self._note("asked", asked, nonce)
        for number in range(PIECES):
            await asyncio.sleep(0.004)
            yield Piece(f"{nonce} {number} {asked}; ", 1)
        self._note("finished", asked, nonce)
        yield Piece("", 0, Finish.STOP)

    def _note(self, event: str, asked: str, nonce: str) -> None:
        with self.journal.open("ab", buffering=0) as file:  # one write: a killed process leaves whole lines
            file.write((json.dumps([event, asked, nonce]) + "\n").encode())


def whole(nonce: str, asked: str) -> str:
    """The answer that belongs to a journal's line."""
    return "".join(f"{nonce} {number} {asked}; " for number in range(PIECES))


def server_life(folder: Path, tell: Connection) -> None:
    """Serve until killed; tells the port, then an invite for each number asked for."""

    async def live() -> None:
        engine = Journaled(places=64, journal=folder / "journal")
        async with serving(folder, engine, limits={"answers_per_device": 8, "tokens_per_day": 0}) as running:
            tell.send(running.server.port)
            while True:
                wanted = await asyncio.to_thread(tell.recv)
                invites = [
                    await create_invite(
                        running.storage,
                        address=f"localhost:{port}",
                        authority=running.keys.authority,
                        server_key=running.keys.public_key,
                        now_ms=round(datetime.now(UTC).timestamp() * 1000),
                    )
                    for port in wanted
                ]
                tell.send(invites)

    try:
        asyncio.run(live())
    except EOFError:  # the other side is gone
        os._exit(0)


STORMY, CALM = (2.0, 4.0, 0.5), (30.0, 60.0, 5.0)
"""Seconds a device waits for a small call, for an answer, and when it looks what is wrong with the line: few where
lines fall silent, and many where nothing is wrong but a busy machine."""


def device_life(
    folder: Path, port: int, life: int, rounds: int, patience: tuple[float, float, float], *, hurry: bool
) -> None:
    """Deliver what waits, at most ``rounds`` times, each some hours after the one before.

    Args:
        hurry: What waits is due at once, as for `mnemon sync once`. Without it a pause, which grows to 78 minutes,
            may reach past the ends of many lives: each begins only ten minutes after the one before.
    """
    cloud_client.CALL_SECONDS, cloud_client.ASK_SECONDS, refusals._PROBE_SECONDS = patience  # type: ignore[misc]
    started = datetime.now(UTC)
    clock = [started + timedelta(minutes=10 * life)]
    with Store.open(folder / "memory.db", KEY) as store:
        memory = Memory(store, embedder=NoEmbedder(), now=lambda: clock[0])  # type: ignore[arg-type]
        account = replace(Accounts(store).get(), address=f"localhost:{port}")
        client = cloud_client.CloudClient(account, wait=lambda event, seconds: event.wait(min(seconds, 0.05)))
        courier = Courier(memory, Ledger(store, now=memory.now), lambda: True)
        for _ in range(rounds):
            courier.outbox.recover(hurry=hurry)
            if courier.round(client).waiting == 0:
                break
            clock[0] += timedelta(hours=2)
        client.close()
    os._exit(0)  # gRPC's threads take half a second to end


def dice(seed: int, what: str) -> random.Random:
    """The same numbers for the same seed and purpose."""
    return random.Random(f"{seed} {what}")
