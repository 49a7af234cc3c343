"""Everything that can go wrong in the cloud, as one tree.

::

    CloudError
    ├── UsageError             2   what was asked for on the command line cannot be done
    ├── SettingsError          3   a settings file or environment variable is wrong
    ├── NotFoundError          4   no such device or invite
    ├── EngineError           10   the model cannot be loaded or used
    │   ├── UnsuitableQuestionError    it refuses this conversation
    │   └── EngineBusyError            it has no room now
    ├── StorageError          20   the state cannot be opened or used
    ├── IdentityError         30   keys or certificates are missing or damaged
    ├── ListenError           40   the address or port cannot be listened on
    └── CallRefusedError           one call is refused; the server goes on

The number is the exit code of ``mnemon-cloud``. No message contains what a device sent.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import grpc


class CloudError(Exception):
    """The root: anything ``mnemon_cloud`` raises on purpose.

    Args:
        message: What happened, one line, with the value concerned.
        hint: What to do next, one line.
    """

    exit_code: ClassVar[int] = 1
    hint: str

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def code(self) -> str:
        """A stable name for programs, such as ``identity``."""
        name = type(self).__name__.removesuffix("Error")
        return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")


class UsageError(CloudError):
    """What was asked for on the command line cannot be done."""

    exit_code = 2


class SettingsError(CloudError):
    """A settings file or environment variable holds something the server does not understand."""

    exit_code = 3


class NotFoundError(CloudError):
    """No device or invite has that name."""

    exit_code = 4


class EngineError(CloudError):
    """The model cannot be loaded or used."""

    exit_code = 10


class UnsuitableQuestionError(EngineError):
    """The model cannot take this conversation, now or later."""


class EngineBusyError(EngineError):
    """The model has no room now, or cannot be reached.

    Args:
        message: What happened.
        retry_after: Seconds after which to try again, where the engine says so.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message, hint="Try again later.")
        self.retry_after = retry_after


class StorageError(CloudError):
    """The state cannot be opened or used."""

    exit_code = 20


class IdentityError(CloudError):
    """Keys or certificates are missing or damaged."""

    exit_code = 30


class ListenError(CloudError):
    """The address or port cannot be listened on."""

    exit_code = 40


class Reason(StrEnum):
    """Why a call was refused: what metrics count and logs name. A device learns only the status and the text."""

    METHOD = "method-without-policy"
    DEADLINE = "no-deadline"
    UNSIGNED = "unsigned"
    MALFORMED = "malformed"
    CLOCK = "outside-the-minute"
    DEVICE = "unknown-device"
    REVOKED = "revoked-device"
    SIGNATURE = "wrong-signature"
    REPLAY = "replayed"
    INVITE = "invite-refused"
    PROOF = "wrong-proof"
    INVALID = "invalid-request"
    SEALING = "unknown-sealing-key"
    TOO_LONG = "too-long"
    QUOTA = "quota"
    DEVICE_BUSY = "device-busy"
    QUEUE = "queue-full"
    REPLACED = "replaced"
    SLOW_READER = "slow-reader"
    ENGINE = "engine"
    STORAGE = "storage"
    INTERNAL = "internal"


class CallRefusedError(CloudError):
    """One call is refused.

    Args:
        status: The gRPC status the device gets.
        reason: Why; stays here.
        message: What the device is told; the same for everything that an attacker could learn from.
        retry_after: Seconds after which to try again; None when that would not help.
    """

    def __init__(
        self, status: grpc.StatusCode, reason: Reason, message: str, *, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


def refused(reason: Reason) -> CallRefusedError:
    """What everybody is told who could not show who they are, whatever it was that failed."""
    import grpc

    return CallRefusedError(grpc.StatusCode.UNAUTHENTICATED, reason, "The call was refused.")


def replaced() -> CallRefusedError:
    """What a call is told whose question a newer call took over."""
    import grpc

    return CallRefusedError(grpc.StatusCode.ABORTED, Reason.REPLACED, "The same question was asked again.")
