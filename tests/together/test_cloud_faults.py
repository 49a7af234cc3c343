"""Lines that break and processes that are killed: every question is answered once, or told as not answered.

    pytest tests/together/test_cloud_faults.py -m slow     500 scenarios; from seed MNEMON_FAULTS_FROM on

A scenario has three questions in a device's outbox, a line with its own weather for each connection, and now and then
a kill -9 of the device or the server at some moment. After a few rounds the device is looked at as it is; then the
weather clears up, and everything must come to a good end.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from fault_lives import CALM, KEY, STORMY, device_life, dice, server_life, whole
from faulty_line import Weather, faulty_line, weather

from mnemon.memory.messages import Messages
from mnemon.memory.store import Store
from mnemon.privacy.ledger import Ledger
from mnemon.sync.account import Accounts, enroll
from mnemon.sync.outbox import Outbox
from mnemon.sync.parcel import Parcel

QUESTIONS = 3
ROUNDS = 3
AT_ONCE = 8

_fork = multiprocessing.get_context("forkserver")
_fork.set_forkserver_preload(
    [
        "mnemon.memory.memory",
        "mnemon.sync.client",
        "mnemon.sync.courier",
        "mnemon_cloud.server",
        "mnemon_cloud.storage.sqlite",
        "numpy",
        "prometheus_client",
    ]
)


@dataclass
class World:
    """A server that is killed now and then, and starts again on the same state."""

    folder: Path
    process: BaseProcess | None = None
    pipe: Connection | None = None
    port: int = 0
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self) -> None:
        ours, theirs = _fork.Pipe()
        self.process = _fork.Process(target=server_life, args=(self.folder, theirs))
        self.process.start()
        theirs.close()
        self.pipe = ours
        self.port = await asyncio.to_thread(ours.recv)

    async def kill(self) -> None:
        """kill -9, and a new life."""
        async with self.starting:
            await self.end()
            await self.start()

    async def end(self) -> None:
        assert self.process is not None
        assert self.pipe is not None
        self.process.kill()
        await ended(self.process)
        self.pipe.close()

    async def equip(self, folder: Path, texts: list[str]) -> None:
        """Enrol a device, with questions that wait; nobody kills the server meanwhile."""
        async with self.starting:
            assert self.pipe is not None
            self.pipe.send([self.port])
            (invite,) = await asyncio.to_thread(self.pipe.recv)
            await asyncio.to_thread(equip, folder, invite, texts)

    def journal(self, event: str) -> list[tuple[str, str]]:
        """Question and nonce of each line of that kind."""
        lines = (self.folder / "journal").read_text().splitlines() if (self.folder / "journal").exists() else []
        return [(asked, nonce) for kind, asked, nonce in map(json.loads, lines) if kind == event]


async def ended(process: BaseProcess) -> None:
    """Wait for its end, in this thread: two that ask multiprocessing at once may both be told nonsense."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(process.sentinel, done.set)
    try:
        await done.wait()
    finally:
        loop.remove_reader(process.sentinel)
    process.join()


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    found = World(folder)
    folder.mkdir(parents=True)
    await found.start()
    try:
        yield found
    finally:
        await found.end()


async def scenario(world: World, folder: Path, seed: int) -> Counter[str]:
    """One device's bad days; what became of its questions at their end."""
    folder.mkdir()
    texts = [f"[{seed}-{n}] How far is it?" for n in range(QUESTIONS)]
    await world.equip(folder, texts)
    ours = dice(seed, "weather")
    async with faulty_line(lambda: world.port, lambda: weather(ours), seed=seed) as line:
        kills = dice(seed, "kills")
        for life in range(1 + kills.choice((0, 0, 1, 2))):
            process = _fork.Process(
                target=device_life, args=(folder, line.port, life, ROUNDS, STORMY), kwargs={"hurry": False}
            )
            process.start()
            end = asyncio.create_task(ended(process))
            if kills.random() < 0.3:
                await asyncio.wait([end], timeout=kills.random() * 0.5)
                await world.kill()
            if kills.random() < 0.4:
                await asyncio.wait([end], timeout=kills.random() * 0.5)
                process.kill()
            await end
        stormy = check(world, folder, texts)
    # The weather clears up: whatever happened, there is one answer to each question in the end.
    async with faulty_line(lambda: world.port, Weather) as line:
        for life in range(3, 30):  # other scenarios may kill the server meanwhile
            async with world.starting:
                pass  # the server is there when the device begins
            args = (folder, line.port, life, ROUNDS, CALM)
            process = _fork.Process(target=device_life, args=args, kwargs={"hurry": True})
            process.start()
            await ended(process)
            assert process.exitcode == 0
            calm = check(world, folder, texts)
            if calm["answered"] == QUESTIONS:
                break
    assert calm == {"answered": QUESTIONS}, (seed, calm)
    return stormy


