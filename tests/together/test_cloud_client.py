"""The device's client against the real server: enrolment, asking, and every way a call can fail."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cloud_server import ScriptedEngine
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from real_cloud import RealCloud, enrolled, real_cloud

from mnemon import errors
from mnemon.memory.store import Store
from mnemon.sync import refusals
from mnemon.sync.account import Account, Accounts, connect, enroll
from mnemon.sync.client import CloudClient
from mnemon.sync.hearing import LINGER_SECONDS, Request
from mnemon.sync.outbox import LONGEST_WAIT_S
from mnemon.sync.refusals import Refusal
from mnemon_protos.signing import SERVER_TIME_KEY


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.open(None, bytes(32)) as opened:
        yield opened


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[RealCloud]:
    with real_cloud(tmp_path) as running:
        yield running


@pytest.fixture
def client(store: Store, cloud: RealCloud) -> Iterator[CloudClient]:
    opened = CloudClient(enrolled(store, cloud), wait=lambda _event, _seconds: None)
    yield opened
    opened.close()


def heard(client: CloudClient, request: Request | None = None, **more: Any) -> str:
    with client.ask(request or Request("How far is the moon?"), **more) as answer:
        return "".join(answer)


def test_an_invite_makes_an_account_that_can_ask(store: Store, cloud: RealCloud) -> None:
    accounts = Accounts(store)
    assert not accounts.enrolled
    with pytest.raises(errors.NotEnrolledError, match="no cloud"):
        accounts.get()
    invite = cloud.invite()
    account = enroll(accounts, invite)
    assert accounts.enrolled
    assert accounts.get() == account
    assert account.secret == b""
    client = connect(account)
    with client.ask(Request("How far is the moon?", system="Be brief.")) as answer:
        assert "".join(answer) == "Some words."
    assert answer.model == "scripted"
    assert answer.finished
    assert answer.finished.answer_tokens == 2
    assert cloud.engine.asked == [[("system", "Be brief."), ("user", "How far is the moon?")]]
    standing = client.standing()
    assert standing.quota_left == standing.quota - answer.finished.prompt_tokens - 2
    client.leave()
    with pytest.raises(errors.DeviceRefusedError, match="revoked"):
        client.standing()
    client.close()
    with pytest.raises(errors.InputError, match="enrolled at localhost"):
        accounts.prepare(invite)
    accounts.forget()
    assert not accounts.enrolled


def test_an_enrolment_whose_reply_was_lost_is_done_again(store: Store, cloud: RealCloud) -> None:
    accounts, invite = Accounts(store), cloud.invite()
    client = connect(accounts.prepare(invite))
    device = client.enroll()  # and the power went before it was noted
    client.close()
    assert not accounts.enrolled
    assert enroll(accounts, invite).device_id == device


def test_invites_that_are_none_used_up_or_run_out(store: Store, cloud: RealCloud) -> None:
    with pytest.raises(errors.InputError, match="no whole invite"):
        enroll(Accounts(store), "mnemon-invite-abc")
    with pytest.raises(errors.InputError, match="host:port"):
        enroll(Accounts(store), cloud.invite(), server="cloud.example")
    for invite in (cloud.invite(hours=-1.0),):
        with pytest.raises(errors.DeviceRefusedError, match="does not take this invite"):
            enroll(Accounts(store), invite)
    used = cloud.invite()
    with Store.open(None, bytes(32)) as other:
        enroll(Accounts(other), used)
    with pytest.raises(errors.DeviceRefusedError, match="was used"):
        enroll(Accounts(store), used)
    assert not Accounts(store).enrolled


def test_another_address_of_the_same_server(store: Store, cloud: RealCloud) -> None:
    invite = cloud.invite(address="localhost:1")
    account = enroll(Accounts(store), invite, server=f"127.0.0.1:{cloud.port}")
    assert account.tls_name == "localhost"


def test_a_server_that_is_not_the_one_of_the_invite(store: Store, cloud: RealCloud, tmp_path: Path) -> None:
    account = enrolled(store, cloud)
    with real_cloud(tmp_path / "other") as other:
        moved = dataclasses.replace(account, address=f"localhost:{other.port}")
        with pytest.raises(errors.CertificateError, match="not the server of your invite"):
            heard(CloudClient(moved))
        # One that somehow has a trusted certificate still cannot sign what questions are sealed to.
        foreign = dataclasses.replace(moved, authority=other.running.keys.authority)
        with pytest.raises(errors.DeviceRefusedError):
            heard(CloudClient(foreign))
    key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    client = CloudClient(account)
    object.__setattr__(client.account, "server_key", account.server_key)
    client._signed = lambda *_: _Key(key)  # type: ignore[method-assign]
    with pytest.raises(errors.CertificateError):
        client._sealing_key()
    assert other.seen == cloud.seen == []


class _Key:
    expires_at_ms = 1 << 60
    signature = bytes(64)

    def __init__(self, public_key: bytes) -> None:
        self.public_key = public_key


def test_without_a_line_it_says_why(store: Store, cloud: RealCloud) -> None:
    account = enrolled(store, cloud)
    for address, words in (
        ("localhost:9", "no line to localhost:9"),
        ("nowhere.invalid:8443", "its name is not found"),
    ):
        client = CloudClient(dataclasses.replace(account, address=address))
        sent: list[int] = []
        with pytest.raises(errors.UnreachableError, match=words):
            heard(client, sending=sent.append)
        assert sent == []
        client.close()


def test_a_wrong_clock_is_found_out_and_made_up_for(store: Store, cloud: RealCloud) -> None:
    account = enrolled(store, cloud)
    real = cloud_ms()
    client = CloudClient(account, now_ms=lambda: cloud_ms() - 3 * 3_600_000)
    assert heard(client) == "Some words."
    assert abs(client.ahead_ms - 3 * 3_600_000) < 60_000 + cloud_ms() - real
    client.close()


def cloud_ms() -> int:
    import time

    return time.time_ns() // 1_000_000


def test_a_server_started_anew_has_another_sealing_key(client: CloudClient, cloud: RealCloud) -> None:
    assert heard(client) == "Some words."
    keys = cloud.running.server.answers._keys
    keys._keys.clear()
    keys._newest = b""
    sent: list[int] = []
    assert heard(client, sending=sent.append) == "Some words."
    assert sent == [0, 1]


def test_the_same_question_again_gets_the_same_answer_until_it_is_discarded(
    client: CloudClient, cloud: RealCloud
) -> None:
    request = Request("How far is the moon?")
    assert heard(client, request) == "Some words."
    cloud.engine.words = ("Other ", "words.")
    assert heard(client, request) == "Some words."
    assert len(cloud.seen) == 1
    client.discard([request.id])
    assert heard(client, request) == "Other words."


def test_stopping_reaches_the_engine(client: CloudClient, cloud: RealCloud) -> None:
    cloud.engine.words, cloud.engine.halt_at = ("word ",) * 500, 9
    said = ""
    with client.ask(Request("Go on.")) as answer:
        for text in answer:
            said += text
            answer.stop()
    assert answer.finished is None
    assert said.startswith("word ")
    while cloud.engine.running:
        threading.Event().wait(0.01)
    assert cloud.engine.stopped


def test_an_answer_that_ended_is_given_a_moment_to_end_its_line(store: Store, cloud: RealCloud) -> None:
    over = list[bool]()
    client = CloudClient(enrolled(store, cloud), wait=lambda event, _seconds: over.append(event.wait(60)))
    assert heard(client) == "Some words."
    assert all(over)  # nothing, where it had ended already
    client.close()


def test_a_server_that_leaves_the_line_open_after_the_end_is_left(
    store: Store, cloud: RealCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, left = cloud.running.server.answers, threading.Event()
    answer = answers._ask

    async def lingering(*args: Any) -> None:
        await answer(*args)
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    monkeypatch.setattr(answers, "_ask", lingering)
    waited = list[float]()
    client = CloudClient(enrolled(store, cloud), wait=lambda _event, seconds: waited.append(seconds))
    with client.ask(Request("How far is the moon?")) as hearing:
        assert "".join(hearing) == "Some words."
        assert hearing.finished
        assert left.wait(60), "the call still stands"  # its deadline is 300 s
    assert waited == [LINGER_SECONDS]
    client.close()


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"limits": {"tokens_per_day": 5}}, errors.QuotaError, "allowance"),
        ({"limits": {"answers_per_device": 1}}, errors.OverloadedError, "as many questions"),
    ],
)
def test_limits_are_told_with_the_time_to_wait(
    tmp_path: Path, store: Store, settings: dict[str, Any], kind: type[errors.CloudError], words: str
) -> None:
    with real_cloud(tmp_path, ScriptedEngine(words=("word ",) * 500, halt_at=9), **settings) as cloud:
        client = CloudClient(enrolled(store, cloud), wait=lambda _event, _seconds: None)
        other = client.ask(Request("Another."))
        words_of_other = iter(other)
        if "answers_per_device" in settings["limits"]:
            next(words_of_other)
        with pytest.raises(kind, match=words) as caught:
            heard(client)
        assert caught.value.retry_after
        assert caught.value.retry_after > 0
        assert "Try again in" in caught.value.hint
        other.stop()
        client.close()


def test_a_question_the_server_does_not_take(client: CloudClient) -> None:
    with pytest.raises(errors.QuestionRefusedError, match="too long"):
        heard(client, Request("word " * 1200))
    with pytest.raises(errors.QuestionRefusedError, match="does not take"):
        heard(client, Request(" "))


ACCOUNT = Account("cloud.example:8443", "cloud.example", b"", b"", b"")


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (Refusal(grpc.StatusCode.UNIMPLEMENTED), errors.VersionError),
        (Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, 1, "too-long"), errors.OverloadedError),
        (Refusal(grpc.StatusCode.UNAVAILABLE, 1, "engine", 5.0), errors.OverloadedError),
        (Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, 1, "", 40_000.0), errors.QuotaError),
        (Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, 1, "slow-reader"), errors.BrokenOffError),
        (Refusal(grpc.StatusCode.ABORTED, 1, "replaced"), errors.BrokenOffError),
        (Refusal(grpc.StatusCode.INTERNAL, 1, "internal"), errors.CloudError),
        (Refusal(grpc.StatusCode.UNAUTHENTICATED, 1), errors.DeviceRefusedError),
    ],
)
def test_every_refusal_is_one_line_that_says_what_to_do(refusal: Refusal, kind: type[errors.CloudError]) -> None:
    error = refusals.explained(refusal, ACCOUNT)
    assert type(error) is kind
    assert error.hint
    assert "\n" not in error.one_line()


def test_a_clock_that_cannot_be_made_up_for_is_told() -> None:
    error = refusals.explained(Refusal(grpc.StatusCode.UNAUTHENTICATED, 1), ACCOUNT, ahead_ms=-7_200_000)
    assert isinstance(error, errors.ClockError)
    assert "2 hours ahead of that of cloud.example:8443" in str(error)


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (9, errors.ClockError, "not valid yet"),
        (10, errors.CertificateError, "run out"),
        (62, errors.CertificateError, "another name"),
        (20, errors.CertificateError, "not the server of your invite"),
    ],
)
def test_what_is_wrong_with_a_certificate(code: int, kind: type[errors.CloudError], words: str) -> None:
    error = refusals._wrong_certificate(code, "cloud.example:8443")
    assert type(error) is kind
    assert words in str(error)


class _Cut(grpc.RpcError):  # type: ignore[misc]
    """A call that gRPC itself ended, as it does with one that comes when the server begins to drain."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.CANCELLED

    def trailing_metadata(self) -> tuple[()]:
        return ()

    def cancel(self) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        raise self


