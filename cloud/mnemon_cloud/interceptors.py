"""The gate before every method: what has no declared policy is refused, and so is who cannot show who they are.

The gate takes the request as bytes, checks deadline and signature over those bytes, and only then parses it. Whatever
goes wrong behind it leaves as a status with a fixed text: no exception, and no word of a request, gets out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2

from mnemon_cloud import logs
from mnemon_cloud.devices.authentication import Authenticator
from mnemon_cloud.errors import CallRefusedError, Reason, StorageError
from mnemon_cloud.metrics import Metrics
from mnemon_cloud.storage import Device
from mnemon_protos.signing import SERVER_TIME_KEY


@dataclass(frozen=True, slots=True)
class Policy:
    """What a method asks of its callers.

    Attributes:
        signed: Only for enrolled devices, with a signed call.
        guarded: Deadline, parsing and errors go through the gate; standard services bring their own.
    """

    signed: bool = True
    guarded: bool = True


POLICIES: Mapping[str, Policy] = {
    "/mnemon.v1.Answers/Ask": Policy(),
    "/mnemon.v1.Answers/DiscardAnswers": Policy(),
    "/mnemon.v1.Answers/GetSealingKey": Policy(),
    "/mnemon.v1.Devices/Enroll": Policy(signed=False),  # the invite and the proof are its authorization
    "/mnemon.v1.Devices/GetDevice": Policy(),
    "/mnemon.v1.Devices/RotateKey": Policy(),
    "/mnemon.v1.Devices/RevokeSelf": Policy(),
    "/grpc.health.v1.Health/Check": Policy(signed=False, guarded=False),  # load balancers ask; no secrets in it
    "/grpc.health.v1.Health/Watch": Policy(signed=False, guarded=False),
}
"""Every method there is. A service registered without an entry here cannot be called."""

REFLECTION: Mapping[str, Policy] = {
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Policy(signed=False, guarded=False),
}

DOMAIN = "mnemon.v1"
"""Whose names the reasons in ``ErrorInfo`` are."""

_caller: ContextVar[Device] = ContextVar("caller")


def caller() -> Device:
    """The device whose signed call is being served."""
    return _caller.get()


class Gate(grpc.aio.ServerInterceptor):  # type: ignore[misc, unused-ignore]
    """Deny by default.

    Args:
        authenticator: Knows devices and signatures.
        metrics: Where calls and refusals are counted.
        policies: Method to policy.
    """

    def __init__(
        self, authenticator: Authenticator, metrics: Metrics, policies: Mapping[str, Policy] = POLICIES
    ) -> None:
        self._authenticator = authenticator
        self._metrics = metrics
        self._policies = policies

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """The method's handler behind the gate, or one that refuses."""
        method = str(handler_call_details.method)
        policy = self._policies.get(method)
        handler = None if policy is None else await continuation(handler_call_details)
        if policy is None or handler is None:
            return self._refusal("other")
        if not policy.guarded:
            return handler
        if handler.request_streaming:  # the signature covers one request; there is no method of this kind
            return self._refusal(method)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(method, policy, handler), None, handler.response_serializer
            )
        return grpc.unary_unary_rpc_method_handler(
            self._single(method, policy, handler), None, handler.response_serializer
        )

    def _refusal(self, method: str) -> Any:
        async def refuse(_request: bytes, context: Any) -> None:
            error = CallRefusedError(grpc.StatusCode.UNIMPLEMENTED, Reason.METHOD, "There is no such method.")
            self._count(method, error.status, time.perf_counter(), error)
            await abort(context, error)

        return grpc.unary_unary_rpc_method_handler(refuse)  # the kind does not matter: the status comes first

    def _single(self, method: str, policy: Policy, handler: Any) -> Callable[[bytes, Any], Awaitable[Any]]:
        async def call(raw: bytes, context: Any) -> Any:
            started = time.perf_counter()
            try:
                request = await self._admit(method, policy, handler, raw, context)
                response = await handler.unary_unary(request, context)
            except BaseException as error:  # this is the place where they end
                await self._failed(method, error, started, context)
                raise  # not reached unless the call was cancelled: abort raises
            self._count(method, grpc.StatusCode.OK, started)
            return response

        return call

    def _stream(self, method: str, policy: Policy, handler: Any) -> Callable[[bytes, Any], Awaitable[None]]:
        async def call(raw: bytes, context: Any) -> None:
            # Written with context.write and not yielded: a write that waits for the reader can be timed.
            started = time.perf_counter()
            try:
                request = await self._admit(method, policy, handler, raw, context)
                await handler.unary_stream(request, context)
            except BaseException as error:  # this is the place where they end
                await self._failed(method, error, started, context)
                raise
            self._count(method, grpc.StatusCode.OK, started)

        return call

    async def _admit(self, method: str, policy: Policy, handler: Any, raw: bytes, context: Any) -> Any:
        if context.time_remaining() is None:
            raise CallRefusedError(grpc.StatusCode.INVALID_ARGUMENT, Reason.DEADLINE, "Every call needs a deadline.")
        if policy.signed:
            _caller.set(await self._authenticator.authenticate(method, context.invocation_metadata() or (), raw))
        try:
            return handler.request_deserializer(raw)
        except DecodeError as error:
            raise CallRefusedError(
                grpc.StatusCode.INVALID_ARGUMENT, Reason.INVALID, "The request cannot be parsed."
            ) from error

    async def _failed(self, method: str, error: BaseException, started: float, context: Any) -> None:
        """Count, and turn anything but the call's own cancellation into a status."""
        if isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # the caller left, or the server ends
                self._count(method, grpc.StatusCode.CANCELLED, started)
                return
            # Something the call waited for was cancelled. Passed on, gRPC would take it for the caller's leaving and
            # send no status: the device would wait until its deadline.
            logs.failure("call-failed", error)
            error = CallRefusedError(
                grpc.StatusCode.UNAVAILABLE, Reason.INTERNAL, "The call was broken off.", retry_after=5
            )
        if isinstance(error, StorageError):
            logs.failure("storage-failed", error)
            error = CallRefusedError(
                grpc.StatusCode.UNAVAILABLE, Reason.STORAGE, "The server cannot read its state.", retry_after=5
            )
        if not isinstance(error, CallRefusedError):
            logs.failure("call-failed", error)
            error = CallRefusedError(grpc.StatusCode.INTERNAL, Reason.INTERNAL, "Something went wrong in the server.")
        self._count(method, error.status, started, error)
        await abort(context, error)

    def _count(
        self, method: str, code: grpc.StatusCode, started: float, refusal: CallRefusedError | None = None
    ) -> None:
        elapsed = time.perf_counter() - started
        self._metrics.calls.labels(method, code.name).inc()
        self._metrics.seconds.labels(method).observe(elapsed)
        if refusal is not None:
            self._metrics.refusals.labels(refusal.reason.value).inc()
        reason = "" if refusal is None else refusal.reason.value
        logs.event("call", method=method, code=code.name, milliseconds=round(elapsed * 1000, 1), reason=reason)


async def abort(context: Any, error: CallRefusedError) -> None:
    """End the call with the error's status.

    Google's standard details go along: how long to wait where that helps (``RetryInfo``), and why (``ErrorInfo``), so
    that a device need not guess from words; never why a caller was not believed.
    """
    trailing: list[tuple[str, str | bytes]] = [(SERVER_TIME_KEY, str(time.time_ns() // 1_000_000))]
    if error.status is not grpc.StatusCode.UNAUTHENTICATED:
        status = status_pb2.Status(code=getattr(code_pb2, error.status.name), message=str(error))
        if error.retry_after is not None:
            delay = error_details_pb2.RetryInfo()
            delay.retry_delay.FromMilliseconds(round(error.retry_after * 1000))
            status.details.add().Pack(delay)
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason=error.reason.value, domain=DOMAIN))
        trailing.append(("grpc-status-details-bin", status.SerializeToString()))
    await context.abort(error.status, str(error), tuple(trailing))
