"""Several processes on one port: nonces and allowances hold for all, and they come and go without a lost call."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from cloud_server import ASK, HANG_SECONDS, TestDevice, channel_to, question, status_of, text_of
from test_answers_service import GET_KEY, wait_until
from test_cloud_commands import COMMAND, free_port, run
from test_openai_engine import DONE, Upstream, delta, stream

from mnemon_cloud import errors
from mnemon_cloud.errors import ListenError, SettingsError
from mnemon_cloud.settings import Settings
from mnemon_cloud.workers import supervise, worker_settings
from mnemon_protos.invites import read_invite
from mnemon_protos.v1 import answers_pb2 as pb
from mnemon_protos.v1 import devices_pb2

WORDS = 40


@dataclass
class Cloud:
    """``mnemon-cloud serve --workers 2`` with its log."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def pids(self) -> list[int]:
        return [event["pid"] for event in self.events("worker-started")]


@pytest.fixture
async def upstream() -> AsyncIterator[str]:
    words = [delta("w ")] * WORDS
    found = Upstream([stream(*words, delta(finish="stop"), DONE, pause=0.03)])
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    server.close()


@contextmanager
def two_workers(home: Path, url: str, postgres: str) -> Iterator[tuple[Cloud, str]]:
    port = free_port()
    address = f"localhost:{port}"
    environment = {
        **os.environ,
        "MNEMON_CLOUD_HOME": str(home),
        "MNEMON_CLOUD_STORAGE_URL": postgres,
        "MNEMON_CLOUD_SERVER_METRICS": "",
        "MNEMON_CLOUD_ENGINE_KIND": "openai",
        "MNEMON_CLOUD_ENGINE_MODEL": "big",
        "MNEMON_CLOUD_ENGINE_URL": url,
        "MNEMON_CLOUD_LIMITS_TOKENS_PER_DAY": "4000",
    }
    made = subprocess.run(
        [*COMMAND, "init", "--address", address], env=environment, capture_output=True, text=True, check=True
    )
    log = home / "log"
    with log.open("wb") as file:
        process = subprocess.Popen([*COMMAND, "serve", "--workers", "2"], env=environment, stdout=file, stderr=file)
    try:
        yield Cloud(process, log, port), made.stdout
    finally:
        process.kill()
        process.wait()


async def device_per_worker(cloud: Cloud, invite: str) -> list[TestDevice]:
    """One device on connections to each of the two processes, told apart by their sealing keys."""
    device = TestDevice(read_invite(invite), cloud.port)
    await device.enroll()
    found: dict[bytes, TestDevice] = {}
    for _ in range(200):  # all to one side: once in 2^199
        same = TestDevice(device.invite, cloud.port, device.key, device.id)
        asked = pb.GetSealingKeyRequest()
        key = await same.answers.GetSealingKey(asked, metadata=same.signed(GET_KEY, asked), timeout=HANG_SECONDS)
        if key.key_id in found:
            await same.channel.close()
            continue
        found[key.key_id] = same
        if len(found) == 2:
            await device.channel.close()
            return list(found.values())
    raise AssertionError("all connections go to one process")