def equip(folder: Path, invite: str, texts: list[str]) -> None:
    """An enrolled device with questions that wait."""
    with Store.open(folder / "memory.db", KEY) as store:
        enroll(Accounts(store), invite)
        messages, outbox = Messages(store), Outbox(store)
        for text in texts:
            conversation = messages.start(text)
            question = messages.add(conversation.id, "owner", text)
            outbox.add(question.id, Parcel(text, {}, (f"m{question.id}",)))


def check(world: World, folder: Path, texts: list[str]) -> Counter[str]:
    """What became of each question; fails where two things are true of one, or a thing and its record differ."""
    finished: dict[str, set[str]] = {}
    for asked, nonce in world.journal("finished"):
        finished.setdefault(asked, set()).add(whole(nonce, asked))
    given = Counter(asked for asked, _ in world.journal("asked"))
    states: Counter[str] = Counter()
    with Store.open(folder / "memory.db", KEY) as store:
        entries = {entry.question_id: entry for entry in Outbox(store).entries()}
        messages, ledger = Messages(store), Ledger(store)
        assert ledger.verify().problems == ()
        left = Counter(entry.text for entry in ledger.entries())
        for number, text in enumerate(texts, 1):
            question = messages.branch(number)[0]
            assert question.text == text
            answers = [m for m in messages.branch(number) if m.role == "assistant"]
            siblings = messages.siblings(answers[0].id) if answers else []
            entry = entries[question.id]
            state = "waiting" if entry.state == "sending" else entry.state
            states[state] += 1
            assert len(siblings) == (state == "answered"), (text, state, len(siblings))
            for answer in siblings:  # whole, one of those the server made for this very question
                assert answer.text in finished[text], (text, answer.text)
            # The server saw nothing that is not in the ledger.
            assert given[text] <= left[text], (text, given[text], left[text])
        assert set(left) <= set(texts)
    return states


async def run(tmp_path: Path, seeds: range) -> Counter[str]:
    """Scenarios side by side against one server; what became of the questions in the storm."""
    found: Counter[str] = Counter()
    gate = asyncio.Semaphore(AT_ONCE)
    async with world(tmp_path / "cloud") as shared:

        async def one(seed: int) -> None:
            async with gate:
                found.update(await scenario(shared, tmp_path / str(seed), seed))

        async with asyncio.TaskGroup() as group:
            for seed in seeds:
                group.create_task(one(seed))
    return found


async def test_some_bad_days_end_well(tmp_path: Path) -> None:
    assert (await run(tmp_path, range(6))).total() == 6 * QUESTIONS


@pytest.mark.slow
async def test_five_hundred_bad_days_end_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = int(os.environ.get("MNEMON_FAULTS_FROM", "1000"))
    found: Counter[str] = Counter()
    for batch in range(start, start + 500, 50):
        found += await run(tmp_path / str(batch), range(batch, batch + 50))
        with capsys.disabled():
            print(f"{batch + 50 - start} scenarios: {dict(found)}")
    assert found.total() == 500 * QUESTIONS
    assert found["answered"]
    assert found["waiting"]


def test_weather_is_the_same_for_the_same_seed_and_of_every_kind() -> None:
    seen: list[Any] = [[weather(dice(seed, "weather")) for seed in range(300)] for _ in range(2)]
    assert seen[0] == seen[1]
    assert {w.fault for w in seen[0]} == {"none", "reset", "half-close", "silence", "refuse"}
