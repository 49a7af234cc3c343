"""A hundred thousand messages nobody would send in good faith: refused without a crash, and without a hint.

Messages are made from the definitions, then bent; calls are unsigned, forged, replayed, signed for something else, or
signed rightly, so that they get as far as they can. ``pytest tests/cloud/test_attacks.py -m slow`` sends all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cloud_server import ASK, Running, ScriptedEngine, TestDevice, question, serving, text_of
from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnemon_protos.signing import METADATA_KEY, SERVER_TIME_KEY
from mnemon_protos.v1 import answers_pb2, devices_pb2
from mnemon_protos.v1.authorization_pb2 import CallAuthorization

SERVICES = (answers_pb2.DESCRIPTOR.services_by_name["Answers"], devices_pb2.DESCRIPTOR.services_by_name["Devices"])
INPUTS = {f"/{s.full_name}/{m.name}": m.input_type for s in SERVICES for m in s.methods}
HOW = ("unsigned", "forged", "replayed", "another method", "another body", "rightly", "twice", "rubbish")
IN_A_BATCH = 40

_INTEGERS = {FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_INT32}
_STRINGS = st.one_of(
    st.text(max_size=30), st.sampled_from(["", "\0", "<|im_end|>", "{{x}}", "'; DROP TABLE devices", "é" * 300])
)
_BYTES = st.one_of(st.binary(max_size=40), st.sampled_from([b"", bytes(16), bytes(32), bytes(64), b"\xff" * 16]))


def messages(descriptor: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Messages of a type with any of its fields set to anything that fits."""
    kind = message_factory.GetMessageClass(descriptor)
    parts = {field.name: values(field, depth) for field in descriptor.fields}
    return st.fixed_dictionaries({}, optional=parts).map(lambda fields: built(kind, fields))


def built(kind: Any, fields: dict[str, Any]) -> Any:
    """The later of two fields of a oneof wins, as on the wire."""
    message = kind()
    for name, value in fields.items():
        message.MergeFrom(kind(**{name: value}))
    return message


