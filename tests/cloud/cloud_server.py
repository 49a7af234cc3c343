"""A real server on loopback with real TLS and an engine that follows a script, and devices that call it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.rpc import error_details_pb2, status_pb2

from mnemon_cloud import identity, server
from mnemon_cloud.answers.engines import Finish, Piece, Prompt, Role, Sampling
from mnemon_cloud.devices.enrollment import create_invite
from mnemon_cloud.home import Home
from mnemon_cloud.settings import Settings
from mnemon_cloud.storage.sqlite import SqliteStorage
from mnemon_protos.invites import read_invite
from mnemon_protos.signing import authorize, enrollment_statement
from mnemon_protos.v1 import answers_pb2 as pb
from mnemon_protos.v1 import answers_pb2_grpc, devices_pb2, devices_pb2_grpc
from mnemon_protos.v1.authorization_pb2 import Invite

ASK = "/mnemon.v1.Answers/Ask"
HANG_SECONDS = 120.0
"""What takes longer does not happen at all: no test measures how busy its machine is."""


@dataclass
class ScriptedEngine:
    """Says ``words`` with ``pause`` seconds between them, and counts how often it was told to stop."""

    words: Sequence[str] = ("Some ", "words.")
    pause: float = 0.0
    places: int = 4
    window: int = 1000
    model: str = "scripted"
    well: bool = True
    error: Exception | None = None
    halt_at: int = 0
    """Before this word, counted from 1, it waits for ``go``; 0: never."""
    go: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[list[tuple[Role, str]]] = field(default_factory=list)
    sampled: list[Sampling] = field(default_factory=list)
    running: int = 0
    stopped: int = 0
    began: asyncio.Event = field(default_factory=asyncio.Event)

    def healthy(self) -> bool:
        return self.well

    async def prepare(self, messages: Sequence[tuple[Role, str]], *, tenant: bytes = b"") -> Prompt:
        self.asked.append(list(messages))
        return Prompt(None, sum(len(text.split()) for _, text in messages))

    async def answer(self, prompt: Prompt, sampling: Sampling) -> AsyncGenerator[Piece, None]:
        self.running += 1
        self.sampled.append(sampling)
        self.began.set()
        ended = False
        try:
            for number, word in enumerate(self.words, 1):
                if self.pause:
                    await asyncio.sleep(self.pause)
                if number == self.halt_at:
                    await self.go.wait()
                if self.error is not None:
                    raise self.error
                long = number >= sampling.max_tokens
                yield Piece(word, 1, Finish.LENGTH if long else None)
                if long:
                    ended = True
                    return
            ended = True
            yield Piece("", 0, Finish.STOP)
        finally:
            self.running -= 1
            if not ended:
                self.stopped += 1

    async def close(self) -> None:
        pass


def channel_to(port: int, authority: bytes, **options: Any) -> Any:
    pem = x509.load_der_x509_certificate(authority).public_bytes(serialization.Encoding.PEM)
    return grpc.aio.secure_channel(
        f"localhost:{port}",
        grpc.ssl_channel_credentials(pem),
        options=[("grpc.use_local_subchannel_pool", 1), *options.items()],
    )


@dataclass
class TestDevice:
    """A device as an honest one behaves; tests bend single parts of what it sends."""

    __test__ = False
    invite: Invite
    port: int
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    id: bytes = b""

    def __post_init__(self) -> None:
        self.channel = channel_to(self.port, self.invite.authority)
        self.answers = answers_pb2_grpc.AnswersStub(self.channel)
        self.devices = devices_pb2_grpc.DevicesStub(self.channel)

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    def enrollment(self) -> devices_pb2.EnrollRequest:
        statement = enrollment_statement(
            server_key=self.invite.server_key, secret=self.invite.secret, public_key=self.public_key
        )
        return devices_pb2.EnrollRequest(
            secret=self.invite.secret, public_key=self.public_key, proof=self.key.sign(statement)
        )

    async def enroll(self) -> TestDevice:
        self.id = (await self.devices.Enroll(self.enrollment(), timeout=HANG_SECONDS)).device_id
        return self

    def signed(self, method: str, request: Any, **changes: Any) -> tuple[tuple[str, bytes], ...]:
        parts = {"server_key": self.invite.server_key, "device_id": self.id} | changes
        return (authorize(parts.pop("key", self.key), method=method, request=request, **parts),)

    async def call(self, name: str, request: Any, timeout: float | None = HANG_SECONDS) -> Any:
        metadata = self.signed(f"/mnemon.v1.Devices/{name}", request)
        return await getattr(self.devices, name)(request, metadata=metadata, timeout=timeout)

    def ask(
        self, request: pb.AskRequest | None = None, timeout: float | None = HANG_SECONDS, metadata: Any = None
    ) -> Any:
        request = request or question()
        metadata = self.signed(ASK, request) if metadata is None else metadata
        return self.answers.Ask(request, metadata=metadata, timeout=timeout)


def question(text: str = "How far is the moon?", **fields: Any) -> pb.AskRequest:
    messages = [pb.Message(role=pb.ROLE_USER, text=text)]
    return pb.AskRequest(request_id=os.urandom(16), question=pb.Question(messages=messages, **fields))


async def text_of(call: Any) -> str:
    return "".join([response.delta.text async for response in call])


async def status_of(call: Any) -> grpc.aio.AioRpcError:
    """The error a call ends with; fails when it ends well."""
    try:
        if hasattr(call, "read"):
            while await call.read() is not grpc.aio.EOF:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("the call was not refused")


def retry_seconds(error: grpc.aio.AioRpcError) -> float:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            info = error_details_pb2.RetryInfo()
            assert status_pb2.Status.FromString(value).details[0].Unpack(info)
            return float(info.retry_delay.ToMilliseconds() / 1000)
    return 0.0


@dataclass
class Running:
    """A started server with what stands behind it."""

    server: server.Server
    engine: ScriptedEngine
    storage: SqliteStorage
    keys: identity.Identity
    devices: list[TestDevice] = field(default_factory=list)

    async def invite(self, **changes: Any) -> Invite:
        text = await create_invite(
            self.storage,
            **{
                "address": f"localhost:{self.server.port}",
                "authority": self.keys.authority,
                "server_key": self.keys.public_key,
                "now_ms": time.time_ns() // 1_000_000,
            }
            | changes,
        )
        return read_invite(text)

    async def device(self) -> TestDevice:
        device = TestDevice(await self.invite(), self.server.port)
        self.devices.append(device)
        return await device.enroll()

    async def strange_device(self) -> TestDevice:
        device = TestDevice(await self.invite(), self.server.port, id=os.urandom(16))
        self.devices.append(device)
        return device

    def refusals(self, reason: str) -> float:
        return self.server.metrics.registry.get_sample_value("mnemon_refusals_total", {"reason": reason}) or 0.0


def settings_with(**values: dict[str, Any]) -> Settings:
    base: dict[str, dict[str, Any]] = {"server": {"listen": "127.0.0.1:0", "metrics": ""}}
    for section, entries in values.items():
        base[section] = base.get(section, {}) | entries
    return Settings().with_values(base, origin="test")


@asynccontextmanager
async def serving(folder: Path, engine: Any = None, /, **values: Any) -> AsyncIterator[Running]:
    """A running server; its devices' channels are closed with it."""
    home = Home(folder / "cloud")
    if not home.identity_key.exists():
        identity.create(home, "localhost")
    keys = identity.load(home)
    storage = await SqliteStorage.open(home.database)
    engine = engine or ScriptedEngine()
    running = Running(await server.start(settings_with(**values), keys, storage, engine), engine, storage, keys)
    try:
        yield running
    finally:
        for device in running.devices:
            await device.channel.close()
        await running.server.stop(0)
        await storage.close()
