"""Why a call failed, as one of Mnemon's own errors: what happened, and what the owner can do.

A refusal of the server carries its clock, and, where that tells an attacker nothing, a reason and the time to wait
(``ErrorInfo`` and ``RetryInfo`` of google.rpc). What carries none of it never reached the server or was cut on the
way; gRPC only has words for that, so the line is tried once more with plain TLS, which says precisely what is wrong.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from mnemon.errors import (
    BrokenOffError,
    CertificateError,
    ClockError,
    CloudError,
    DeviceRefusedError,
    OverloadedError,
    QuestionRefusedError,
    QuotaError,
    UnreachableError,
    VersionError,
)
from mnemon.sync.account import Account
from mnemon.sync.outbox import LONGEST_WAIT_S
from mnemon_protos.signing import ACCEPTED_MS, SERVER_TIME_KEY

_PROBE_SECONDS: Final = 3.0
_QUOTA_SECONDS: Final = 600
"""A server too old to name its reasons asks for more than this only when the day's allowance is used up."""
_NOT_YET_VALID, _EXPIRED, _HOSTNAME, _ADDRESS = 9, 10, 62, 64  # X509_V_ERR_* of OpenSSL


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a failed call said.

    Attributes:
        code: The gRPC status.
        server_ms: The server's clock; None when it was not the server that ended the call.
        reason: The server's name for it; empty when it gives none.
        retry_after: Seconds to wait; None when the server does not say.
    """

    code: grpc.StatusCode
    server_ms: int | None = None
    reason: str = ""
    retry_after: float | None = None

    @property
    def on_the_way(self) -> bool:
        """The line failed, not the server."""
        return self.server_ms is None and self.code not in (
            grpc.StatusCode.UNIMPLEMENTED,
            grpc.StatusCode.DEADLINE_EXCEEDED,
        )


def read(error: grpc.RpcError) -> Refusal:
    """What is in an error of gRPC; only its numbers and names are looked at, never its text."""
    call: Any = error
    server_ms, reason, retry_after = None, "", None
    for key, value in call.trailing_metadata() or ():
        if key == SERVER_TIME_KEY and re.fullmatch("[0-9]{1,15}", str(value)):
            server_ms = int(value)
        elif key == "grpc-status-details-bin":
            with contextlib.suppress(DecodeError):
                reason, retry_after = _details(value)
    return Refusal(call.code(), server_ms, reason, retry_after)


def _details(data: bytes) -> tuple[str, float | None]:
    reason, retry_after = "", None
    for detail in status_pb2.Status.FromString(data).details:
        info, delay = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(delay):
            retry_after = min(max(0.0, delay.retry_delay.ToMilliseconds() / 1000), LONGEST_WAIT_S)
    return reason, retry_after


def explained(refusal: Refusal, account: Account, *, ahead_ms: int = 0) -> CloudError:
    """The error to raise for a call that failed.

    Args:
        ahead_ms: By how much the server's clock is known to be ahead of this device's.
    """
    code = grpc.StatusCode
    where = account.address
    if refusal.on_the_way:
        return diagnosed(account)
    match refusal.code:
        case code.UNAUTHENTICATED:
            return _not_taken(refusal, where, ahead_ms)
        case code.RESOURCE_EXHAUSTED | code.UNAVAILABLE:
            return _busy(refusal, where)
        case code.DEADLINE_EXCEEDED:
            slow = OverloadedError(f"{where} did not answer in time.", hint="Try again later.", retry_after=60)
            return slow if refusal.server_ms is not None else _no_line(account) or slow
        case code.UNIMPLEMENTED:
            return VersionError(
                f"{where} does not know this call: it or this Mnemon is too old.",
                hint="Update the older one: pip install --upgrade mnemon.",
            )
        case code.INVALID_ARGUMENT | code.ALREADY_EXISTS:
            if refusal.reason == "too-long":
                return QuestionRefusedError("The question is too long for that model.", hint="Ask it in parts.")
            return QuestionRefusedError(
                f"{where} does not take this question.", hint="Put it another way; if none goes, update Mnemon."
            )
        case code.ABORTED:
            return BrokenOffError("The same question was sent again meanwhile.", hint="That one is answered.")
        case _:
            return CloudError(f"Something went wrong at {where}.", hint="Try again; tell its operator if it stays.")


def diagnosed(account: Account) -> CloudError:
    """Why there is no line to the server, found by trying: a plain TLS connection, at most three seconds."""
    where = account.address
    broke = UnreachableError(f"{where} broke the line off.", hint="Try again in a moment.", retry_after=5)
    return _no_line(account) or broke


def _no_line(account: Account) -> CloudError | None:
    host, _, port = account.address.rpartition(":")
    where = account.address
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _PROBE_SECONDS) as line:
            if not account.insecure:
                with _tls(account).wrap_socket(line, server_hostname=account.tls_name):
                    pass
    except ssl.SSLCertVerificationError as error:
        return _wrong_certificate(error.verify_code, where)
    except ssl.SSLError:
        return CertificateError(
            f"{where} does not speak TLS as it should.", hint="Is the port right? Ask its operator."
        )
    except socket.gaierror:
        return UnreachableError(f"There is no line to {where}: its name is not found.", hint="Are you online?")
    except OSError:
        return UnreachableError(f"There is no line to {where}.", hint="Are you online, and is the server running?")
    return None


def _tls(account: Account) -> ssl.SSLContext:
    if not account.authority:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=account.authority)
    return context


def _wrong_certificate(code: int, where: str) -> CloudError:
    if code == _NOT_YET_VALID:
        return ClockError(
            f"The certificate of {where} is not valid yet by this device's clock ({_clock()}).",
            hint="Set the clock right.",
        )
    if code == _EXPIRED:
        return CertificateError(
            f"The certificate of {where} has run out, by this device's clock ({_clock()}).",
            hint="Check the clock; else the operator runs: mnemon-cloud init --renew",
        )
    if code in (_HOSTNAME, _ADDRESS):
        return CertificateError(
            f"The certificate of {where} is for another name.",
            hint="Use the address that the invite names, or get a new invite.",
        )
    return CertificateError(
        f"What answers at {where} is not the server of your invite. Nothing was sent.",
        hint="Somebody may be in between. If the server was set up anew, get a new invite.",
    )


def _not_taken(refusal: Refusal, where: str, ahead_ms: int) -> CloudError:
    if abs(ahead_ms) > ACCEPTED_MS:
        side = "behind" if ahead_ms > 0 else "ahead of"
        return ClockError(
            f"This device's clock ({_clock()}) is {_span(abs(ahead_ms) / 1000)} {side} that of {where}.",
            hint="Set the clock right, then try again.",
        )
    return DeviceRefusedError(
        f"{where} refused this device: it was revoked, or the server does not know it any more.",
        hint="Ask its operator for a new invite, then: mnemon cloud leave, and mnemon cloud enroll INVITE",
    )


def _busy(refusal: Refusal, where: str) -> CloudError:
    after = refusal.retry_after
    when = f"Try again in {_span(after)}." if after is not None else "Try again later."
    if refusal.reason == "quota" or (not refusal.reason and (after or 0) > _QUOTA_SECONDS):
        return QuotaError(f"Today's allowance at {where} is used up.", hint=when, retry_after=after)
    if refusal.reason == "device-busy":
        message = f"This device has as many questions at {where} as it may have at a time."
        return OverloadedError(message, hint=when, retry_after=after)
    if refusal.reason == "slow-reader":
        return BrokenOffError("The answer was not taken in fast enough.", hint="Try again on a better line.")
    return OverloadedError(f"{where} is busy.", hint=when, retry_after=after)


def _clock() -> str:
    return time.strftime("%Y-%m-%d %H:%M")


def _span(seconds: float) -> str:
    """``40 seconds``, ``3 minutes``, ``7 hours``: rounded, for a person."""
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {name}s"
    return f"{max(1, round(seconds))} second{'s' if round(seconds) > 1 else ''}"