def values(field: Any, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        one = messages(field.message_type, depth + 1)
    elif field.enum_type is not None:
        one = st.integers(-(2**31), 2**31 - 1) | st.integers(0, 4)
    elif field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        one = _STRINGS if field.type == FieldDescriptor.TYPE_STRING else _BYTES
    elif field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT:
        one = st.floats(width=32)
    elif field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        one = st.booleans()
    elif field.cpp_type in _INTEGERS:
        bits = 64 if field.cpp_type == FieldDescriptor.CPPTYPE_INT64 else 32
        one = st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    else:
        one = st.integers(0, 2**32 - 1)
    return st.lists(one, max_size=3) if field.is_repeated else one


Attack = tuple[str, bytes, str, bytes]
"""A method, the bytes of a request, how it is authorized, and bytes to do that with."""


def bent(method: str, whole: bytes, salt: bytes, seed: int) -> list[Attack]:
    """One message as it is and bent in many ways, each authorized in some way."""
    dice = random.Random(seed)
    found: list[Attack] = []
    while len(found) < IN_A_BATCH:
        raw = bytearray(whole)
        for _ in range(dice.choice((0, 0, 1, 1, 2, 9))):
            at = dice.randrange(len(raw) + 1)
            match dice.randrange(5):
                case 0:
                    raw[at : at + 1] = bytes([dice.randrange(256)])
                case 1:
                    del raw[at:]
                case 2:
                    raw[at:at] = dice.randbytes(dice.randrange(8))
                case 3:
                    raw[at:at] = raw[dice.randrange(len(raw) + 1) :]
                case 4:
                    raw[at : at + 1] = b"\xff\xff\xff\xff\x0f"  # a length or number far too large
        how = dice.choice(HOW)
        if how == "rightly" and method.endswith("RevokeSelf"):
            how = "forged"  # it would do what it says
        found.append((method, bytes(raw[:4000]), how, salt))
    return found


def attacks() -> st.SearchStrategy[list[Attack]]:
    """A message of any method, made from its definition, and what it is bent into."""
    one = st.sampled_from(sorted(INPUTS)).flatmap(
        lambda method: st.tuples(
            st.just(method), messages(INPUTS[method]).map(lambda m: m.SerializeToString()), _BYTES, st.integers(0)
        )
    )
    return one.map(lambda parts: bent(*parts))


class Body:
    """Bytes that can be signed like a message."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def SerializeToString(self) -> bytes:
        return self._raw


class Target:
    """A server in a thread, an enrolled device that attacks it, and another one that only wants its answer."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        limits = {"tokens_per_day": 0, "answers_per_device": 100}
        self._serving = serving(folder, ScriptedEngine(words=("Some ", "words."), places=50), limits=limits)
        self.running: Running = self.do(self._serving.__aenter__())
        self.attacker: TestDevice = self.do(self.running.device())
        self.honest: TestDevice = self.do(self.running.device())
        self.old: tuple[tuple[str, bytes], ...] = ()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(120)

    async def answer(self) -> str:
        """What the honest device is answered; a call is made in the loop that carries it."""
        return await text_of(self.honest.ask(question()))

    def close(self) -> None:
        self.do(self._serving.__aexit__(None, None, None))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def metadata(self, method: str, raw: bytes, how: str, salt: bytes) -> tuple[tuple[str, bytes], ...]:
        signed = self.attacker.signed
        if how == "rightly":
            return signed(method, Body(raw))
        if how == "replayed" and self.old:
            return self.old
        if how == "another method":
            return signed("/mnemon.v1.Devices/GetDevice" if "GetDevice" not in method else ASK, Body(raw))
        if how == "another body":
            return signed(method, Body(raw + b"\0"))
        if how == "twice":
            return signed(method, Body(raw)) * 2
        if how == "forged":
            claimed = CallAuthorization.FromString(signed(method, Body(raw))[0][1])
            claimed.signature = (salt * 64)[:64].ljust(64, b"\1")
            return ((METADATA_KEY, claimed.SerializeToString()),)
        return ((METADATA_KEY, salt),) if how == "rubbish" else ()

    async def attack(self, method: str, raw: bytes, how: str, salt: bytes) -> tuple[str, grpc.StatusCode, str]:
        """How it was authorized, and what came of it."""
        metadata = self.metadata(method, raw, how, salt)
        call = self.attacker.channel.unary_unary(method)(raw, metadata=metadata, timeout=60)
        try:
            await call
        except grpc.aio.AioRpcError as error:
            refusal = error
        else:
            if how == "rightly":
                self.old = metadata
            return how, grpc.StatusCode.OK, ""
        told = refusal.details() or ""
        assert len(told) < 120
        if refusal.code() is grpc.StatusCode.UNAUTHENTICATED:  # the same for all that are not believed
            assert told == "The call was refused."
            assert [key for key, _ in refusal.trailing_metadata()] == [SERVER_TIME_KEY]
        return how, refusal.code(), told

    async def batch(self, batch: list[Attack]) -> list[tuple[str, grpc.StatusCode, str]]:
        return list(await asyncio.gather(*(self.attack(*each) for each in batch)))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    found = Target(tmp_path_factory.mktemp("attacked"))
    yield found
    found.close()


def attacked(target: Target, batches: int) -> Counter[tuple[str, grpc.StatusCode]]:
    """Send that many batches, and see that nothing broke."""
    seen: Counter[tuple[str, grpc.StatusCode]] = Counter()

    @settings(
        max_examples=batches,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
    @given(attacks())
    def send(batch: list[Attack]) -> None:
        results = target.do(target.batch(batch))
        seen.update((how, code) for how, code, _ in results)
        for (method, *_), (how, code, told) in zip(batch, results, strict=True):
            code_of = grpc.StatusCode
            believed = {code_of.OK, code_of.INVALID_ARGUMENT, code_of.FAILED_PRECONDITION, code_of.ALREADY_EXISTS}
            believed |= {code_of.UNAUTHENTICATED, code_of.ABORTED, code_of.RESOURCE_EXHAUSTED}
            if method.endswith("/Enroll"):
                assert code in (code_of.UNAUTHENTICATED, code_of.INVALID_ARGUMENT), (method, how, code, told)
            elif how == "rightly":
                assert code in believed, (method, how, code, told)
            else:
                assert code is code_of.UNAUTHENTICATED, (method, how, code, told)

    send()
    assert target.running.refusals("internal") == 0
    assert len(target.do(target.running.storage.devices())) == 2
    assert target.do(target.answer()) == "Some words."
    return seen


def test_some_bent_messages_are_refused_and_the_server_lives(target: Target) -> None:
    seen = attacked(target, 15)
    assert seen.total() >= 15 * IN_A_BATCH
    assert {how for how, _ in seen} == set(HOW)


@pytest.mark.slow
def test_a_hundred_thousand_bent_messages(target: Target, capsys: pytest.CaptureFixture[str]) -> None:
    seen = attacked(target, 100_000 // IN_A_BATCH)
    with capsys.disabled():
        print(f"{seen.total()} messages: {dict(Counter(code.name for _, code in seen.elements()))}")
    assert seen.total() >= 100_000
    assert seen["rightly", grpc.StatusCode.OK]


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_an_old_tls_is_not_spoken(target: Target, newest: ssl.TLSVersion) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=target.running.keys.authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = newest
    with (
        socket.create_connection(("127.0.0.1", target.running.server.port), 10) as raw,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(raw, server_hostname="localhost")


def test_what_is_no_protocol_at_all_ends_its_own_connection_only(target: Target) -> None:
    port = target.running.server.port
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=target.running.keys.authority)
    context.set_alpn_protocols(["h2"])
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for junk in (b"GET / HTTP/1.1\r\n\r\n", preface + b"\xff" + os.urandom(499), preface + b"\xff" * 100, b""):
        with socket.create_connection(("127.0.0.1", port), 10) as raw:
            raw.sendall(os.urandom(100))  # before any handshake
        with (
            socket.create_connection(("127.0.0.1", port), 10) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as line,
        ):
            line.sendall(junk)
            if junk:  # the server ends it, and does not leave it hanging
                line.settimeout(30)
                with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):  # as good an end as any
                    while line.recv(4096):
                        pass
    assert target.do(target.answer()) == "Some words."