def test_a_call_that_grpc_cancelled_is_a_broken_line_and_sent_again(
    client: CloudClient, cloud: RealCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = [_Cut(), _Cut()]
    send = client.send
    monkeypatch.setattr(client, "send", lambda request: calls.pop() if calls else send(request))
    sent: list[int] = []
    assert heard(client, sending=sent.append) == "Some words."
    assert sent == [0, 1, 2]
    monkeypatch.setattr(client, "send", lambda _request: _Cut())
    with pytest.raises(errors.UnreachableError, match="broke the line off"):
        heard(client)
    assert len(cloud.seen) == 1


# -- a server that lies ----------------------------------------------------------------------------------------------


class _Bare:
    """An error as gRPC gives it, with metadata of a server's choosing."""

    def __init__(self, *trailing: tuple[str, str | bytes]) -> None:
        self._trailing = trailing

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.RESOURCE_EXHAUSTED

    def trailing_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        return self._trailing


@pytest.mark.parametrize("seconds", [-5, 315_576_000_000])
def test_what_a_refusal_tells_is_kept_within_reason(seconds: int) -> None:
    from google.rpc import error_details_pb2, status_pb2

    delay = error_details_pb2.RetryInfo()
    delay.retry_delay.seconds = seconds
    status = status_pb2.Status()
    status.details.add().Pack(delay)
    for clock in ("9" * 5000, "²", "1"):
        for details in (status.SerializeToString(), b"\xff\xff"):
            bare: Any = _Bare((SERVER_TIME_KEY, clock), ("grpc-status-details-bin", details))
            refusal = refusals.read(bare)
            assert 0 <= (refusal.retry_after or 0) <= LONGEST_WAIT_S
            assert refusal.server_ms in (None, 1)


@pytest.mark.parametrize("public_key", [b"short", bytes(32)])
def test_a_signed_sealing_key_that_is_none(client: CloudClient, cloud: RealCloud, public_key: bytes) -> None:
    client._sealing_key = lambda: public_key  # type: ignore[method-assign]
    with pytest.raises(errors.CertificateError):
        heard(client)
    assert cloud.seen == []


def test_an_answer_that_does_not_end_is_ended(
    client: CloudClient, cloud: RealCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnemon.sync.hearing.LONGEST_ANSWER", 1000)
    cloud.engine.words = ("word " * 20,) * 500
    said: list[str] = []
    with client.ask(Request("Go on.")) as answer, pytest.raises(errors.BrokenOffError, match="does not end"):
        said.extend(answer)
    assert len("".join(said)) == 1000
