"""The client of the cloud: one enrolled device, one server, calls that are signed, sealed and timed.

::

    client = connect(accounts.get())
    with client.ask(Request("How far is the moon?")) as answer:
        for text in answer:
            ...

A question is sealed to the serving process's own short-lived key, anew for each attempt. It carries the same id and
the same keep key each time, so that the server gives the answer it already found instead of making another one, and
an answer that broke off goes on where it stopped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mnemon.errors import CertificateError, DeviceRefusedError
from mnemon.sync import refusals
from mnemon.sync.account import Account
from mnemon.sync.hearing import Hearing, Request
from mnemon.sync.refusals import Refusal
from mnemon_protos import sealing
from mnemon_protos.encoding import WireError
from mnemon_protos.signing import authorize, enrollment_statement, verified
from mnemon_protos.v1 import answers_pb2, answers_pb2_grpc, devices_pb2, devices_pb2_grpc

CALL_SECONDS: Final = 6.0
"""Deadline of small calls: without an answer after this long the device counts as offline."""
ASK_SECONDS: Final = 300.0
"""Deadline of a question, waiting in the server's queue included."""
KEY_SECONDS: Final = 60.0
"""A sealing key is used this long. It is good for an hour, but fetching it also shows that there still is a line,
before anything is said to have left."""
_CLOCK_STEP_MS: Final = 5_000
_OPTIONS: Final = (
    ("grpc.keepalive_time_ms", 60_000),  # only while a call runs: a phone's radio sleeps in between
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.enable_retries", 0),  # retried here, where each sending is recorded
    ("grpc.initial_reconnect_backoff_ms", 300),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)
_SERVICE: Final = "/mnemon.v1"


@dataclass(frozen=True, slots=True)
class Standing:
    """What the server knows of this device: tokens a day and what is left of them, -1 without a limit."""

    quota: int
    quota_left: int