@pytest.mark.slow
async def test_workers_share_what_must_be_shared_and_outlive_each_other(
    tmp_path: Path, upstream: str, postgres: str
) -> None:
    with two_workers(tmp_path / "cloud", upstream, postgres) as (cloud, invite):
        await wait_until(lambda: len(cloud.events("serving")) == 2)
        one, two = await device_per_worker(cloud, invite)

        # A signed call is good once, whichever process it reaches.
        asked = question(max_tokens=10)
        metadata = one.signed(ASK, asked)
        assert await text_of(one.ask(asked, metadata=metadata)) == "w " * 11
        assert (await status_of(two.ask(asked, metadata=metadata))).code() == grpc.StatusCode.UNAUTHENTICATED

        # A finished answer is the same from both, and an allowance is one.
        kept = question(max_tokens=10, keep_key=bytes(32))
        first = [r async for r in one.ask(kept)][-1]
        again = [r async for r in two.ask(kept)]
        assert (again[0].started.kept, again[-1]) == (True, first)
        left = [(await d.call("GetDevice", devices_pb2.GetDeviceRequest())).quota_left for d in (one, two)]
        assert left[0] == left[1] == first.finished.quota_left

        # One is killed: the other goes on, and a new one takes its place.
        os.kill(cloud.pids()[0], signal.SIGKILL)
        await wait_until(lambda: len(cloud.events("serving")) == 3)
        assert [e["code"] for e in cloud.events("worker-died")] == [-signal.SIGKILL]
        channel = channel_to(cloud.port, one.invite.authority)
        one.channel, one.answers = channel, TestDevice(one.invite, cloud.port).answers
        answers = [d for d in (one, two) if await answers_now(d)]
        assert answers

        # SIGTERM: what is being answered is told to the end, by all of them.
        call = answers[0].ask(question(max_tokens=WORDS))
        await call.read()
        await call.read()
        cloud.process.send_signal(signal.SIGTERM)
        last = None
        while (response := await call.read()) is not grpc.aio.EOF:
            last = response
        assert last is not None
        assert last.WhichOneof("event") == "finished"
        for device in (one, two):
            await device.channel.close()
        await asyncio.to_thread(cloud.process.wait, 30)
        assert cloud.process.returncode == 0
        assert not [pid for pid in cloud.pids() if alive(pid)]


async def answers_now(device: TestDevice) -> bool:
    try:
        return "w " in await text_of(device.ask(question(max_tokens=3)))
    except grpc.aio.AioRpcError:  # its process was the one that was killed
        return False


@pytest.mark.slow
async def test_workers_do_not_stay_behind_when_their_parent_is_killed(
    tmp_path: Path, upstream: str, postgres: str
) -> None:
    with two_workers(tmp_path / "cloud", upstream, postgres) as (cloud, _):
        await wait_until(lambda: len(cloud.events("serving")) == 2)
        cloud.process.kill()
        workers = [pid for pid in cloud.pids() if pid != cloud.process.pid]
        assert len(workers) == 2
        await wait_until(lambda: not any(map(alive, workers)))
        assert not alive(cloud.process.pid)


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_worker_that_cannot_start_ends_them_all_with_its_exit_code(tmp_path: Path, own_home: Path) -> None:
    from mnemon_cloud.home import Home

    settings = Settings().with_values(
        {
            "server": {"listen": "127.0.0.1:0", "metrics": "", "workers": 2},
            "engine": {"kind": "openai", "model": "x"},
        },
        origin="test",
    )
    assert await supervise(Home(tmp_path / "nothing"), settings) == errors.IdentityError.exit_code


async def test_the_embedded_engine_is_not_shared(tmp_path: Path) -> None:
    from mnemon_cloud.home import Home

    with pytest.raises(SettingsError, match="workers"):
        await supervise(Home(tmp_path), Settings())


async def test_a_port_that_another_server_has_is_not_shared_by_mistake(tmp_path: Path) -> None:
    import socket

    from mnemon_cloud.home import Home

    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = Settings().with_values(
            {
                "server": {"listen": f"127.0.0.1:{taken.getsockname()[1]}", "workers": 2},
                "engine": {"kind": "openai", "model": "x"},
            },
            origin="test",
        )
        with pytest.raises(ListenError):
            await supervise(Home(tmp_path), settings)


def test_places_queue_and_metrics_are_divided() -> None:
    settings = Settings().with_values(
        {"server": {"workers": 3}, "engine": {"parallel": 8}, "limits": {"queue": 0}}, origin="test"
    )
    each = [worker_settings(settings, place) for place in range(3)]
    assert {(w.engine.parallel, w.limits.queue) for w in each} == {(3, 0)}
    assert [w.server.metrics for w in each] == ["127.0.0.1:9464", "127.0.0.1:9465", "127.0.0.1:9466"]


def test_the_command_takes_a_sensible_number(tmp_path: Path) -> None:
    home = tmp_path / "cloud"
    said = run("--home", str(home), "serve", "--workers", "0", code=2)
    assert "'--workers': 0 is not in the range" in said
    assert not home.exists(), "nothing was begun"