class CloudClient:
    """Calls one server for one device. Safe to use from any thread.

    Args:
        account: Where, and as whom.
        now_ms: This device's clock, milliseconds since 1970; tests set it.
        wait: Waits between attempts: seconds, and an event that ends it early.
    """

    def __init__(
        self,
        account: Account,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        wait: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        self.account = account
        self._now_ms = now_ms
        self.wait = wait
        self._key = Ed25519PrivateKey.from_private_bytes(account.private_key)
        self._lock = threading.Lock()
        self._channel: Any = None
        self._ahead_ms = 0  # the server's clock against this device's, once a refusal told it
        self._sealing: tuple[bytes, float] | None = None

    # -- calls -----------------------------------------------------------------------------------------------------

    def enroll(self) -> bytes:
        """Trade the account's invite for a device id, and check that the server is the one of the invite.

        Raises:
            CloudError: It cannot be reached, refuses, or is another one.
        """
        public_key = self._key.public_key().public_bytes_raw()
        statement = enrollment_statement(
            server_key=self.account.server_key, secret=self.account.secret, public_key=public_key
        )
        request = devices_pb2.EnrollRequest(
            secret=self.account.secret, public_key=public_key, proof=self._key.sign(statement)
        )
        try:
            response = devices_pb2_grpc.DevicesStub(self._line()).Enroll(request, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            refusal = refusals.read(error)
            if refusal.code is grpc.StatusCode.UNAUTHENTICATED:
                raise DeviceRefusedError(
                    f"{self.account.address} does not take this invite: it was used, has run out, or was withdrawn.",
                    hint="Ask its operator for a new one.",
                ) from None
            raise refusals.explained(refusal, self.account) from error
        if response.server_key != self.account.server_key:
            raise _another_server(self.account)
        return bytes(response.device_id)

    def reach(self) -> None:
        """See whether a question could be sent now; nothing of one leaves.

        Raises:
            CloudError: It could not; says why.
        """
        self._sealing_key()

    def standing(self) -> Standing:
        """What the server knows of this device.

        Raises:
            CloudError: The call failed.
        """
        found = self._signed(devices_pb2_grpc.DevicesStub, "Devices/GetDevice", devices_pb2.GetDeviceRequest())
        return Standing(found.quota, found.quota_left)

    def leave(self) -> None:
        """End this device's access, for good.

        Raises:
            CloudError: The call failed.
        """
        self._signed(devices_pb2_grpc.DevicesStub, "Devices/RevokeSelf", devices_pb2.RevokeSelfRequest())

    def discard(self, request_ids: list[bytes]) -> None:
        """Tell the server that these answers are in safety, so that it need not keep them.

        Raises:
            CloudError: The call failed; it may be repeated.
        """
        request = answers_pb2.DiscardAnswersRequest(request_ids=request_ids)
        self._signed(answers_pb2_grpc.AnswersStub, "Answers/DiscardAnswers", request)

    def ask(self, request: Request, *, sending: Callable[[int], object] = lambda _: None) -> Hearing:
        """Ask; iterate what comes back for the answer's words.

        Args:
            request: What to ask.
            sending: Called with 0, 1, … right before each time the question leaves; what it raises ends the call.
        """
        return Hearing(self, request, sending)

    def close(self) -> None:
        """Let the line go; another call makes a new one."""
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    @property
    def ahead_ms(self) -> int:
        """By how much the server's clock is ahead of this device's, as far as it is known."""
        return self._ahead_ms

    # -- what Hearing needs ----------------------------------------------------------------------------------------

    def sealed(self, request: Request) -> tuple[answers_pb2.AskRequest, bytes]:
        """The question sealed to the server's key of this hour, and the key its answer will come under."""
        public_key = self._sealing_key()
        try:
            payload, reply_key = sealing.seal_question(
                request.question(),
                public_key=public_key,
                device_id=self.account.device_id,
                request_id=request.id,
            )
        except WireError as error:  # signed, and yet no key
            raise _another_server(self.account) from error
        return answers_pb2.AskRequest(request_id=request.id, sealed=payload), reply_key

    def send(self, request: answers_pb2.AskRequest) -> Any:
        """The running call of a sealed question."""
        stub = answers_pb2_grpc.AnswersStub(self._line())
        return stub.Ask(request, timeout=ASK_SECONDS, metadata=self._metadata("Answers/Ask", request))

    def learn(self, refusal: Refusal) -> bool:
        """Take what a refusal tells about line, clock or key; True when that makes it worth trying again at once."""
        if refusal.on_the_way or refusal.code is grpc.StatusCode.FAILED_PRECONDITION:
            self._sealing = None  # the server may have been started anew, with another key
            return not refusal.on_the_way
        if refusal.code is grpc.StatusCode.UNAUTHENTICATED and refusal.server_ms is not None:
            ahead = refusal.server_ms - self._now_ms()
            moved = abs(ahead - self._ahead_ms) > _CLOCK_STEP_MS
            self._ahead_ms = ahead
            return moved
        return False

    # -- inside ----------------------------------------------------------------------------------------------------

    def _line(self) -> Any:
        with self._lock:
            if self._channel is None:
                self._channel = _channel(self.account)
            return self._channel

    def _metadata(self, method: str, request: Any) -> tuple[tuple[str, bytes], ...]:
        entry = authorize(
            self._key,
            server_key=self.account.server_key,
            device_id=self.account.device_id,
            method=f"{_SERVICE}.{method}",
            request=request,
            signed_at_ms=self._now_ms() + self._ahead_ms,
        )
        return (entry,)

    def _signed(self, stub: Callable[[Any], Any], method: str, request: Any) -> Any:
        """A small call, once more when its refusal taught something."""
        for attempt in range(2):
            call = getattr(stub(self._line()), method.partition("/")[2])
            try:
                return call(request, timeout=CALL_SECONDS, metadata=self._metadata(method, request))
            except grpc.RpcError as error:
                refusal = refusals.read(error)
                if attempt or not (self.learn(refusal) or refusal.on_the_way):
                    raise refusals.explained(refusal, self.account, ahead_ms=self._ahead_ms) from error
        raise AssertionError("the second attempt returns or raises")

    def _sealing_key(self) -> bytes:
        known = self._sealing
        if known is not None and time.monotonic() - known[1] < KEY_SECONDS:
            return known[0]
        found = self._signed(
            answers_pb2_grpc.AnswersStub, "Answers/GetSealingKey", answers_pb2.GetSealingKeyRequest()
        )
        signed = sealing.key_statement(public_key=found.public_key, expires_at_ms=found.expires_at_ms)
        fresh = found.expires_at_ms > self._now_ms() + self._ahead_ms
        if not fresh or not verified(self.account.server_key, found.signature, signed):
            raise _another_server(self.account)
        self._sealing = (found.public_key, time.monotonic())
        return bytes(found.public_key)


def _channel(account: Account) -> Any:
    if account.insecure:
        return grpc.insecure_channel(account.address, options=_OPTIONS)
    authority = None
    if account.authority:
        certificate = x509.load_der_x509_certificate(account.authority)
        authority = certificate.public_bytes(serialization.Encoding.PEM)
    credentials = grpc.ssl_channel_credentials(authority)
    # The name is part of the trust and not of the address, which may be another way to the same server.
    named = (("grpc.ssl_target_name_override", account.tls_name), ("grpc.default_authority", account.tls_name))
    return grpc.secure_channel(account.address, credentials, options=(*_OPTIONS, *named))


def _another_server(account: Account) -> CertificateError:
    return CertificateError(
        f"What answers at {account.address} is not the server of your invite. Nothing was sent.",
        hint="Somebody may be in between. If the server was set up anew, get a new invite.",
    )
